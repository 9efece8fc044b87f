"""Sealed parts: who may open them, and what shows when one is gone, moved, replaced or changed."""

import errno
import fcntl
import json
import stat
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from case_parts import (
    FLOOR,
    KEY,
    SECOND,
    STRANGER,
    another_round,
    findings,
    ledger,
    record,
    verdicts,
    written,
)

from vetset.case import ledger as module
from vetset.case.findings import PART, fold
from vetset.case.ledger import Ledger, packed, seal_floor, unpacked
from vetset.model.errors import KeyFileError, OutputError, SealError
from vetset.model.policy import SealPolicy
from vetset.model.verdict import Decision
from vetset.seal.chain import link
from vetset.seal.envelope import seal
from vetset.seal.padding import pad
from vetset.storage.commit import PARTIAL

LATER = (verdicts(), another_round(), verdicts("third", Decision.NEAR))


@pytest.fixture
def case(tmp_path):
    return written(tmp_path, LATER)


def test_an_opened_case_is_the_fold_of_its_parts(case):
    opened = case.open(KEY)
    assert opened.parts == 4
    assert opened.findings == fold([findings(), *LATER])
    assert opened.findings.digest == fold([findings(), *LATER]).digest


def test_candidates_keep_the_evidence_that_brought_them_first_and_verdicts_stand_side_by_side(case):
    folded = case.open(KEY).findings
    assert [candidate.record for candidate in folded.candidates] == [record(5), record(8)]
    assert [entry.number for entry in folded.rounds] == [1, 2]
    assert [verdict.decision for verdict in folded.verdict_of()[record(5)]] == [Decision.KNOWN, Decision.NEAR]


def test_the_case_of_another_audit_is_refused(tmp_path):
    mine = Ledger(tmp_path, [KEY.public.recipient], FLOOR, "mine")
    mine.write_first(findings())
    mine.append(verdicts())
    assert mine.open(KEY).parts == 2
    with pytest.raises(SealError, match="another audit"):
        Ledger(tmp_path, [KEY.public.recipient], FLOOR, "another").open(KEY)


def test_what_run_json_said_when_a_part_was_sealed_is_what_it_must_say_when_it_is_opened(tmp_path):
    def beside(told):
        return Ledger(tmp_path, [KEY.public.recipient], FLOOR, "mine", told)

    beside("said").write_first(findings())
    assert beside("said").open(KEY).bound
    with pytest.raises(SealError, match=r"run\.json does not say"):
        beside("another").open(KEY)
    assert not beside("").open(KEY).bound  # as long as the run goes on
    beside("another").append(verdicts())
    with pytest.raises(SealError, match=r"run\.json does not say") as caught:
        beside("said").open(KEY)
    assert caught.value.where == "case/000002.age"


def test_a_part_of_before_states_nothing_of_run_json_and_opens_unbound(tmp_path):
    case = Ledger(tmp_path, [KEY.public.recipient], FLOOR, "mine", "said")
    forged(case, {"number": 1, "previous": None, "audit": "mine", "content": content(findings())})
    case.append(verdicts())
    assert (case.open(KEY).parts, case.open(KEY).bound) == (2, False)


@pytest.mark.parametrize("key", [KEY, SECOND])
def test_every_recipient_opens_the_case_alone(tmp_path, key):
    case = written(tmp_path, LATER, keys=(KEY, SECOND))
    assert case.open(key).findings == fold([findings(), *LATER])


def test_a_foreign_key_is_refused_with_its_own_exit_code(case):
    with pytest.raises(KeyFileError) as caught:
        case.open(STRANGER)
    assert (caught.value.exit_code, caught.value.where) == (20, "case/000001.age")


def test_appending_needs_no_private_key_and_the_chain_goes_on(tmp_path):
    written(tmp_path)
    before = ledger(tmp_path).head()
    ledger(tmp_path).append(verdicts())
    after = ledger(tmp_path)
    assert after.head() == link(before, after.paths()[1].read_bytes()) == after.open(KEY).head


def test_a_case_without_parts_says_what_to_do(tmp_path):
    with pytest.raises(SealError, match="no sealed bundle") as caught:
        ledger(tmp_path).open(KEY)
    assert caught.value.exit_code == 22
    (tmp_path / "case").mkdir()
    with pytest.raises(SealError, match="no sealed bundle"):
        ledger(tmp_path).open(KEY)


