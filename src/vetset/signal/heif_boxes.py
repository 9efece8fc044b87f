"""What the boxes of a HEIF file claim, before a decoder sees it: codings, pixels, and whether its data are there.

ISO/IEC 14496-12 (boxes, `iloc`, `iref`) and 23008-12 (`ipma`, `ispe`, derived pictures). The decoder behind `heif`
hands out a picture whose last tiles are missing, what it allocates follows its own limits and not the policy's, and its
rarer parts have had holes that run foreign code. So it gets the plain files that cameras write, and no others: a
picture in HEVC, or a grid of such pictures, with or without a channel of alpha of the same size.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vetset.model.signal import Reason

BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
"""Brands of files that may hold a still picture in HEVC. The last two say nothing of the coding: AVIF has them too."""

MAX_ITEMS = 4096
"""Items (tiles, pictures, metadata) of a file, at most; the decoder takes fewer."""
MAX_EXTENTS = 32
"""Pieces of one item, at most; as the decoder has it."""
MAX_BOXES = 20_000
"""Boxes within one box, at most; as the decoder has it."""

_TOP = frozenset({b"ftyp", b"meta", b"mdat", b"moov", b"moof", b"free", b"skip", b"uuid"})
_READ = frozenset({b"pitm", b"iinf", b"iloc", b"iprp", b"iref", b"idat"})
_FULL = 4  # bytes of version and flags at the start of a full box
_ALPHA = (b"urn:mpeg:hevc:2015:auxid:1", b"urn:mpeg:avc:2015:auxid:1", b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha")


class DamagedBoxesError(Exception):
    """The boxes contradict themselves."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """Bytes of an item: where, and how many; `inside` the `idat` box or the file. No length means: all to the end."""

    inside: bool
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class _Properties:
    """What a file says of its items by number.

    Attributes:
        sizes: width and height of those that state them.
        alphas: which are channels of alpha.
        deep_greys: which say that they are grey of more than 8 bits. the library takes them at their word, whatever is
            decoded, and writes beyond its end.
        largest: pixels of the largest size that is stated anywhere.
    """

    sizes: dict[int, tuple[int, int]]
    alphas: set[int]
    deep_greys: set[int]
    largest: int


@dataclass(frozen=True, slots=True)
class _Meta:
    """What the `meta` box says of every item, by its number.

    Attributes:
        primary: the picture that the file stands for.
        kinds: type.
        pieces: where its bytes lie, if in this file.
        properties: what is said of them beside that.
        references: from, kind of reference, to.
        inner: where the content of `idat` begins and ends.
        canvases: pixels of grids, as they say themselves.
    """

    primary: int
    kinds: Mapping[int, bytes]
    pieces: Mapping[int, Sequence[_Piece]] = field(repr=False)
    properties: _Properties
    references: Sequence[tuple[int, bytes, Sequence[int]]]
    inner: tuple[int, int]
    canvases: Mapping[int, int]


class _Reader:
    """Big-endian numbers out of a slice, one after another.

    Args:
        data: the file.
        start: first byte.
        end: one past the last.
    """

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self._data = data
        self.at = start
        self._end = end

    def number(self, size: int) -> int:
        """The next number of so many bytes; 0 where it has none.

        Raises:
            DamagedBoxesError: the slice ends before.
        """
        if self.at + size > self._end:
            raise DamagedBoxesError
        self.at += size
        return int.from_bytes(self._data[self.at - size : self.at])

    def count(self, size: int) -> int:
        """The next number, of items."""
        count = self.number(size)
        if count > MAX_ITEMS:
            raise DamagedBoxesError
        return count


def is_heif(data: bytes) -> bool:
    """Whether a file begins as HEIF files do that hold HEVC; an AVIF file may, too."""
    if data[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(data[:4]), 512)
    return any(data[place : place + 4] in BRANDS for place in (8, *range(16, end - 3, 4)))


def refusal(data: bytes, max_pixels: int) -> Reason | None:
    """Why a HEIF file is not decoded, as far as its boxes tell; None where they say nothing against it.

    Returns:
        `TOO_LARGE` where any picture or tile claims more pixels than that, `TRUNCATED` where the file ends before a box
        or an item does, `UNKNOWN_ENCODING` where its primary picture is made of anything else than HEVC, `UNDECODABLE`
        where the boxes make no sense.
    """
    try:
        whole, places = _top_level(data)
        if b"meta" not in places:
            # a film without a still picture; without either, the file ends too early to say what it is
            return Reason.UNDECODABLE if whole and b"moov" in places else Reason.TRUNCATED
        meta = _meta(data, *places[b"meta"])
    except DamagedBoxesError:
        return Reason.UNDECODABLE
    if max(meta.properties.largest, *meta.canvases.values(), 0) > max_pixels:
        return Reason.TOO_LARGE
    ends = {False: len(data), True: meta.inner[1] - meta.inner[0]}
    pieces = [piece for found in meta.pieces.values() for piece in found]
    if not whole or any(piece.start + piece.length > ends[piece.inside] for piece in pieces):
        return Reason.TRUNCATED
    return None if _is_plain(meta) else Reason.UNKNOWN_ENCODING


def _is_plain(meta: _Meta) -> bool:
    """Whether the primary picture is HEVC or a grid of it, and so is its alpha, which has its size; no deep grey."""
    known = meta.properties
    pictures = [meta.primary]
    made = [(source, targets) for source, kind, targets in meta.references if kind == b"dimg"]
    tiles = dict(made)
    if len(tiles) != len(made):
        return False
    for source, kind, targets in meta.references:
        if kind == b"auxl" and source in known.alphas and set(targets) & {meta.primary, *tiles.get(meta.primary, ())}:
            if meta.primary not in targets or known.sizes.get(source) != known.sizes.get(meta.primary):
                return False
            pictures.append(source)
    for picture in pictures:
        parts = tiles.get(picture, ()) if meta.kinds.get(picture) == b"grid" else (picture,)
        if not parts or any(meta.kinds.get(part) != b"hvc1" for part in parts):
            return False
        if any(
            part in tiles or part in known.deep_greys or not meta.pieces.get(part) for part in parts
        ) or not meta.pieces.get(picture):
            return False
        if len({known.sizes.get(part) for part in parts}) != 1 or picture not in known.sizes:
            return False
    return True


def _top_level(data: bytes) -> tuple[bool, dict[bytes, tuple[int, int]]]:
    """Whether every box ends within the file, and where the content of each kind of box begins and ends.

    What follows the last box and is none (some cameras append something) is no sign of anything.
    """
    found: dict[bytes, tuple[int, int]] = {}
    place = 0
    for _ in range(MAX_BOXES):
        if place + 8 > len(data):
            return True, found
        size, header = _size(data, place, len(data))
        kind = data[place + 4 : place + 8]
        if size < header or place + size > len(data):
            return kind not in _TOP, found
        found.setdefault(kind, (place + header + (_FULL if kind == b"meta" else 0), place + size))
        place += size
    raise DamagedBoxesError


def _size(data: bytes, place: int, end: int) -> tuple[int, int]:
    """Bytes of the box that begins here, and of its header."""
    size = int.from_bytes(data[place : place + 4])
    if size == 1:
        return int.from_bytes(data[place + 8 : place + 16]), 16
    return size or end - place, 8  # none stated: to the end


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of every box in a slice."""
    place = start
    for _ in range(MAX_BOXES):
        if place + 8 > end:
            return
        size, header = _size(data, place, end)
        if size < header or place + size > end:
            raise DamagedBoxesError
        yield data[place + 4 : place + 8], place + header, place + size
        place += size
    raise DamagedBoxesError


