"""Pictures that end whoever decodes them, and what every worker runs first, as its main module, so that they do.

A picture says by its last bytes what it does to its decoder; as a picture it is an ordinary one.
"""

import ctypes
import io
import os
import re
import signal
from pathlib import Path

import numpy as np
from PIL import Image

from photographs import tiles
from vetset.dataset.webdataset import pack
from vetset.signal import fingerprint
from vetset.stage import pictured

DEED = re.compile(rb"<deed ([a-z]+) ?([^>]*)>$")
DEADLY_WIDTH = 77
"""A picture of this width hangs the model."""
LAZY_SECONDS = 1.0


def _crash(_):
    ctypes.string_at(0)


def _hang(_):
    """Wait in C for a signal that does not come, with Python's lock held."""
    ctypes.PyDLL(None).pause()


def _kill(_):
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_once(flag):
    """What somebody does who ends a worker that did nothing wrong."""
    if not Path(flag).exists():
        Path(flag).touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _kill_all(parent):
    """What a system does that ends a whole job for the memory of one of its processes."""
    for process in (int(Path(parent).read_text()), os.getpid()):
        os.kill(process, signal.SIGKILL)


def _exit(_):
    """What a library does that does not expect to be used by anything but a command."""
    ctypes.PyDLL(None).exit(1)


def _swallow(_):
    return len(bytes(1 << 32).replace(b"\0", b"\1"))


def _lazy(_):
    ctypes.PyDLL(None).usleep(int(LAZY_SECONDS * 1e6))


DEEDS = {
    b"crash": _crash,
    b"hang": _hang,
    b"kill": _kill,
    b"once": _kill_once,
    b"all": _kill_all,
    b"exit": _exit,
    b"swallow": _swallow,
    b"lazy": _lazy,
}


def deadly(data, deed, argument=""):
    """The picture as one that does this."""
    return data + f"<deed {deed} {argument}>".encode()


def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=90)
    return file.getvalue()


def build(folder, deeds, *, shards=1, rows=6, size=96, argument=""):
    """Write `shards` tars of `rows` ordinary pictures; `deeds[shard, row]` says what one does."""
    folder.mkdir()
    pictures = [encoded(tile) for tile in tiles(size, shards * rows, 7)]
    for shard in range(shards):
        samples = []
        for row in range(rows):
            image = pictures[shard * rows + row]
            deed = deeds.get((shard, row))
            samples.append((f"{shard:03}{row:03}", {"jpg": deadly(image, deed, argument) if deed else image}))
        pack(samples, folder / f"{shard:05}.tar")


class Model:
    """An embedder that a picture of a certain width hangs."""

    id = "deadly"
    dimension = 3

    def embed(self, images):
        for image in images:
            if image.shape[1] == DEADLY_WIDTH:
                _hang(None)
        return np.array([image.reshape(-1, 3).mean(axis=0) + 1 for image in images], np.float32)


def decoding(inner):
    """A decoder that does what a picture says before it decodes it."""

    def decode(data, *given, **named):
        deed = DEED.search(data)
        if deed is not None:
            DEEDS[deed[1]](deed[2].decode())
        return inner(data, *given, **named)

    return decode


def become_deadly():
    """Let the decoder do what a picture says."""
    fingerprint.decode = decoding(fingerprint.decode)
    fingerprint.decode_picture = decoding(fingerprint.decode_picture)
    pictured._embedder = lambda _name, _model: Model()


if __name__ == "__mp_main__":
    become_deadly()
