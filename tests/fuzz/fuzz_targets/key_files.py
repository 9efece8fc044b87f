"""Key files of every sort: a key that works, or a refusal that quotes nothing of it."""

import json

from fuzz_targets.scratch import emptied, written
from vetset.hashlist.vault.vault import Vault
from vetset.model.errors import KeyFileError
from vetset.seal.envelope import seal, unseal
from vetset.seal.keys import load_private, load_public


def target(data: bytes) -> None:
    """As NAME.pub, as NAME.key and as the key of a vault."""
    try:
        public = load_public(written("keys/x.pub", data, 0o644))
        seal(b"", [public])
        public.verifier()
        assert json.loads(public.to_bytes()) == json.loads(data)
    except KeyFileError as error:
        _quotes_nothing(error, data)
    try:
        private = load_private(written("keys/x.key", data))
        assert unseal(seal(b"x", [private.public]), private) == b"x"
        assert json.loads(private.to_bytes()) == json.loads(data)
    except KeyFileError as error:
        _quotes_nothing(error, data)
    home = emptied("vault")
    home.chmod(0o700)
    (home / "vault.key").write_bytes(data)
    (home / "vault.key").chmod(0o600)
    try:
        key = Vault(home)._key()
        assert key.recipient.startswith("age1")
        assert len(key.secret) == 32
    except KeyFileError as error:
        _quotes_nothing(error, data)


def _quotes_nothing(error, data):
    words = {word for word in data.decode("utf-8", "replace").split('"') if len(word) > 20}
    told = f"{error} {error.__cause__}"
    assert not any(word in told for word in words if "vetset" not in word), "an error quotes a key file"
