import base64
import errno
import hashlib
import json
import logging
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from vetset.hashlist.files.text import parse_list
from vetset.hashlist.vault import packing
from vetset.hashlist.vault.vault import Vault, default_home, require_usable
from vetset.model.errors import KeyFileError, ListError, OutputError, SealError, TrustError, UsageError
from vetset.model.hashlist import Category, Entries, ListInfo
from vetset.model.signal import LIST_KINDS, Kind
from vetset.seal.envelope import seal, unseal

INFO = ListInfo("synthetic", "a test", Category.OTHER, "CC0-1.0", as_of="2026-01-31", expires="2026-12-31")


def value(kind, number):
    return hashlib.shake_256(f"{kind.value} {number}".encode()).digest(kind.width)


PLANTED = {kind: sorted(value(kind, number) for number in range(5)) for kind in LIST_KINDS}


def columns(kind, rows, **changes):
    parts = {
        "values": np.frombuffer(b"".join(rows), np.uint8).reshape(-1, kind.width),
        "ids": np.array([b"id-%d" % number for number in range(len(rows))]),
        "flags": np.zeros(len(rows), np.uint8),
        "members": np.ones(len(rows), np.uint8),
    }
    return Entries(kind, **parts | changes)


ENTRIES = {kind: columns(kind, values) for kind, values in PLANTED.items()}
FEWER = {Kind.MD5: ENTRIES[Kind.MD5]}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def vault(home):
    return Vault(home)


@pytest.fixture
def kept(vault):
    vault.add(INFO, ENTRIES)
    return vault


def list_file(home):
    return home / "lists" / "synthetic.list"


def state(home):
    return {path.relative_to(home): path.read_bytes() for path in sorted(home.rglob("*")) if path.is_file()}


def same(left, right):
    return left.keys() == right.keys() and all(
        np.array_equal(getattr(left[kind], name), getattr(right[kind], name))
        for kind in left
        for name in ("values", "ids", "flags")
    )


def test_what_was_added_is_loaded(kept):
    assert same(kept.load("synthetic").entries, ENTRIES)


def test_the_information_comes_back_with_version_and_counts(vault):
    final = vault.add(INFO, ENTRIES)
    assert final == replace(INFO, version=final.version, entries=dict.fromkeys(LIST_KINDS, 5))
    assert vault.load("synthetic").info == final
    assert vault.infos() == [final]


def test_flags_and_ids_survive(vault):
    flags = np.array([0, 1, 2, 3, 0], np.uint8)
    vault.add(INFO, {Kind.PDQ: columns(Kind.PDQ, PLANTED[Kind.PDQ], flags=flags)})
    found = vault.load("synthetic").entries[Kind.PDQ]
    assert list(found.flags) == list(flags)
    assert list(found.ids) == [b"id-0", b"id-1", b"id-2", b"id-3", b"id-4"]


def test_a_parsed_file_is_kept_as_it_was_parsed(tmp_path, vault):
    path = tmp_path / "list.txt"
    path.write_text("".join(f"{kind.value} {one.hex()}\n" for kind in LIST_KINDS for one in PLANTED[kind]))
    parsed = parse_list(path)
    vault.add(INFO, parsed)
    assert same(vault.load("synthetic").entries, parsed)


def test_loaded_columns_cannot_be_written_to(kept):
    assert not kept.load("synthetic").entries[Kind.MD5].values.flags.writeable


def test_lists_come_in_the_order_of_their_names(vault):
    for name in ("b", "a", "c.1_2-3"):
        vault.add(replace(INFO, name=name), FEWER)
    assert [info.name for info in vault.infos()] == vault.names() == ["a", "b", "c.1_2-3"]


def test_a_new_vault_is_empty_and_looking_makes_nothing(vault, home):
    assert vault.infos() == vault.names() == []
    assert not home.exists()


def test_an_unknown_name_is_refused_with_the_known_ones(kept):
    with pytest.raises(ListError, match=r"one of: synthetic"):
        kept.load("other")
    with pytest.raises(ListError, match=r"one of: synthetic"):
        kept.load("../lists/synthetic")


def test_a_list_of_an_empty_vault_is_refused(vault):
    with pytest.raises(ListError, match="no list of this name"):
        vault.load("synthetic")


