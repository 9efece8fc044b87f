import pytest

from vetset.demo.build import build_dataset
from vetset.demo.lists import write_lists
from vetset.demo.photographs import cut, load_photographs

RECORDS, SHARDS = 300, 3


@pytest.fixture(scope="session")
def photographs():
    return load_photographs()


@pytest.fixture(scope="session")
def blocks(photographs):
    return cut(photographs)


@pytest.fixture(scope="session")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="session")
def planted(place):
    return build_dataset(place, seed=7, records=RECORDS, shards=SHARDS)


@pytest.fixture(scope="session")
def lists(planted, place):
    return write_lists(planted, place)
