import errno
import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vetset.model.errors import KeyFileError, SealError, UsageError, VetsetError
from vetset.seal import envelope
from vetset.seal.envelope import first_line_from, seal, seal_into, sealed_size, unseal, unseal_from
from vetset.seal.keys import new_key

GOLDEN = Path(__file__).with_name("golden") / "sealed.bin"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
def test_what_was_sealed_is_unsealed(key, size):
    plain = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert unseal(seal(plain, [key.public]), key) == plain


def test_every_recipient_opens_it_alone(key, other):
    sealed = seal(b"content", [key.public, other.public])
    assert unseal(sealed, key) == unseal(sealed, other) == b"content"


def test_bare_age_recipients_and_identities_will_do(key):
    assert unseal(seal(b"content", [key.public.recipient]), key.identity) == b"content"


def test_a_file_sealed_long_ago_still_opens(golden_key):
    assert unseal(GOLDEN.read_bytes(), golden_key) == b"golden content"


def test_the_same_content_is_never_sealed_to_the_same_bytes(key):
    assert seal(b"content", [key.public]) != seal(b"content", [key.public])


@pytest.mark.parametrize("recipients", [1, 2, 5])
@pytest.mark.parametrize("size", [0, 100, 65_536, 300_000])
def test_the_sealed_size_depends_on_length_and_recipients_alone(key, size, recipients):
    sizes = {len(seal(bytes(size), [key.public] * recipients)) for _ in range(30)}
    assert sizes == {sealed_size(size, recipients)}


def test_the_content_does_not_show(key):
    assert b"content" not in seal(b"content", [key.public])


def test_somebody_elses_key_is_a_key_error(key, other):
    with pytest.raises(KeyFileError, match="does not open"):
        unseal(seal(b"content", [key.public]), other)


def test_every_flipped_bit_is_noticed_as_damage(key):
    sealed = seal(b"content", [key.public])
    for place in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(SealError):
            unseal(bytes(damaged), key)


def test_every_flipped_bit_of_the_first_line_is_noticed_as_damage(key):
    sealed = seal(b"content", [key.public])
    for bit in range(8 * sealed.index(b"\n") + 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SealError):
            unseal(bytes(damaged), key)


def test_every_cut_is_noticed_as_damage(key):
    sealed = seal(b"content", [key.public])
    for end in range(0, len(sealed), 7):
        with pytest.raises(SealError):
            unseal(sealed[:end], key)


def test_something_appended_is_damage(key):
    with pytest.raises(SealError):
        unseal(seal(b"content", [key.public]) + b"\0", key)


def reframed(sealed, start, body):
    import hashlib

    where = b"%08d" % start
    return b"vetset-sealed/1 " + hashlib.sha256(where + body).hexdigest().encode() + b" " + where + b"\n" + body


def test_a_consistent_line_before_damaged_encryption_does_not_help(key):
    sealed = seal(b"content", [key.public])
    line, start = sealed.index(b"\n") + 1, int(sealed[81:89])
    body = bytearray(sealed[line:])
    body[-1] ^= 1
    with pytest.raises(SealError, match="does not verify"):
        unseal(reframed(sealed, start, bytes(body)), key)


@pytest.mark.parametrize("start", [0, 50, 99_999_999])
def test_an_impossible_place_of_the_age_file_is_damage(key, start):
    sealed = seal(b"content", [key.public])
    with pytest.raises(SealError):
        unseal(reframed(sealed, start, sealed[sealed.index(b"\n") + 1 :]), key)


def test_something_else_than_zeros_before_the_age_file_is_damage(key):
    sealed = seal(b"content", [key.public])
    line, start = sealed.index(b"\n") + 1, int(sealed[81:89])
    with pytest.raises(SealError, match="does not begin"):
        unseal(reframed(sealed, start, b"\1" + sealed[line + 1 :]), key)


def test_the_sealed_size_stays():
    assert sealed_size(14, 1) == len(GOLDEN.read_bytes()) == 1272
    assert sealed_size(65_537, 2) == 90 + 1024 + 2 * 128 + 65_537 + 2 * 16


def test_an_age_file_that_never_fits_is_an_error(key, monkeypatch):
    monkeypatch.setattr(envelope, "_ROOM", 0)
    with pytest.raises(SealError, match="more bytes"):
        seal(b"content", [key.public])


# piece by piece


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.binary(max_size=100_000), max_size=8), recipients=st.integers(1, 3))
def test_pieces_are_sealed_as_their_bytes_are(pieces, recipients):
    key, file = new_key("a"), io.BytesIO()
    seal_into(file, iter(pieces), [key.public] * recipients)
    whole = b"".join(pieces)
    assert len(file.getvalue()) == sealed_size(len(whole), recipients)
    assert unseal(file.getvalue(), key) == unseal_from(file, key) == whole