def test_no_later_part_takes_the_place_of_the_first(tmp_path):
    with pytest.raises(SealError, match="missing"):
        ledger(tmp_path).append(verdicts())
    assert ledger(tmp_path).paths() == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_that_was_taken_out_is_missed(case, number):
    case.paths()[number - 1].unlink()
    with pytest.raises(SealError, match="missing"):
        case.open(KEY)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_taking_a_part_out_and_closing_the_gap_is_noticed(case, number):
    paths = case.paths()
    paths[number - 1].unlink()
    for path, to in zip(paths[number:], paths[number - 1 :], strict=False):
        path.rename(to)
    with pytest.raises(SealError):
        case.open(KEY)


def test_two_parts_that_changed_places_are_noticed(case):
    second, third = case.paths()[1:3]
    one, two = second.read_bytes(), third.read_bytes()
    second.write_bytes(two)
    third.write_bytes(one)
    with pytest.raises(SealError, match="does not follow"):
        case.open(KEY)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_part_of_another_case_is_noticed_by_the_part_behind_it(case, tmp_path, number):
    other = written(tmp_path / "other", LATER)
    case.paths()[number - 1].write_bytes(other.paths()[number - 1].read_bytes())
    with pytest.raises(SealError, match="does not follow"):
        case.open(KEY)


def test_without_the_chain_a_replaced_part_would_pass(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "link", lambda *_: "the same for all")
    case, other = (written(tmp_path / name, LATER) for name in ("a", "b"))
    case.paths()[1].write_bytes(other.paths()[1].read_bytes())
    assert case.open(KEY).parts == 4


def test_any_flipped_bit_is_a_seal_error_that_names_the_part(tmp_path):
    case = written(tmp_path, (verdicts(),))
    path = case.paths()[1]
    data = path.read_bytes()
    rng = np.random.default_rng(4)
    everywhere = rng.choice(len(data) * 8, 250, replace=False).tolist()
    beginning = range(0, 110 * 8, 3)
    for bit in {*everywhere, *beginning, len(data) * 8 - 1}:
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(damaged)
        with pytest.raises(SealError) as caught:
            case.open(KEY)
        assert (caught.value.where, caught.value.exit_code) == ("case/000002.age", 22)


@pytest.mark.parametrize("length", [0, 1, 50, 99, 0.5, -1])
def test_a_truncated_part_is_a_seal_error(tmp_path, length):
    case = written(tmp_path)
    data = case.paths()[0].read_bytes()
    case.paths()[0].write_bytes(data[: length if isinstance(length, int) else int(length * len(data))])
    with pytest.raises(SealError, match=r"000001\.age"):
        case.open(KEY)


def test_something_behind_a_part_is_a_seal_error(tmp_path):
    case = written(tmp_path)
    with case.paths()[0].open("ab") as file:
        file.write(b"\0")
    with pytest.raises(SealError):
        case.open(KEY)


def forged(case, document, number=1):
    """Seal any document, as whoever holds the public key can."""
    plain = document if isinstance(document, bytes) else packed(document, FLOOR)
    case._folder.mkdir(exist_ok=True)
    (case._folder / f"{number:06}.age").write_bytes(seal(plain, [KEY.public]))
    return case


def content(part):
    return PART.dump_python(part, mode="json")


ODD = {
    "a list": [],
    "nothing": {},
    "no content": {"number": 1, "previous": None},
    "another kind": {"number": 1, "previous": None, "content": {"part": "other"}},
    "a wrong type": {
        "number": 1,
        "previous": None,
        "content": {**content(findings()), "matches": "https://secret.example/"},
    },
    "verdicts first": {"number": 1, "previous": None, "content": content(verdicts())},
    "another number": {"number": 2, "previous": None, "content": content(findings())},
    "a head before it": {"number": 1, "previous": "00", "content": content(findings())},
    "not padded": b"{}",
    "not compressed": pad(b"{}", FLOOR),
    "cut off": pad(zlib.compress(b"{}")[:-1], FLOOR),
    "something behind it": pad(zlib.compress(b"{}") + b"x", FLOOR),
    "not json": pad(zlib.compress(b"https://secret.example/"), FLOOR),
    "too deep": pad(zlib.compress(b"[" * 200_000), FLOOR),
    "a name twice": pad(zlib.compress(b'{"number": 1, "number": 1}'), FLOOR),
}


@pytest.mark.parametrize("document", ODD.values(), ids=ODD.keys())
def test_a_sealed_part_that_holds(tmp_path, document):
    """… something else than a part is a seal error that repeats nothing of it."""
    with pytest.raises(SealError) as caught:
        forged(ledger(tmp_path), document).open(KEY)
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"
    assert caught.value.where == "case/000001.age"


