import pytest
from dataset_cases import BUILDERS


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """Every small dataset, built once; tests only read them."""
    base = tmp_path_factory.mktemp("datasets")
    for name, builder in BUILDERS.items():
        builder(base / name)
    return base
