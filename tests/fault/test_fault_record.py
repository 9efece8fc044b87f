"""A decoder that crashes, hangs or eats memory costs one record; through real workers, with real signals."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import deadly
import pytest

import vetset
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.formats import discover
from vetset.dataset.webdataset import pack
from vetset.engine.local import LocalEngine
from vetset.model.policy import ScanPolicy
from vetset.model.signal import Kind, Reason
from vetset.stage import scan as stage
from vetset.stage.progress import Silent
from vetset.stage.suspect import MOST_TRIALS
from vetset.store.part import Part
from vetset.store.passed import MOST_PASSED, PassedOver
from vetset.store.store import Store
from vetset.store.trail import Trail

SHORT = 1.5
LONG = 30.0
POLICY = ScanPolicy(min_pdq_quality=0)


@pytest.fixture(autouse=True)
def _deadly_workers(monkeypatch):
    """Workers take the module of deadly pictures for the script that started them, and so run it."""
    main = ModuleType("__main__")
    main.__file__ = deadly.__file__
    monkeypatch.setitem(sys.modules, "__main__", main)
    path = os.pathsep.join([str(Path(deadly.__file__).parent), str(Path(deadly.__file__).parents[1])])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([path, os.environ.get("PYTHONPATH", "")]))


class Counting(LocalEngine):
    """Remembers which shards were given to workers."""

    def __init__(self, workers=1, **limits):
        super().__init__(workers, **limits)
        self.read = []

    def map(self, task, items):
        self.read += [item.shard.uri for item in items]
        return super().map(task, items)


def scan(folder, *, engine=None, seconds=LONG, embedder="", reporter=None):
    """Scan `folder`/data into `folder`/store."""
    root = folder / "data"
    with Store(folder / "store") as store:
        return stage.scan(
            root,
            discover(root),
            store=store,
            mapping=ColumnMapping(),
            policy=POLICY,
            embedder=embedder,
            embedder_id=embedder,
            engine=engine or LocalEngine(1),
            reporter=reporter or Silent(),
            record_seconds=seconds,
        )


def reasons(folder, scanned, kind=Kind.PDQ):
    """Why records of a shard have no signal, by row."""
    part = Part(Store(folder / "store").part_path(scanned.part), scanned.uri)
    part.coverage(kind).check(scanned.uri)
    return {row: Reason(_reason(code)) for row, code in enumerate(part.why(kind).tolist()) if code}


def _reason(code):
    return next(reason for reason in Reason if reason.code == code)


def left(folder):
    """What is left of the search for a record."""
    return sorted(path.name for name in ("trails", "passed") for path in (folder / "store" / name).glob("*"))


def test_a_record_that_ends_its_worker_costs_itself_and_no_other(tmp_path):
    """… the first of a shard, its last, two of one shard, by any way to die; shards without one are as ever."""
    deeds = {(0, 0): "crash", (0, 5): "exit", (1, 3): "kill", (2, 2): "hang"}
    deadly.build(tmp_path / "data", deeds, shards=4)
    result = scan(tmp_path, engine=LocalEngine(2), seconds=SHORT)
    assert not result.failed
    expected = [{0: Reason.CRASHED, 5: Reason.CRASHED}, {3: Reason.CRASHED}, {2: Reason.TIMED_OUT}, {}]
    assert [reasons(tmp_path, shard) for shard in result.scanned] == expected
    assert [reasons(tmp_path, shard, Kind.SHA256) for shard in result.scanned] == [{}] * 4
    assert [{one.row: one.reason for one in shard.passed} for shard in result.scanned] == expected
    assert len(left(tmp_path)) == 3
    assert list((tmp_path / "store").glob("*/*.partial")) == []


def test_what_is_remembered_spares_the_next_run_and_gives_the_same_store(tmp_path):
    deadly.build(tmp_path / "data", {(0, 1): "crash"}, shards=2)
    first = scan(tmp_path)
    digest = Store(tmp_path / "store").digest()
    engine = Counting()
    assert scan(tmp_path, engine=engine).scanned == first.scanned
    assert engine.read == []
    for part in (tmp_path / "store" / "parts").iterdir():
        part.unlink()
    engine = Counting()
    assert scan(tmp_path, engine=engine).scanned == first.scanned
    assert sorted(engine.read) == ["00000.tar", "00001.tar"]  # each once: nobody died again
    assert Store(tmp_path / "store").digest() == digest


def test_without_what_is_remembered_the_record_is_tried_again_and_its_part_is_not_taken_for_another(tmp_path):
    deadly.build(tmp_path / "data", {})
    (whole,) = scan(tmp_path).scanned
    place = place_of(tmp_path)
    store = Store(tmp_path / "store")
    store.pass_over(*place, [PassedOver(1, Reason.CRASHED)])
    assert store.find(*place) is None
    (lacking,) = scan(tmp_path).scanned
    assert reasons(tmp_path, lacking) == {1: Reason.CRASHED}
    assert lacking.part != whole.part
    (store.folder / "passed").joinpath(left(tmp_path)[0]).unlink()
    engine = Counting()
    assert scan(tmp_path, engine=engine).scanned == (whole,)
    assert engine.read == []


def test_a_worker_that_somebody_else_killed_leaves_no_mark(tmp_path):
    deadly.build(tmp_path / "data", {(0, 2): "once"}, argument=str(tmp_path / "flag"))
    result = scan(tmp_path)
    assert (tmp_path / "flag").exists()
    assert not result.failed
    assert reasons(tmp_path, result.scanned[0]) == {}
    assert result.scanned[0].passed == ()
    assert left(tmp_path) == []


def test_a_record_that_took_too_long_is_tried_again_when_it_may_take_longer(tmp_path):
    deadly.build(tmp_path / "data", {(0, 4): "lazy"})
    (hurried,) = scan(tmp_path, seconds=deadly.LAZY_SECONDS / 2).scanned
    assert reasons(tmp_path, hurried) == {4: Reason.TIMED_OUT}
    engine = Counting()
    assert scan(tmp_path, seconds=deadly.LAZY_SECONDS / 4, engine=engine).scanned == (hurried,)
    assert engine.read == []
    (patient,) = scan(tmp_path, seconds=LONG).scanned
    assert reasons(tmp_path, patient) == {}
    assert patient.passed == ()
    assert scan(tmp_path, seconds=deadly.LAZY_SECONDS / 4, engine=engine).scanned == (patient,)
    assert engine.read == []


def test_memory_that_a_worker_may_not_have_makes_a_picture_too_large(tmp_path):
    deadly.build(tmp_path / "data", {(0, 2): "swallow"})
    result = scan(tmp_path, engine=LocalEngine(1, memory=2 << 30))
    assert reasons(tmp_path, result.scanned[0]) == {2: Reason.TOO_LARGE}
    assert reasons(tmp_path, result.scanned[0], Kind.MD5) == {}


def test_a_picture_that_hangs_the_model_costs_its_embedding_alone(tmp_path):
    (tmp_path / "data").mkdir()
    pictures = [deadly.encoded(tile) for tile in deadly.tiles(96, 6, 7)]
    pictures[0] = deadly.deadly(pictures[0], "crash")
    pictures[3] = deadly.encoded(deadly.tiles(deadly.DEADLY_WIDTH, 1, 8)[0])
    pack([(str(row), {"jpg": image}) for row, image in enumerate(pictures)], tmp_path / "data" / "0.tar")
    result = scan(tmp_path, embedder="deadly", seconds=SHORT / 3)  # the model is given six times as long
    assert not result.failed
    assert reasons(tmp_path, result.scanned[0]) == {0: Reason.CRASHED}
    assert reasons(tmp_path, result.scanned[0], Kind.EMBEDDING) == {0: Reason.CRASHED, 3: Reason.TIMED_OUT}


def test_a_shard_of_too_many_such_records_fails_and_says_so_and_does_not_try_for_ever(tmp_path):
    deadly.build(tmp_path / "data", {(0, row): "crash" for row in range(MOST_PASSED + 2)}, rows=MOST_PASSED + 2)
    place = place_of(tmp_path)
    store = Store(tmp_path / "store")
    store.pass_over(
        *place, [PassedOver(row, Reason.CRASHED) for row in range(MOST_PASSED)]
    )  # found before: this test is quick
    result = scan(tmp_path)
    assert "too many records of this shard" in str(result.failed["00000.tar"])
    assert len(store.passed(*place)) == MOST_PASSED + 1
    began = time.monotonic()
    assert "too many records" in str(scan(tmp_path).failed["00000.tar"])
    assert time.monotonic() - began < LONG
    assert len(store.passed(*place)) == MOST_PASSED + 1


RUN = """
import os, sys
from pathlib import Path
import deadly
if __name__ == "__mp_main__":
    deadly.become_deadly()