def test_what_an_audit_found_cannot_come_twice(tmp_path):
    case = written(tmp_path)
    again = {"number": 2, "previous": case.head(), "content": content(findings(0, 0))}
    with pytest.raises(SealError, match="something else"):
        forged(case, again, number=2).open(KEY)


def test_a_part_that_unpacks_to_more_than_any_part_can_be_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_PART_BYTES", 1000)
    with pytest.raises(SealError, match="longer than any part"):
        forged(ledger(tmp_path), {"number": 1, "content": "x" * 20000}).open(KEY)


def test_whatever_was_found_opens_again_however_much_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_PART_BYTES", 1000)
    case = ledger(tmp_path)
    case.write_first(findings(2000, 0))
    assert len(case.open(KEY).findings.matches) == 2000


def test_the_first_part_may_be_written_again_until_another_follows(tmp_path):
    case = written(tmp_path)
    case.write_first(findings(2, 0))
    assert len(case.open(KEY).findings.matches) == 2
    case.append(verdicts())
    with pytest.raises(SealError, match="goes on already"):
        case.write_first(findings())
    assert case.open(KEY).parts == 2


def test_parts_that_are_appended_at_once_all_stay(tmp_path):
    case = written(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: ledger(tmp_path).append(verdicts(f"verifier-{number}")), range(12)))
    assert {verdict.verifier for verdict in case.open(KEY).findings.verdicts} == {f"verifier-{n}" for n in range(12)}


def test_what_a_killed_run_left_half_sealed_is_ignored_and_removed_by_the_next(tmp_path):
    case = written(tmp_path)
    left = tmp_path / "case" / f"000002.age.01234567{PARTIAL}"
    left.write_bytes(b"half")
    assert case.open(KEY).parts == 1
    case.append(verdicts())
    assert not left.exists()
    assert case.open(KEY).parts == 2


def test_a_full_disk_leaves_the_case_as_it_was(tmp_path, monkeypatch):
    case = written(tmp_path)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(OutputError):
            case.append(verdicts())
    assert [path.name for path in (tmp_path / "case").iterdir()] == ["000001.age"]
    assert case.open(KEY).parts == 1


def test_sealed_parts_are_for_their_owner_only(case):
    for path in [case._folder, *case._folder.iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_part_is_as_large_with_findings_as_without(tmp_path, count):
    sizes = set()
    for number, part in enumerate((findings(0, 0), findings(count, count))):
        case = ledger(tmp_path / str(number))
        case.write_first(part)
        sizes.add(case.paths()[0].stat().st_size)
    assert len(sizes) == 1


def test_without_padding_the_size_would_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "pad", lambda payload, _: payload)
    sizes = set()
    for number, part in enumerate((findings(0, 0), findings(3, 3))):
        case = ledger(tmp_path / str(number))
        case.write_first(part)
        sizes.add(case.paths()[0].stat().st_size)
    assert len(sizes) == 2


def test_the_floor_grows_with_the_dataset_and_not_with_findings():
    policy = SealPolicy(floor_bytes=1024, bytes_per_record=0.5)
    assert [seal_floor(policy, records) for records in (0, 2048, 10_000)] == [1024, 1024, 5000]


def test_what_is_packed_comes_back():
    document = {"a": [1, 2.5, None, "ä"], "b": {"c": True}}
    assert unpacked(packed(document, FLOOR), "here") == json.loads(json.dumps(document))


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOTSUP])
def test_a_part_is_sealed_where_the_file_system_has_no_locks(case, monkeypatch, reason):
    def none(*_):
        raise OSError(reason, "no locks")

    monkeypatch.setattr(fcntl, "flock", none)
    case.append(verdicts())
    assert case.open(KEY).parts == 5


@pytest.mark.parametrize(("where", "what"), [(fcntl, "flock"), (module.os, "open")])
def test_a_folder_that_cannot_be_opened_or_locked_is_an_output_error(case, monkeypatch, where, what):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(where, what, refuse)
    with pytest.raises(OutputError, match="Permission denied"):
        case.append(verdicts())


def test_a_folder_that_cannot_be_read_is_not_one_without_parts(case, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    for what in ("iterdir", "_scandir"):
        monkeypatch.setattr(type(case._folder), what, refuse, raising=False)
    with pytest.raises(SealError, match="Permission denied"):
        case.open(KEY)
