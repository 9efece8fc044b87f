"""What the store says of itself, of a scan and of what was passed over: notes that can be used, or a refusal."""

from contextlib import suppress
from functools import cache

from fuzz_targets.scratch import emptied
from vetset.model.canonical import canonical_json
from vetset.model.errors import OutputError
from vetset.store.passed import parsed, written
from vetset.store.store import _NOTE, Store


@cache
def _store():
    store = Store(emptied("scanned"))
    (store.folder / "scans").mkdir()
    return store


def target(data: bytes) -> None:
    """As the store's own marker, and as the note of a scan."""
    folder = emptied("store")
    (folder / "store.json").write_bytes(data)
    with suppress(OutputError):
        Store(folder)
    for passed in parsed(data):
        assert parsed(canonical_json(written([passed]))) == (passed,)
    store = _store()
    (store.folder / "scans" / "x.json").write_bytes(data)
    try:
        (note,) = store.scans()
    except OutputError:
        return
    assert "/" not in note.name
    assert _NOTE.validate_python(_NOTE.dump_python(note, mode="json")) == note
