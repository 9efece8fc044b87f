"""benign: pictures of one's own that no list may hold → the opinions of a list of category `benign`."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from vetset.hashlist.opinions import OpinionRows
from vetset.model.errors import ListError
from vetset.model.signal import LIST_KINDS, Kind, Signal
from vetset.signal.fingerprint import fingerprint
from vetset.storage.looking import refused


def benign(folder: Path) -> Iterator[pa.RecordBatch]:
    """Every digest and PDQ value, of every variant, of the files in a folder and in those below it.

    Raises:
        ListError: there is no such folder, no file in it, a file that cannot be read, or one that is no picture.
    """
    files = _files(folder)
    if not files:
        raise ListError("there is no picture", expected="a folder of pictures", where=str(folder))
    rows = OpinionRows(folder.name)
    for number, path in enumerate(files, start=1):
        try:
            signals = fingerprint(path.read_bytes())
        except OSError as error:
            raise ListError("a picture cannot be read", seen=error.strerror, where=path.name) from error
        values = {(item.kind, item.value) for item in signals if isinstance(item, Signal) and item.kind in LIST_KINDS}
        if not any(kind is Kind.PDQ for kind, _ in values):
            raise ListError(
                "a file is no picture that PDQ can tell from others",
                expected="pictures that decode and are not flat",
                where=path.name,
                todo="Take it out of the folder.",
            )
        rows.add(f"picture:{number}", sorted(values))
    yield rows.batch()


def _files(folder: Path) -> list[Path]:
    """The files in a folder and in those below it, sorted; none where there is no folder."""
    try:
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    except OSError as error:
        raise refused(folder, error, ListError) from None