def _places(data: bytes, start: int, end: int) -> dict[bytes, tuple[int, int]]:
    """Where the content of each kind of box lies. Two of those that are read here would leave open which one holds."""
    found: dict[bytes, tuple[int, int]] = {}
    for kind, first, last in _boxes(data, start, end):
        if kind in found and kind in _READ:
            raise DamagedBoxesError
        found[kind] = (first, last)
    return found


def _meta(data: bytes, start: int, end: int) -> _Meta:
    boxes = _places(data, start, end)
    if not {b"pitm", b"iinf", b"iloc", b"iprp"} <= boxes.keys():
        raise DamagedBoxesError
    primary = _Reader(data, *boxes[b"pitm"])
    wide = primary.number(_FULL) >> 24
    kinds = _kinds(data, *boxes[b"iinf"])
    pieces = _locations(data, *boxes[b"iloc"])
    inner = boxes.get(b"idat", (0, 0))
    grids = [item for item, kind in kinds.items() if kind == b"grid"]
    return _Meta(
        primary=primary.number(4 if wide else 2),
        kinds=kinds,
        pieces=pieces,
        properties=_properties(data, *boxes[b"iprp"]),
        references=list(_references(data, *boxes[b"iref"])) if b"iref" in boxes else [],
        inner=inner,
        canvases={item: _canvas(_content(data, pieces.get(item, ()), inner)) for item in grids},
    )