def test_pieces_may_be_memory_of_any_shape(key):
    file = io.BytesIO()
    numbers = np.arange(12, dtype=np.uint32)
    seal_into(file, [memoryview(b"ab"), numbers.view(np.uint8).reshape(6, 8).data], [key.public])
    assert unseal_from(file, key) == b"ab" + numbers.tobytes()


class Lost(BaseException):
    pass


@pytest.mark.parametrize("error", [Lost("secret"), ValueError("secret"), KeyboardInterrupt(), OSError(5, "secret")])
@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_what_the_pieces_raise_is_raised_and_not_made_a_text_of(key, error, size):
    def pieces():
        yield bytes(size)
        raise error

    with pytest.raises(type(error)) as caught:
        seal_into(io.BytesIO(), pieces(), [key.public])
    assert caught.value is error


class Full(io.BytesIO):
    def __init__(self, room):
        super().__init__()
        self._room = room

    def write(self, data):
        if self.tell() + len(data) > self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("room", [0, 100, 1200, 100_000])
def test_a_full_disk_is_told_as_such(key, room):
    with pytest.raises(OSError, match="No space left") as caught:
        seal_into(Full(room), [bytes(300_000)], [key.public])
    assert caught.value.errno == errno.ENOSPC


class Torn(io.BytesIO):
    def read(self, size=-1):
        if self.tell() > 70_000:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


def test_a_file_that_cannot_be_read_is_no_damage(key):
    with pytest.raises(OSError, match="Input/output") as caught:
        unseal_from(Torn(seal(bytes(300_000), [key.public])), key)
    assert caught.value.errno == errno.EIO


@pytest.mark.parametrize("size", [10, 300_000])
def test_an_interruption_while_the_last_bytes_are_written_is_not_lost(key, monkeypatch, size):
    real = envelope._Content.write

    def interrupted(self, data):
        if self._length + len(data) == size:
            data = None  # what a signal does in the middle of a call, or memory that is at its end
        return real(self, data)

    monkeypatch.setattr(envelope._Content, "write", interrupted)
    with pytest.raises(TypeError):
        unseal(seal(bytes(size), [key.public]), key)


def test_damage_is_told_before_a_wrong_key(key, other):
    sealed = bytearray(seal(bytes(300_000), [key.public]))
    sealed[-1] ^= 1
    with pytest.raises(SealError, match="not what was written"):
        unseal(bytes(sealed), other)


def test_the_age_file_inside_is_an_age_file(key):
    sealed = seal(b"content", [key.public])
    assert pyrage.decrypt(sealed[int(sealed[81:89]) :], [pyrage.x25519.Identity.from_str(key.identity)]) == b"content"


def test_the_documented_shell_line_finds_the_age_file(key, tmp_path):
    path = tmp_path / "sealed"
    path.write_bytes(seal(b"content", [key.public]))
    start = int(path.read_bytes()[81:89])
    cut = subprocess.run(["tail", "-c", f"+{start + 1}", str(path)], check=True, capture_output=True).stdout
    assert cut.startswith(b"age-encryption.org/v1\n")


def test_sealing_for_nobody_is_refused():
    with pytest.raises(UsageError):
        seal(b"content", [])


def test_a_malformed_recipient_or_identity_is_a_key_error(key):
    with pytest.raises(KeyFileError):
        seal(b"content", ["age1nobody"])
    with pytest.raises(KeyFileError):
        unseal(seal(b"content", [key.public]), "AGE-SECRET-KEY-1NOBODY")


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=300))
def test_foreign_bytes_are_an_error_of_ours(data):
    with pytest.raises(VetsetError):
        unseal(data, new_key("a"))


@pytest.mark.parametrize("behind", [b"", b"x", bytes(300_000)])
def test_a_first_line_is_read_whatever_follows(behind):
    key = new_key("custodian")
    assert first_line_from(io.BytesIO(seal(b"a line\n" + behind, [key.public])), key, 100) == b"a line\n"
    long = b"a" * 200_000 + b"\n"
    assert first_line_from(io.BytesIO(seal(long + behind, [key.public])), key, len(long)) == long
    with pytest.raises(SealError):
        first_line_from(io.BytesIO(seal(long + behind, [key.public])), key, len(long) - 1)
    with pytest.raises(SealError):
        first_line_from(io.BytesIO(seal(b"no line", [key.public])), key, 100)
    with pytest.raises(KeyFileError):
        first_line_from(io.BytesIO(seal(b"a line\n", [key.public])), new_key("other"), 100)


def test_a_file_that_cannot_be_read_is_no_damage_of_its_first_line():
    key = new_key("custodian")
    with pytest.raises(OSError, match="Input/output"):
        first_line_from(Torn(seal(b"a" * 300_000 + b"\n", [key.public])), key, 1 << 20)