# versions


def test_the_same_list_again_changes_nothing(kept, home):
    before = state(home)
    assert kept.add(INFO, ENTRIES) == kept.load("synthetic").info
    assert state(home) == before


@pytest.mark.parametrize("others", [(replace(INFO, owner="another"), ENTRIES), (INFO, FEWER)])
def test_another_list_under_the_same_name_is_refused(kept, home, others):
    before = state(home)
    with pytest.raises(ListError, match="another list has this name"):
        kept.add(*others)
    assert state(home) == before


def test_a_list_is_superseded_when_asked_for(kept):
    old = kept.load("synthetic").info
    new = kept.add(INFO, FEWER, replace=True)
    assert new.version != old.version
    assert same(kept.load("synthetic").entries, FEWER)


def changed_versions(vault):
    md5 = PLANTED[Kind.MD5]
    yield vault.add(INFO, FEWER).version
    for change in ({"owner": "b"}, {"category": Category.TERRORISM}, {"licence": "b"}, {"as_of": "2026-01-30"},
                   {"purpose": "b"}, {"expires": "unknown"}):  # fmt: skip
        yield vault.add(replace(INFO, **change), FEWER, replace=True).version
    yield vault.add(INFO, {Kind.MD5: columns(Kind.MD5, md5[:-1])}, replace=True).version
    yield vault.add(INFO, {Kind.URL_MD5: columns(Kind.URL_MD5, md5)}, replace=True).version
    yield vault.add(INFO, {Kind.MD5: columns(Kind.MD5, md5, flags=np.ones(5, np.uint8))}, replace=True).version
    yield vault.add(INFO, {Kind.MD5: columns(Kind.MD5, md5, ids=np.array([b"x"] * 5))}, replace=True).version


def test_whatever_changes_changes_the_version(vault):
    versions = list(changed_versions(vault))
    assert len(set(versions)) == len(versions) == 11


def test_the_version_does_not_depend_on_spare_room_in_ids_or_empty_kinds(vault):
    first = vault.add(INFO, FEWER).version
    roomy = columns(Kind.MD5, PLANTED[Kind.MD5], ids=FEWER[Kind.MD5].ids.astype("S40"))
    empty = columns(Kind.PDQ, [], ids=np.zeros(0, "S1"))
    assert vault.add(INFO, {Kind.PDQ: empty, Kind.MD5: roomy}).version == first


def test_a_callers_version_and_counts_are_not_believed(vault):
    final = vault.add(replace(INFO, version="0", entries={Kind.MD5: 99}), FEWER)
    assert final.entries == {Kind.MD5: 5}
    assert len(final.version) == 64


def test_versions_of_two_vaults_cannot_be_compared(tmp_path):
    assert len({Vault(tmp_path / name).add(INFO, FEWER).version for name in ("a", "b")}) == 2


def test_the_packed_form_and_its_version_stay():
    header = (
        b'{"bank":"%b","columns":[{"id_width":4,"kind":"md5","rows":2}],"format":"vetset-list","info":{"as_of":"unknown",'
        b'"aside":{},"category":"other","entries":{"md5":2},"expires":"unknown","licence":"l","name":"n","origin":"stated",'
        b'"owner":"o","pdq_radius":null,"purpose":"unknown","share_counts":true,"version":"%b"},"version":3}'
    )
    columns_of = [bytes(16) + b"\1" * 16, b"id-0id-1", bytes(2), b"\1\1"]
    body = b"".join(column.ljust(64, b"\0") for column in columns_of)
    secret, bank = bytes(range(32)), "ab" * 32
    line = header % (b"", b"")
    version = blake3(line.ljust(len(line) | 63) + b"\n" + body, key=secret).hexdigest()
    info = ListInfo("n", "o", Category.OTHER, "l")
    pieces, final = packing.pack(info, {Kind.MD5: columns(Kind.MD5, [bytes(16), b"\1" * 16])}, secret, bank)
    line = header % (bank.encode(), version.encode())
    assert final.version == version
    assert b"".join(pieces) == line.ljust(len(line) | 63) + b"\n" + body


