"""JPEGs of every kind, what libjpeg remarks upon though the pixels are right, and what takes data away.

Remarks and damage take a file and a source of chance, and give the file as it then is, or None where it has no room
for them.
"""

import re
import struct
from collections.abc import Callable, Mapping
from random import Random

from odd_cases import COMMITTED, JPEGS, Pixels, committed, jpeg, with_adobe

MARKER = re.compile(rb"\xff+([^\x00\xff])")
RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def variants(pixels: Pixels) -> Mapping[str, bytes]:
    """One file of every kind."""
    plain = {
        "plain": {}, "4:4:4": {"subsampling": 0}, "progressive": {"progressive": True},
        "restarts": {"restart_marker_rows": 1}, "restarts by block": {"restart_marker_blocks": 5},
        "progressive, restarts": {"progressive": True, "restart_marker_rows": 1},
    }  # fmt: skip
    found = {name: jpeg(pixels, **options) for name, options in plain.items()}
    found |= {f"grey, {name}": jpeg(pixels, "L", **plain[name]) for name in ("plain", "progressive", "restarts")}
    found |= {f"inks, {name}": jpeg(pixels, "CMYK", **plain[name]) for name in ("plain", "progressive", "restarts")}
    found |= {name: make(pixels)[0] for name, make in JPEGS.items() if "TIFF" not in name}
    found |= {name: committed(file) for name, file in COMMITTED.items() if file.endswith(".jpg")}
    found["scans, of a rare sampling"] = doubly_sampled(committed("scans.jpg"))
    return found


def doubly_sampled(data: bytes) -> bytes:
    """The same picture with factors of 4 and 2 where they are 2 and 1, which only libjpeg's own interface reads."""
    found = bytearray(data)
    frame = data.index(b"\xff\xc0")
    for place in range(frame + 11, frame + 20, 3):
        found[place] *= 2
    return bytes(found)


def markers(data: bytes) -> list[tuple[int, int]]:
    """Place and kind of every marker but restarts, those inside other segments left out."""
    found, place = [], 2
    while sign := MARKER.search(data, place):
        place = sign.end()
        if 0xD0 <= sign[1][0] <= 0xD7:
            continue
        found.append((sign.start(), sign[1][0]))
        if sign[1][0] == 0xD9:
            break
        place += int.from_bytes(data[place : place + 2])
    return found


def _place(data: bytes, kind: int) -> int:
    return next(place for place, found in markers(data) if found == kind)


def coded(data: bytes) -> tuple[int, int]:
    """Where the data of the first scan begin and the picture ends."""
    scan = _place(data, 0xDA)
    return scan + 2 + int.from_bytes(data[scan + 2 : scan + 4]), _place(data, 0xD9)


def _stray(chance: Random) -> bytes:
    junk = bytes(chance.choice([0, 1, 0x7F, 0xD9, 0xDA, 0xFE]) for _ in range(chance.choice([1, 2, 3, 12, 40])))
    return junk + chance.choice([b"", b"\xff\0", b"\xff\0\0"])


def in_the_header(data: bytes, chance: Random) -> bytes:
    ahead = [place for place, _ in markers(data) if place <= _place(data, 0xDA)]
    place = chance.choice([place for place in ahead if place > 2])
    return data[:place] + _stray(chance) + data[place:]


def at_the_end(data: bytes, chance: Random) -> bytes:
    place = _place(data, 0xD9)
    return data[:place] + _stray(chance) + data[place:]


def between_scans(data: bytes, chance: Random) -> bytes | None:
    later = [place for place, _ in markers(data) if _place(data, 0xDA) < place < _place(data, 0xD9)]
    if not later:
        return None
    place = chance.choice(later)
    return data[:place] + _stray(chance) + data[place:]


def before_a_restart(data: bytes, chance: Random) -> bytes | None:
    """As much too much data before some restart markers as cameras have been seen to write."""
    start, _ = coded(data)
    signs = [sign.start() for sign in RESTART.finditer(data, start)]
    if not signs:
        return None
    for place in sorted(chance.sample(signs, min(len(signs), chance.choice([1, 3, 99]))), reverse=True):
        data = data[:place] + bytes(chance.randrange(1, 12)) + data[place:]
    return data


def revision(data: bytes, _: Random) -> bytes | None:
    return data.replace(b"JFIF\0\1", b"JFIF\0\7", 1) if b"JFIF\0\1" in data else None


def transform(data: bytes, chance: Random) -> bytes | None:
    """Of Adobe's, and one that does not exist; it is read as the one that the file has."""
    frame = next(place for place, kind in markers(data) if kind in {0xC0, 0xC1, 0xC2, 0xC9, 0xCA})
    if b"JFIF" not in data or data[frame + 9] != 3:
        return None
    return with_adobe(data, chance.randrange(2, 256))


def selection(data: bytes, chance: Random) -> bytes | None:
    kinds = [kind for _, kind in markers(data)]
    if 0xC2 in kinds or 0xCA in kinds:
        return None
    for place, kind in markers(data):
        if kind == 0xDA:
            end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
            data = data[: end - 3] + bytes([chance.randrange(64), chance.randrange(64), 0]) + data[end:]
    return data


def profile(data: bytes, chance: Random) -> bytes:
    """A piece of a colour profile that says it is the second of one."""
    body = b"ICC_PROFILE\0\2\1" + bytes(chance.randrange(1, 99))
    return data[:2] + b"\xff\xe2" + struct.pack(">H", 2 + len(body)) + body + data[2:]


REMARKS: Mapping[str, Callable[[bytes, Random], bytes | None]] = {
    function.__name__: function
    for function in (
        in_the_header,
        at_the_end,
        between_scans,
        before_a_restart,
        revision,
        transform,
        selection,
        profile,
    )
}


def _cut(data: bytes, chance: Random) -> bytes:
    """Without its end; of a progressive picture also without some of its first scan, which the others only refine."""
    start, end = coded(data)
    if {0xC2, 0xCA} & {kind for _, kind in markers(data)}:
        end = next(place for place, _ in markers(data) if place > start)
    return data[: chance.randrange(start, max(start + 1, end - 60))]


def ended_tidily(data: bytes, chance: Random) -> bytes:
    return _cut(data, chance) + b"\xff\xd9"


def ended(data: bytes, chance: Random) -> bytes:
    return _cut(data, chance)


def zeroed(data: bytes, chance: Random) -> bytes:
    start, end = coded(data)
    place = chance.randrange(start, end - 1)
    return data[:place] + bytes(len(data) - place)


def holed(data: bytes, chance: Random) -> bytes:
    """Some bytes in the middle are missing."""
    start, end = coded(data)
    place = chance.randrange(start, max(start + 1, end - 400))
    while data[place - 1] == 0xFF:
        place -= 1  # no marker comes of it
    return data[:place] + data[place + chance.randrange(200, 400) :]


def without_intervals(data: bytes, chance: Random) -> bytes | None:
    start, _ = coded(data)
    end = next(place for place, _ in markers(data) if place > start)
    signs = [sign.start() for sign in RESTART.finditer(data, start, end)]
    if len(signs) < 3:
        return None
    first = chance.randrange(len(signs) - 2)
    last = min(len(signs) - 1, first + chance.choice([1, 2, 8]))
    return data[: signs[first]] + data[signs[last] :]


DAMAGE: Mapping[str, Callable[[bytes, Random], bytes | None]] = {
    made.__name__: made for made in (ended_tidily, ended, zeroed, holed, without_intervals)
}
