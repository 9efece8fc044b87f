"""What a finding must carry for those who act on it: address and columns, read again from the dataset when sealing.

The store holds neither, so that it is no map. What is read now is compared with what was scanned; a finding whose bytes
have changed since, or whose shard is gone, is sealed all the same and says so.

Who keeps a remote dataset sees what is asked for. So nothing of it is read again unless that was asked for, and then
whole shards, as the scan read them: a request for one record would point at it.
"""

import hashlib
import resource
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vetset.case.findings import Provenance
from vetset.dataset.columns import ColumnMapping
from vetset.dataset.fields import MAX_COLUMN
from vetset.dataset.formats import format_of
from vetset.model.canonical import canonical_json
from vetset.model.dataset import UNIDENTIFIED, ContentId, RecordId, Shard, ShardDigest
from vetset.model.errors import DatasetError
from vetset.model.record import Record, Unreadable
from vetset.model.signal import Kind
from vetset.storage.passing import passing_folder
from vetset.storage.remote import Place, Remote
from vetset.store.part import Part
from vetset.store.records import RecordTable

_MEMORY = Path("/dev/shm")  # noqa: S108  a passing folder is made there
"""Where a remote shard is held while rows are picked: pictures do not touch a disk."""
MOST_BYTES = 2 << 30
"""Memory that reading rows again may take. More of it takes only who wants to end the run that found something."""


def _scanned_contents(part: Part, rows: Sequence[int]) -> dict[int, ContentId]:
    """Identity of records as the scan saw them: their bytes, else their address; absent where there is neither."""
    found = {row: ContentId(f"url:{value.hex()}") for row, value in part.stored_at(Kind.URL_SHA256, rows).items()}
    found |= {row: ContentId(f"sha256:{value.hex()}") for row, value in part.stored_at(Kind.SHA256, rows).items()}
    return found


def _read_content(item: Record | Unreadable) -> ContentId | None:
    """The same identity as the dataset has it now."""
    if isinstance(item, Record):
        return ContentId(f"sha256:{hashlib.sha256(item.image).hexdigest()}")
    if item.fields.url is not None:
        return ContentId(f"url:{hashlib.sha256(item.fields.url.encode('utf-8', 'surrogatepass')).hexdigest()}")
    return None


def _columns(item: Record | Unreadable) -> str:
    try:
        return canonical_json(dict(item.fields.columns)).decode("ascii")
    except (
        TypeError,
        ValueError,
        RecursionError,
        MemoryError,
    ):  # a finding is worth more than its columns
        return "{}"


def _entry(
    record: RecordId, uri: str, scanned: ContentId | None, item: Record | Unreadable | None, *, asked: bool
) -> Provenance:
    content = scanned or UNIDENTIFIED
    if item is None:
        return Provenance(record, uri, content, "", "{}", checked=False, asked=asked)
    columns = _columns(item)
    same = item.key == record.key and (scanned is None or _read_content(item) == scanned)
    return Provenance(record, uri, content, _address(item.fields.url or ""), columns, checked=same)


def _address(url: str) -> str:
    """The address, unless it is the picture itself, or so long that it may be one."""
    return "" if len(url) > MAX_COLUMN or url.lstrip()[:5].lower() == "data:" else url


@contextmanager
def _bounded() -> Iterator[None]:
    """Let this process have no more memory than it has and `MOST_BYTES`: what is refused is an error, and not its end.

    The scan went past columns that it did not need, so nobody knows yet what they take.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        held = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
    except OSError:  # a system that does not tell
        yield
        return
    limits = [limit for limit in before if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_DATA, (min([held + MOST_BYTES, *limits]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _rows_again(  # noqa: PLR0917  one caller
    root: Place, shard: Shard, rows: Sequence[int], records: int, mapping: ColumnMapping, held: Path | None
) -> Mapping[int, Record | Unreadable]:
    form = format_of(shard.format)
    if isinstance(root, Path):
        return form.read_rows(root, shard, rows, mapping)
    if held is None or shutil.disk_usage(held).free < 2 * shard.size:
        raise DatasetError("there is no room in memory for the shard", where=shard.uri)
    with TemporaryDirectory(dir=held) as folder:
        form.write(root, shard, np.ones(records, np.bool_), Path(folder), mapping)
        return form.read_rows(Path(folder), shard, rows, mapping)


def provenance(
    records: Collection[RecordId],
    table: RecordTable,
    root: Place | None,
    shards: Sequence[Shard],
    mapping: ColumnMapping,
) -> tuple[Provenance, ...]:
    """Provenance of every one of these records, sorted.

    Args:
        records: records of findings.
        table: the store's numbering.
        root: the dataset's place, or None where it is not at hand or not to be asked again; nothing is read then.
        shards: its shards as they were discovered.
        mapping: which columns mean what.
    """
    by_uri = {shard.uri: shard for shard in shards}
    wanted: dict[ShardDigest, list[RecordId]] = {}
    for record in records:
        wanted.setdefault(record.shard, []).append(record)
    with ExitStack() as opened:
        # shards that a killed run left here would be those with findings
        remote = isinstance(root, Remote) and _MEMORY.is_dir()
        held = opened.enter_context(passing_folder(_MEMORY)) if remote and wanted else None
        return tuple(sorted(_entries(wanted, table, root, by_uri, mapping, held)))


def _entries(  # noqa: PLR0917  one caller
    wanted: Mapping[ShardDigest, Sequence[RecordId]],
    table: RecordTable,
    root: Place | None,
    by_uri: Mapping[str, Shard],
    mapping: ColumnMapping,
    held: Path | None,
) -> list[Provenance]:
    entries: list[Provenance] = []
    for index, stored in enumerate(table.shards):
        asked = wanted.get(stored.name)
        if not asked:
            continue
        part = table.part(index)
        shard = by_uri.get(stored.uri)
        rows = [record.row for record in asked]
        scanned = _scanned_contents(part, rows)
        items: Mapping[int, Record | Unreadable] = {}
        if root is not None and shard is not None:
            try:
                with _bounded():
                    items = _rows_again(root, shard, rows, stored.records, mapping, held)
            except Exception:  # noqa: BLE001  sealed all the same, unchecked: a finding is not lost for what a cell holds
                items = {}
        entries += [
            _entry(record, stored.uri, scanned.get(record.row), items.get(record.row), asked=root is not None)
            for record in asked
        ]
    return entries