@given(rows=st.lists(st.binary(min_size=20, max_size=20), max_size=8), changes=st.integers(0, 3))
def test_ascending_is_what_sorting_says(rows, changes):
    rows = sorted(set(rows)) if changes == 0 else rows
    values = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 20)
    assert packing._ascending(values) == (rows == sorted(set(rows)))


@pytest.mark.parametrize("at", [None, 2, 3, 4, 9])
def test_ascending_is_seen_across_the_rows_that_are_compared_at_once(monkeypatch, at):
    monkeypatch.setattr(packing, "_ROWS", 3)
    values = np.arange(10, dtype=np.uint64).astype(">u8").view(np.uint8).reshape(10, 8).copy()
    if at is not None:
        values[at] = values[at - 1]
    assert packing._ascending(values) == (at is None)


def test_columns_are_the_memory_of_the_content():
    pieces, _ = packing.pack(INFO, ENTRIES, bytes(32))
    content = memoryview(bytearray(b"".join(pieces)))
    found, _ = packing.unpack(content, bytes(32))
    for column in found.entries.values():
        for array in (column.values, column.ids, column.flags, column.members):
            assert np.shares_memory(array, np.frombuffer(content, np.uint8))
            assert not array.flags.writeable
            place = (
                array.__array_interface__["data"][0] - np.frombuffer(content, np.uint8).__array_interface__["data"][0]
            )
            assert place % 64 == 0


# at rest


def test_folders_and_files_are_for_their_owner_alone(kept, home):
    modes = {str(path.relative_to(home)): stat.S_IMODE(path.stat().st_mode) for path in [home, *home.rglob("*")]}
    assert modes == {
        ".": 0o700,
        "vault.key": 0o600,
        "vault.lock": 0o600,
        "lists": 0o700,
        "lists/synthetic.list": 0o600,
    }


def forms_of(raw):
    encoded = {base64.b64encode(bytes(shift) + raw)[4:-4] for shift in range(3)}
    encoded |= {base64.urlsafe_b64encode(bytes(shift) + raw)[4:-4] for shift in range(3)}
    return {raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), base64.b32encode(raw)[:-6], *encoded}


def test_no_value_lies_in_the_clear_in_any_form(kept, home):
    everything = b"\n".join(state(home).values())
    forms = {form for values in PLANTED.values() for raw in values for form in forms_of(raw)}
    assert not [form for form in forms if form in everything]
    assert b"synthetic" not in everything


def test_the_search_for_values_would_find_one():
    raw = PLANTED[Kind.MD5][0]
    for shift in range(3):
        text = base64.b64encode(b"x" * shift + raw + b"xxxxx")
        assert any(form in text for form in forms_of(raw))


def test_nothing_is_ever_written_but_sealed_bytes(vault, monkeypatch):
    written = []
    real = os.open

    def watched(path, flags, *rest, **more):
        if flags & (os.O_WRONLY | os.O_RDWR):
            written.append(os.path.basename(os.fspath(path)))  # noqa: PTH119 — os.open may be given bytes
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    vault.add(INFO, ENTRIES)
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in written} == {
        "vault.lock",
        "vault.key",
        "synthetic.list",
    }


def test_no_form_of_a_list_or_vault_shows_a_value(kept, caplog):
    caplog.set_level(logging.DEBUG)
    found = kept.load("synthetic")
    shown = (
        " ".join(f"{one!r} {one}" for one in (found, found.entries[Kind.MD5], kept, found.info, kept._key()))
        + caplog.text
    )
    secrets = json.loads((kept._home / "vault.key").read_text())
    values = [raw.hex() for kind in LIST_KINDS for raw in PLANTED[kind]]
    assert not [secret for secret in (*values, secrets["identity"], secrets["secret"]) if secret in shown]
    assert repr(PLANTED[Kind.MD5][0]) not in shown


# damage and loss


def flipped(path, step):
    """The file with one bit of every so many bytes flipped, one after the other."""
    whole = path.read_bytes()
    for place in range(0, len(whole), step):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        yield place


def test_every_flipped_byte_is_noticed(vault, home):
    vault.add(INFO, FEWER)
    for _ in flipped(list_file(home), 3):
        with pytest.raises(SealError, match=r"^synthetic:"):
            vault.load("synthetic")


