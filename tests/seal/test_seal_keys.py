import json
import os
import pickle
import stat

import pytest

from vetset.model.errors import KeyFileError, OutputError, UsageError
from vetset.seal import envelope, keys, signature
from vetset.seal.keys import PrivateKey, PublicKey, generate, load_private, load_public

GOLDEN_PUBLIC = b"""{
  "format": "vetset-public-key",
  "version": 1,
  "name": "golden",
  "recipient": "age13aqvttdk3ujkyjh9kg2w5an6dmy5mq5a84a4uxk3hfhnugfc9p0sy5p2wh",
  "signer": "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"
}
"""


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def pair(tmp_path):
    generate("custodian", tmp_path)
    return tmp_path / "custodian.pub", tmp_path / "custodian.key"


def rewrite(path, **changes):
    document = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not ...}))


def test_the_private_file_is_for_its_owner_and_the_public_one_for_everybody(pair):
    public, private = pair
    assert mode(private) == 0o600
    assert mode(public) == 0o644 & ~current_umask()


def current_umask():
    umask = os.umask(0)
    os.umask(umask)
    return umask


def test_both_halves_belong_together(pair):
    public, private = pair
    assert load_private(private).public == load_public(public)


def test_a_generated_pair_seals_and_signs(pair):
    public, private = load_public(pair[0]), load_private(pair[1])
    assert envelope.unseal(envelope.seal(b"x", [public]), private) == b"x"
    assert signature.check(signature.sign("t", b"x", private), public, "t") == b"x"


def test_nothing_else_is_left_in_the_folder(pair):
    assert sorted(path.name for path in pair[0].parent.iterdir()) == ["custodian.key", "custodian.pub"]


def test_the_public_file_keeps_its_form(golden_key):
    assert golden_key.public.to_bytes() == GOLDEN_PUBLIC


def test_the_fingerprint_keeps_its_form(golden_key):
    assert golden_key.public.fingerprint == "a30594df63090b316c6e67a8767a841c"


def test_the_fingerprint_is_of_both_halves(golden_key, other):
    public = golden_key.public
    changed = [
        PublicKey("golden", other.public.recipient, public.signer),
        PublicKey("golden", public.recipient, other.public.signer),
    ]
    assert len({public.fingerprint, *(key.fingerprint for key in changed)}) == 3


def test_golden_files_load(tmp_path, golden_key):
    (tmp_path / "g.pub").write_bytes(GOLDEN_PUBLIC)
    (tmp_path / "g.key").write_bytes(golden_key.to_bytes())
    (tmp_path / "g.key").chmod(0o600)
    assert load_private(tmp_path / "g.key").public == load_public(tmp_path / "g.pub")


@pytest.mark.parametrize("present", ["custodian.key", "custodian.pub"])
def test_an_existing_file_is_never_overwritten(tmp_path, present):
    (tmp_path / present).write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        generate("custodian", tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(present, b"precious")]


def test_a_dangling_link_is_not_written_through(tmp_path):
    (tmp_path / "custodian.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError):
        generate("custodian", tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "-x", ".hidden", "ä", "a b", "a\n", "a" * 65])
def test_an_unusable_name_is_refused(tmp_path, name):
    with pytest.raises(UsageError):
        generate(name, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("open_mode", [0o640, 0o604, 0o660, 0o610, 0o644, 0o601])
def test_a_private_key_that_others_can_reach_is_refused_with_the_remedy(pair, open_mode):
    pair[1].chmod(open_mode)
    with pytest.raises(KeyFileError, match=r"chmod 600 custodian\.key"):
        load_private(pair[1])


def test_a_missing_file_is_a_key_file_error(tmp_path):
    for load in (load_public, load_private):
        with pytest.raises(KeyFileError, match=r"gone\.key.*No such file"):
            load(tmp_path / "gone.key")


def test_a_pipe_or_a_folder_is_no_key_file(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(KeyFileError):
            load_private(place)


def test_the_halves_are_not_taken_for_each_other(pair):
    with pytest.raises(KeyFileError, match=r"wrong half.*expected a private key.*saw a public key"):
        load_private(pair[0])
    with pytest.raises(KeyFileError, match=r"wrong half.*expected a public key.*saw a private key"):
        load_public(pair[1])


def test_a_public_key_under_the_name_of_a_private_one_is_noticed(pair):
    pair[1].write_bytes(pair[0].read_bytes())
    with pytest.raises(KeyFileError, match="wrong half"):
        load_private(pair[1])


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "other"},
        {"version": 2},
        {"version": True},
        {"version": "1"},
        {"name": "a/b"},
        {"name": 5},
        {"recipient": "age1nonsense"},
        {"recipient": None},
        {"signer": "00"},
        {"signer": "A" * 64},
        {"signer": ...},
        {"extra": 1},
    ],
)
def test_a_malformed_public_key_is_refused(pair, changes):
    rewrite(pair[0], **changes)
    with pytest.raises(KeyFileError, match="malformed"):
        load_public(pair[0])


@pytest.mark.parametrize(
    "changes",
    [{"identity": "AGE-SECRET-KEY-1QQ"}, {"identity": 1}, {"signing": "zz"}, {"signing": ...}, {"extra": ""}],
)
def test_a_malformed_private_key_is_refused_without_quoting_it(pair, changes):
    secret = load_private(pair[1])
    rewrite(pair[1], **changes)
    with pytest.raises(KeyFileError, match="malformed") as caught:
        load_private(pair[1])
    assert secret.identity not in str(caught.value)
    assert secret.signing not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff", b"null", b'{"format":1,"format":2}', b"[" * 10_000])
def test_what_is_no_document_is_malformed(pair, data):
    for path, load in zip(pair, (load_public, load_private), strict=True):
        path.write_bytes(data)
        with pytest.raises(KeyFileError, match="malformed"):
            load(path)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / "huge.key"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="not a key file"):
        load_private(path)


def test_the_form_of_a_private_key_shows_no_secret(golden_key):
    shown = f"{golden_key!r} {golden_key}"
    assert shown == "PrivateKey(name='golden') PrivateKey(name='golden')"


def test_an_upper_case_recipient_is_not_canonical(pair):
    rewrite(pair[0], recipient=load_public(pair[0]).recipient.upper())
    with pytest.raises(KeyFileError, match="malformed"):
        load_public(pair[0])


def test_new_keys_differ():
    first, second = keys.new_key("a"), keys.new_key("a")
    assert first.identity != second.identity
    assert first.signing != second.signing


def test_keys_survive_a_process_boundary(golden_key):
    assert pickle.loads(pickle.dumps(golden_key)) == golden_key  # noqa: S301 — own bytes, made in this line
    assert isinstance(golden_key, PrivateKey)