if __name__ == "__main__":
    import test_fault_record
    base = Path(sys.argv[1])
    (base / "pid").write_text(str(os.getpid()))
    result = test_fault_record.scan(base)
    print(result.failed, [one.reason.value for shard in result.scanned for one in shard.passed])
"""


def run(folder):
    (folder / "run.py").write_text(RUN)
    return subprocess.run(
        [sys.executable, str(folder / "run.py"), str(folder)], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_record_that_takes_the_whole_run_with_it_is_passed_over_at_last(tmp_path):
    deadly.build(tmp_path / "data", {(0, 2): "all"}, argument=str(tmp_path / "pid"))
    suspect(tmp_path, 0, 2, alone=1)  # two runs ended: one had it in hand among others, one tried it alone
    assert run(tmp_path).returncode == -signal.SIGKILL
    told = run(tmp_path)
    assert told.stdout == "{} ['crashed']\n"
    assert told.stderr == ""


def place_of(folder, number=0):
    """What the store knows a shard by."""
    root = folder / "data"
    return stage.scan_key(POLICY, ColumnMapping()), str(root), discover(root)[number]


def suspect(folder, number, row, *, alone=0):
    """What a run leaves that is killed while it has a record in hand, or while it tries it alone, how often it did."""
    trail = Trail(Store(folder / "store").trail_path(*place_of(folder, number)))
    trail.begin(row)
    for _ in range(alone):
        trail.try_again()
        trail.begin_alone(row)
    trail.close()


def test_what_a_killed_run_had_in_hand_is_tried_before_anything_is_held_against_it(tmp_path):
    deadly.build(tmp_path / "data", {(0, 2): "crash"}, shards=2)
    suspect(tmp_path, 0, 2, alone=1)
    suspect(tmp_path, 1, 3)  # it did nothing
    first = scan(tmp_path).scanned
    assert [reasons(tmp_path, shard) for shard in first] == [{2: Reason.CRASHED}, {}]
    assert len(left(tmp_path)) == 1
    for trials in (1, MOST_TRIALS):  # killed after it was remembered, before the suspect was forgotten
        suspect(tmp_path, 0, 2, alone=trials)
        for part in (tmp_path / "store" / "parts").iterdir():
            part.unlink()
        assert scan(tmp_path).scanned == first


def test_what_another_run_has_in_hand_is_held_against_no_record(tmp_path):
    deadly.build(tmp_path / "data", {})
    trail, results = Trail(Store(tmp_path / "store").trail_path(*place_of(tmp_path))), []
    trail.begin(2)
    trail.try_again()
    trail.try_again()
    trail.begin_alone(2)  # for the second time, and the other run is alive
    second = threading.Thread(target=lambda: results.append(scan(tmp_path)))
    second.start()
    second.join(SHORT)
    with trail:
        pass
    second.join()
    assert reasons(tmp_path, results[0].scanned[0]) == {}
    assert left(tmp_path) == []


class Meanwhile(Silent):
    """What else is done when a scan begins."""

    def __init__(self, do):
        self.do = do

    def started(self, *_):
        self.do()


def test_what_another_run_has_scanned_meanwhile_is_not_read_again(tmp_path):
    deadly.build(tmp_path / "data", {}, shards=2)
    others = []

    def meanwhile():
        others.append(scan(tmp_path))
        for shard in (tmp_path / "data").iterdir():
            os.truncate(shard, 0)

    assert scan(tmp_path, reporter=Meanwhile(meanwhile)).scanned == others[0].scanned
    assert left(tmp_path) == []


def add_list(folder, name, digest):
    path = folder / f"{name}.txt"
    path.write_text(f"md5 {digest}\n")
    vetset.add_list(path, name=name, owner="owner", category="benchmark", licence="test")


def audit(folder, name):
    return vetset.audit(
        folder / "data",
        lists=[name],
        seal_to=[folder / "keys" / "custodian.pub"],
        out=folder / name,
        engine=LocalEngine(1),
    )


def test_an_audit_with_such_a_record_is_complete_finds_it_by_its_bytes_and_says_nothing_of_that(tmp_path, monkeypatch):
    monkeypatch.setenv("VETSET_HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    pictures = [deadly.encoded(tile) for tile in deadly.tiles(96, 4, 7)]
    image = pictures[3] = deadly.deadly(pictures[3], "crash")
    for row, picture in enumerate(pictures):
        (tmp_path / "data" / f"000003{row}.jpg").write_bytes(picture)
    add_list(tmp_path, "known", hashlib.md5(image).hexdigest())
    add_list(tmp_path, "other", "0" * 32)
    vetset.keygen("custodian", tmp_path / "keys")
    results = [audit(tmp_path, name) for name in ("known", "other")]
    for result in results:
        assert (result.errors, result.manifest.state) == ((), "sealed")
        assert result.manifest.coverage[Kind.PDQ].undecided[Reason.CRASHED] == 1
        assert result.manifest.coverage[Kind.MD5].undecided == {}
    opened = [vetset.open_audit(tmp_path / name, tmp_path / "keys" / "custodian.key") for name in ("known", "other")]
    assert [len(one.case.findings.matches) for one in opened] == [1, 0]
    assert files(tmp_path / "known" / "store") == files(tmp_path / "other" / "store")
    assert not any(b"<deed" in data or b"000003" in data for data in notes(tmp_path / "known" / "store"))
    vetset.attest(tmp_path / "known", tmp_path / "keys" / "custodian.key", out=tmp_path / "statement.json")


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def notes(folder):
    """Everything in a store but the parts, which hold the keys of all records."""
    return [data for name, data in files(folder).items() if not name.startswith("parts/")]
