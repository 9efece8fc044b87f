"""A folder for targets whose parser reads files; in memory where the machine allows it, and gone with the process."""

import atexit
import shutil
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="vetset-fuzz-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def written(name: str, data: bytes, mode: int = 0o600) -> Path:
    """A file of this content; what had the name before is replaced."""
    path = FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
    return path


def emptied(name: str) -> Path:
    """A folder with nothing in it."""
    path = FOLDER / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path