def test_what_is_known_of_a_list_is_read_without_its_entries(kept, home):
    assert kept.info("synthetic") == kept.load("synthetic").info
    # age seals 64 KiB at a time: what lies before a damaged piece is as good as it was
    values = sorted(value(Kind.MD5, number) for number in range(5_000))
    known = kept.add(replace(INFO, name="long"), {Kind.MD5: columns(Kind.MD5, values)})
    path = home / "lists" / "long.list"
    path.write_bytes(path.read_bytes()[:-20_000])
    with pytest.raises(SealError):
        kept.load("long")
    assert kept.infos() == [known, kept.load("synthetic").info]


def test_a_damaged_beginning_is_noticed_without_the_rest(vault, home):
    known = vault.add(INFO, FEWER)
    path = list_file(home)
    for _ in flipped(path, 7):
        try:
            assert vault.info("synthetic") == known
        except TrustError as error:
            assert str(error).startswith("synthetic:")  # noqa: PT017
    for content in (b"", b"no line", b"{}\n", b"x" * (packing.MOST_HEADER + 1)):
        path.write_bytes(seal(content, [vault._key().recipient]))
        with pytest.raises(SealError, match=r"^synthetic:"):
            vault.info("synthetic")


def test_another_lists_file_in_its_place_is_noticed(kept, home):
    kept.add(replace(INFO, name="other"), FEWER)
    list_file(home).write_bytes((home / "lists" / "other.list").read_bytes())
    for read in (kept.load, kept.info):
        with pytest.raises(SealError, match="another name"):
            read("synthetic")


def test_a_list_that_somebody_else_sealed_to_the_vault_is_not_believed(kept, home):
    key = kept._key()
    pieces, _ = packing.pack(replace(INFO, entries={}), FEWER, bytes(32))
    list_file(home).write_bytes(seal(b"".join(pieces), [key.recipient]))
    with pytest.raises(SealError, match="not what this vault wrote"):
        kept.load("synthetic")


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: b"{}\n",
        lambda data: b"[]\n",
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data.replace(b'"rows":5', b'"rows":4', 1),
        lambda data: data.replace(b'"rows":5', b'"rows":99999999999999', 1),
        lambda data: data.replace(b'"rows":5', b'"rows":-5', 1),
        lambda data: data.replace(b'"rows":5', b'"rows":"x"', 1),
        lambda data: data.replace(b'"id_width":4', b'"id_width":0', 1),
        lambda data: data.replace(b'"kind":"md5"', b'"kind":"md6"', 1),
        lambda data: data.replace(b'"kind":"md5"', b'"kind":"url_md5"', 1),
        lambda data: data.replace(b'"owner"', b'"holder"', 1),
        lambda data: data.replace(b'"other"', b'"another"', 1),
        lambda data: data.replace(b"vetset-list", b"vetset-lisT", 1),
        lambda data: data.replace(b'"version":3', b'"version":2', 1),
        lambda data: data.replace(b'"bank":""', b'"bank":"x"', 1),
        lambda data: data.replace(b'"bank":""', b'"bank":null', 1),
        lambda data: data.replace(b'"rows":5', b'"rows":0', 1),
        lambda data: data.replace(b'"id_width":4', b'"id_width":4000000000', 1),
        lambda data: data.replace(b'"sha1":5', b'"sha1":6', 1),
        lambda data: data.replace(b"\n", b" ", 1).replace(b"\n", b" "),
        lambda data: data.replace(b'"columns":[', b'"columns":[1,', 1),
        lambda data: data.replace(b'"entries":{', b'"entries":{"md5":5,', 1),
    ],
)
def test_content_of_another_form_is_refused(kept, home, change):
    key = kept._key()
    data = unseal(list_file(home).read_bytes(), key.identity)
    changed = change(data)
    assert changed != data
    list_file(home).write_bytes(seal(changed, [key.recipient]))
    with pytest.raises(SealError):
        kept.load("synthetic")


def test_the_key_of_another_vault_is_noticed(kept, home, tmp_path):
    Vault(tmp_path / "other").add(INFO, FEWER)
    (home / "vault.key").write_bytes((tmp_path / "other" / "vault.key").read_bytes())
    with pytest.raises(KeyFileError, match=r"^synthetic:"):
        kept.load("synthetic")


