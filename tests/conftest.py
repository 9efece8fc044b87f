"""What tests of several rooms start from; being here, it also puts this folder within reach of an import."""

import pytest

import small
import vetset
from vetset.model.dataset import Format
from vetset.seal.keys import new_key


@pytest.fixture(scope="session")
def custodian():
    return new_key("custodian")


@pytest.fixture(scope="session")
def someone():
    return new_key("someone")


@pytest.fixture(scope="session")
def roots(tmp_path_factory):
    """The small dataset in every format, with embeddings beside it; tests only read them."""
    base = tmp_path_factory.mktemp("small")
    for form, write in small.WRITERS.items():
        write(base / form.value)
        small.write_embeddings(base / f"{form.value}-embeddings", form)
    return base


@pytest.fixture
def audit(roots, tmp_path, custodian):
    """Audit a dataset in this process."""

    def run(root=None, *, form=Format.WEBDATASET, embeddings=True, lists=None, out="audit", **options):
        place = roots / form.value if root is None else root
        folder = roots / f"{form.value}-embeddings" if embeddings is True else embeddings or None
        vetset.audit(
            place,
            lists=[small.known()] if lists is None else lists,
            seal_to=[custodian.public],
            out=tmp_path / out,
            embeddings=folder,
            engine=small.HERE,
            **options,
        )
        return small.Audited(place, tmp_path / out, custodian, custodian.public, folder)

    return run
