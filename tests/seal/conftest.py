import pytest

from vetset.seal.keys import PrivateKey, new_key

# Fixed and public: the 32 bytes 0…31 as an age identity, the 32 bytes 32…63 as an Ed25519 seed.
GOLDEN_KEY = PrivateKey(
    "golden",
    "AGE-SECRET-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SWRYDWG",
    bytes(range(32, 64)).hex(),
)


@pytest.fixture
def golden_key():
    return GOLDEN_KEY


@pytest.fixture(scope="session")
def key():
    return new_key("custodian")


@pytest.fixture(scope="session")
def other():
    return new_key("other")