def test_a_lost_key_is_not_replaced_by_a_new_one(kept, home):
    (home / "vault.key").unlink()
    for use in (lambda: kept.load("synthetic"), lambda: kept.add(replace(INFO, name="other"), FEWER)):
        with pytest.raises(KeyFileError, match=r"vault\.key"):
            use()
    assert not (home / "vault.key").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_key_that_others_can_reach_is_refused(kept, home, mode):
    (home / "vault.key").chmod(mode)
    with pytest.raises(KeyFileError, match=r"chmod 600 /.*vault\.key"):
        kept.load("synthetic")


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_can_change_is_refused(kept, home, mode):
    home.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 700"):
        kept.load("synthetic")


@pytest.mark.parametrize(
    "changes",
    [{"format": "x"}, {"version": 2}, {"identity": "AGE"}, {"identity": 1}, {"secret": "00"}, {"secret": None}],
)
def test_a_malformed_key_is_refused_without_quoting_it(kept, home, changes):
    path = home / "vault.key"
    document = json.loads(path.read_text())
    path.write_text(json.dumps(document | changes))
    with pytest.raises(KeyFileError, match="malformed") as caught:
        kept.load("synthetic")
    assert not [part for part in (document["identity"], document["secret"]) if part in str(caught.value)]


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{"])
def test_a_key_that_is_no_document_is_refused(kept, home, data):
    (home / "vault.key").write_bytes(data)
    with pytest.raises(TrustError, match="malformed"):
        kept.load("synthetic")


def test_a_file_that_cannot_be_read_is_a_list_error(kept, home):
    list_file(home).unlink()
    list_file(home).mkdir()
    with pytest.raises(ListError, match="cannot be read"):
        kept.load("synthetic")


# interrupted writing


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_list(kept, home, monkeypatch, call):
    before = state(home)
    if call == "fsync":
        monkeypatch.setattr(os, "fsync", no_space)
    else:
        monkeypatch.setattr("pathlib.Path.replace", no_space)
    with pytest.raises(OutputError, match="No space left"):
        kept.add(INFO, FEWER, replace=True)
    assert state(home) == before
    assert same(kept.load("synthetic").entries, ENTRIES)


def test_a_full_disk_while_the_key_is_made_leaves_no_key(vault, home, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(OutputError):
            vault.add(INFO, FEWER)
    assert not (home / "vault.key").exists()
    assert vault.add(INFO, FEWER).entries == {Kind.MD5: 5}


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from vetset.hashlist.vault.vault import Vault
from vetset.model.hashlist import Category, Entries, ListInfo
from vetset.model.signal import Kind
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
new = Entries(Kind.MD5, np.zeros((1, 16), np.uint8), np.array([b"new"]), np.zeros(1, np.uint8), np.ones(1, np.uint8))
Vault(Path(sys.argv[1])).add(ListInfo("synthetic", "b", Category.OTHER, "c"), {Kind.MD5: new}, replace=True)
"""


def test_a_killed_import_leaves_the_old_list_and_its_leftover_is_cleared(kept, home):
    before = state(home)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(home)], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    left = state(home).keys() - before.keys()
    assert len(left) == 1
    assert same(kept.load("synthetic").entries, ENTRIES)
    assert kept.names() == ["synthetic"]
    kept.add(INFO, FEWER, replace=True)
    assert state(home).keys() == before.keys()


ADDING = """
import sys
from pathlib import Path
import numpy as np
from vetset.hashlist.vault.vault import Vault
from vetset.model.hashlist import Category, Entries, ListInfo
from vetset.model.signal import Kind
one = Entries(Kind.MD5, np.zeros((1, 16), np.uint8), np.array([b"one"]), np.zeros(1, np.uint8), np.ones(1, np.uint8))
Vault(Path(sys.argv[1])).add(ListInfo(sys.argv[2], "b", Category.OTHER, "c"), {Kind.MD5: one})
"""


def test_two_first_imports_at_once_share_one_key(home):
    running = [subprocess.Popen([sys.executable, "-c", ADDING, str(home), f"list-{number}"]) for number in range(3)]
    assert [process.wait(timeout=60) for process in running] == [0, 0, 0]
    assert [info.name for info in Vault(home).infos()] == ["list-0", "list-1", "list-2"]


def test_a_home_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError):
        Vault(tmp_path / "file" / "home").add(INFO, FEWER)


def test_what_an_error_says_to_do_does_it(kept, home):
    (home / "vault.key").chmod(0o640)
    with pytest.raises(KeyFileError) as error:
        kept.load("synthetic")
    assert f"chmod 600 {home / 'vault.key'}" in error.value.todo
    (home / "vault.key").chmod(0o600)
    found = kept.load("synthetic")
    (home / "lists" / "synthetic.list").write_bytes(b"damage")
    with pytest.raises(SealError, match="vetset lists remove"):
        kept.load("synthetic")
    kept.remove("synthetic")
    assert kept.add(found.info, found.entries) == found.info
    (home / "vault.key").unlink()
    with pytest.raises(KeyFileError) as error:
        kept.load("synthetic")
    assert "keygen" not in str(error.value)


def test_a_removed_list_is_gone(kept, home):
    kept.remove("synthetic")
    assert kept.names() == []
    assert not list_file(home).exists()
    with pytest.raises(ListError, match="no list of this name"):
        kept.remove("synthetic")


# what is refused


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"name": ""}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": "-a"}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": 5}, "name"),
        (
            {"category": "csam"},
            "child-abuse, exploitative, .*, benign, other",
        ),
        ({"owner": ""}, "owner"),
        ({"owner": "\x1b[2J"}, "owner"),
        ({"licence": " "}, "licence"),
        ({"licence": "a\nb"}, "licence"),
        ({"purpose": ""}, "purpose"),
        ({"purpose": "x" * 1001}, "purpose"),
        ({"as_of": "yesterday"}, "YYYY-MM-DD"),
        ({"as_of": "20260131"}, "YYYY-MM-DD"),
        ({"as_of": "2026-W05-1"}, "YYYY-MM-DD"),
        ({"as_of": "2026-02-30"}, "YYYY-MM-DD"),
        ({"expires": "2026-01-31T00:00"}, "YYYY-MM-DD"),
        ({"expires": "2026-01-30"}, "expires before"),
        ({"purpose": "dataset audit"}, r"purpose.*dataset-audit"),
        ({"purpose": "dataset-audit, research"}, "no spaces"),
        ({"purpose": "dataset-audit,"}, "purpose"),
        ({"purpose": "Audit"}, "purpose"),
        ({"purpose": "audit\n"}, "purpose"),
        ({"origin": ""}, "origin"),
        ({"origin": "signed:"}, "fingerprint"),
        ({"origin": "signed:XY"}, "fingerprint"),
        ({"origin": "service:"}, "host"),
        ({"origin": "service:https://host"}, "host"),
        ({"origin": "somebody"}, "origin"),
        ({"pdq_radius": 32}, "0 to 31"),
        ({"pdq_radius": -1}, "0 to 31"),
        ({"pdq_radius": True}, "0 to 31"),
        ({"pdq_radius": 3.0}, "0 to 31"),
        ({"share_counts": 1}, "share_counts"),
        ({"aside": {"Grid": 1}}, "aside"),
        ({"aside": {"grid": -1}}, "aside"),
        ({"aside": {"grid": True}}, "aside"),
        ({"aside": {"grid": 1.5}}, "aside"),
        ({"aside": {5: 1}}, "aside"),
        ({"aside": ["grid"]}, "aside"),
    ],
)
def test_malformed_information_is_refused_before_anything_is_written(vault, home, changes, what):
    with pytest.raises(ListError, match=what):
        vault.add(replace(INFO, **changes), FEWER)
    assert not home.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"purpose": "dataset-audit,research,ai-2"},
        {"purpose": "unknown"},
        {"origin": "signed:0123456789abcdef"},
        {"origin": "service:hashes.example.org"},
        {"origin": "service:127.0.0.1:8080"},
        {"pdq_radius": 0},
        {"pdq_radius": 31, "share_counts": False},
        {"aside": {"withdrawn": 0, "grid": 12}},
        {"owner": "unknown"},
    ],
)
def test_what_is_told_comes_back(vault, changes):
    told = vault.add(replace(INFO, **changes), FEWER)
    assert {name: getattr(told, name) for name in changes} == changes
    assert vault.load("synthetic").info == told


def test_a_category_may_come_as_its_word(vault):
    assert vault.add(replace(INFO, category="opt-out"), FEWER).category is Category.OPT_OUT


MD5 = PLANTED[Kind.MD5]
MALFORMED = {
    "nothing": ({}, "no entry"),
    "no rows": ({Kind.MD5: columns(Kind.MD5, [], ids=np.zeros(0, "S1"))}, "no entry"),
    "embeddings": ({Kind.EMBEDDING: columns(Kind.MD5, MD5)}, "this kind"),
    "another kind's": ({Kind.URL_MD5: columns(Kind.MD5, MD5)}, "this kind"),
    "another width": ({Kind.SHA1: replace(columns(Kind.MD5, MD5), kind=Kind.SHA1)}, "width"),
    "another type": ({Kind.MD5: columns(Kind.MD5, MD5, values=columns(Kind.MD5, MD5).values.view(np.int8))}, "width"),
    "unsorted": ({Kind.MD5: columns(Kind.MD5, MD5[::-1])}, "sorted"),
    "doubled": ({Kind.MD5: columns(Kind.MD5, [MD5[0], MD5[0]])}, "distinct"),
    "too few ids": ({Kind.MD5: columns(Kind.MD5, MD5, ids=np.array([b"a"]))}, "ids"),
    "ids of another type": ({Kind.MD5: columns(Kind.MD5, MD5, ids=np.array(["a"] * 5))}, "ids"),
    "long ids": ({Kind.MD5: columns(Kind.MD5, MD5, ids=np.array([b"a" * 65] * 5))}, "ids"),
    "too few flags": ({Kind.MD5: columns(Kind.MD5, MD5, flags=np.zeros(4, np.uint8))}, "flags"),
    "flags of another type": ({Kind.MD5: columns(Kind.MD5, MD5, flags=np.zeros(5, np.int8))}, "flags"),
    "unknown flags": ({Kind.MD5: columns(Kind.MD5, MD5, flags=np.full(5, 16, np.uint8))}, "flags"),
    "members of none": ({Kind.MD5: columns(Kind.MD5, MD5, members=np.zeros(5, np.uint8))}, "members"),
}


@pytest.mark.parametrize(("entries", "what"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_entries_are_refused_before_anything_is_written(vault, home, entries, what):
    with pytest.raises(ListError, match=what):
        vault.add(INFO, entries)
    assert not home.exists()


def test_ids_of_64_characters_are_kept(vault):
    vault.add(INFO, {Kind.MD5: columns(Kind.MD5, MD5, ids=np.array([b"a" * 64] * 5))})
    assert list(vault.load("synthetic").entries[Kind.MD5].ids) == [b"a" * 64] * 5


def test_a_list_may_expire_on_its_own_date(vault):
    assert vault.add(replace(INFO, expires=INFO.as_of), FEWER).expires == INFO.as_of


# home and dates


def test_the_variable_names_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "x"))
    assert default_home() == tmp_path / "x"


@pytest.mark.parametrize("named", [None, ""])
def test_without_the_variable_it_is_in_the_users_home(monkeypatch, tmp_path, named):
    monkeypatch.setenv("HOME", str(tmp_path))
    if named is None:
        monkeypatch.delenv("VETSET_HOME", raising=False)
    else:
        monkeypatch.setenv("VETSET_HOME", named)
    assert default_home() == tmp_path / ".vetset"


def test_a_home_of_nobody_is_a_usage_error(monkeypatch):
    monkeypatch.setenv("VETSET_HOME", "~nobody-of-this-name/x")
    with pytest.raises(UsageError, match="VETSET_HOME"):
        default_home()


def test_a_list_is_usable_up_to_its_last_day():
    require_usable(INFO, date(2026, 12, 31))
    require_usable(replace(INFO, expires="unknown"), date(9999, 1, 1))


def test_an_expired_list_is_refused():
    with pytest.raises(ListError, match=r"synthetic: the list has expired.*2026-12-31.*2027-01-01"):
        require_usable(INFO, date(2027, 1, 1))