def _kinds(data: bytes, start: int, end: int) -> dict[int, bytes]:
    """The type of every item (`iinf`)."""
    read = _Reader(data, start, end)
    read.count(2 if read.number(_FULL) >> 24 == 0 else 4)
    found = {}
    for kind, first, last in _boxes(data, read.at, end):
        entry = _Reader(data, first, last)
        version = entry.number(_FULL) >> 24
        if kind != b"infe" or version not in {2, 3}:
            raise DamagedBoxesError
        item = entry.number(2 if version == 2 else 4)
        entry.number(2)
        # the library makes words of type, name and kind of content, and does not survive what is none
        try:
            data[entry.at : last].decode("utf-8")
        except UnicodeDecodeError:
            raise DamagedBoxesError from None
        if item in found or not data[entry.at : entry.at + 4].isascii() or entry.at + 4 > last:
            raise DamagedBoxesError
        found[item] = data[entry.at : entry.at + 4]
    return found


def _locations(data: bytes, start: int, end: int) -> dict[int, list[_Piece]]:
    """Where the bytes of every item lie (`iloc`); items that are neither in this file nor in `idat` are left out."""
    read = _Reader(data, start, end)
    version = read.number(_FULL) >> 24
    packed = read.number(2)
    offset, length, base, index = (packed >> shift & 15 for shift in (12, 8, 4, 0))
    index = index if version in {1, 2} else 0
    found: dict[int, list[_Piece]] = {}
    for _ in range(read.count(4 if version == 2 else 2)):
        item = read.number(4 if version == 2 else 2)
        method = read.number(2) & 15 if version in {1, 2} else 0
        elsewhere = read.number(2)
        origin = read.number(base)
        extents = read.number(2)
        if extents > MAX_EXTENTS or item in found:
            raise DamagedBoxesError
        pieces = []
        for _ in range(extents):
            read.number(index)
            pieces.append(_Piece(method == 1, origin + read.number(offset), read.number(length)))
        if not elsewhere and method in {0, 1}:
            found[item] = pieces
    return found


def _properties(data: bytes, start: int, end: int) -> _Properties:
    """What is said of items beside their kind (`ipco`, `ipma`)."""
    boxes = list(_boxes(data, start, end))
    stored = [box for kind, first, last in boxes if kind == b"ipco" for box in _boxes(data, first, last)]
    sizes: dict[int, tuple[int, int]] = {}
    alphas, deep = set(), set()
    for number, (kind, at, last) in enumerate(stored, start=1):
        if kind == b"ispe":
            read = _Reader(data, at + _FULL, last)
            sizes[number] = read.number(4), read.number(4)
        elif kind == b"auxC" and data[at + _FULL : last].split(b"\0", 1)[0] in _ALPHA:
            alphas.add(number)
        elif kind == b"hvcC":
            read = _Reader(data, at + 16, last)  # ISO/IEC 14496-15: how colour is stored, and bits above 8 of luma
            if not read.number(1) & 3 and read.number(1) & 7:
                deep.add(number)
    found = _Properties({}, set(), set(), max((width * height for width, height in sizes.values()), default=0))
    for item, number in (
        pair for kind, *place in boxes if kind == b"ipma" for pair in _associations(_Reader(data, *place))
    ):
        if number in sizes and found.sizes.setdefault(item, sizes[number]) != sizes[number]:
            raise DamagedBoxesError
        if number in alphas:
            found.alphas.add(item)
        if number in deep:
            found.deep_greys.add(item)
    return found


def _associations(read: _Reader) -> Iterator[tuple[int, int]]:
    """Item and number of a property, for every pair of them."""
    head = read.number(_FULL)
    wide = 2 if head & 1 else 1
    for _ in range(read.count(4)):
        item = read.number(4 if head >> 24 else 2)
        for _ in range(read.number(1)):
            yield item, read.number(wide) & (0x7FFF if wide == 2 else 0x7F)


def _references(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes, list[int]]]:
    """Which items refer to which (`iref`)."""
    read = _Reader(data, start, end)
    wide = 4 if read.number(_FULL) >> 24 else 2
    for kind, first, last in _boxes(data, read.at, end):
        entry = _Reader(data, first, last)
        source = entry.number(wide)
        yield source, kind, [entry.number(wide) for _ in range(entry.count(2))]


def _content(data: bytes, pieces: Sequence[_Piece], inner: tuple[int, int]) -> bytes:
    """The first bytes of an item, enough for what a grid says of itself."""
    found = b""
    for piece in pieces:
        first, last = inner if piece.inside else (0, len(data))
        at = first + piece.start
        found += data[at : min(last, at + (piece.length or 16), at + 16)]
    return found


def _canvas(content: bytes) -> int:
    """Pixels of a grid, as its own description has it; 0 where its description is not there."""
    if len(content) < 8:
        return 0
    read = _Reader(content, 1, len(content))
    wide = 4 if read.number(1) & 1 else 2
    read.number(2)  # rows and columns
    return read.number(wide) * read.number(wide)
