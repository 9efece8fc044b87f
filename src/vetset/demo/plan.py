"""What the dataset of the demonstration contains, before it has an order, keys or files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, cycle, islice, zip_longest
from typing import TypeVar

import numpy as np

from vetset.demo.edits import EDITS, encoded, opened
from vetset.demo.odd import DAMAGE, ENCODINGS, SHOWS_OTHERWISE
from vetset.demo.photographs import Block, Tile, cut, load_photographs
from vetset.demo.planted import KnownItem
from vetset.model.errors import UsageError
from vetset.model.signal import Kind

LEAST_RECORDS = 160
"""Fewer do not hold one of everything."""

EDITS_PER_ITEM = 6
_RECORDS_PER_ITEM = 60
_MOST_ITEMS = 40  # more would leave too few tiles for everything else
_DAMAGED_EACH = 3
_KNOWN_TEXTURE = 10.0  # such tiles have a PDQ quality near 100
_WHOLE_TEXTURE = 4.0
_CELLS_WORTH = 6  # a block with fewer textured cells is kept whole
_QUALITIES = (75, 85, 90, 95)
_TILE_SIDES = (128, 144, 160, 176, 192)
_KNOWN_SIDES = (192, 208, 224, 256)
_COPIED_AS = ("exact", "jpeg_q80", "resize_half", "png")

_LISTED: tuple[tuple[Kind, ...], ...] = (
    (Kind.MD5,),
    (Kind.PDQ,),
    (Kind.SHA256,),
    (Kind.MD5, Kind.SHA1, Kind.PDQ),
    (Kind.PDQ,),
    (Kind.SHA1,),
    (Kind.SHA256, Kind.PDQ),
    (Kind.MD5, Kind.PDQ),
)
"""What a list has of an item differs from item to item; these take turns."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Draft:
    """One record to be.

    Attributes:
        label: the tile that it shows, or empty.
        role: see `PlantedRecord.role`.
        known: name of the known item, or None.
        image: the bytes to store, or None if the download is to have failed.
        download: the bytes before the dataset maker resized them, where they did; else None.
        url: the address, where it is not left to chance.
    """

    label: str
    role: str
    known: str | None = None
    image: bytes | None = field(default=None, repr=False)
    download: bytes | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)


def _shuffled(things: Sequence[_T], rng: np.random.Generator) -> list[_T]:
    return [things[position] for position in rng.permutation(len(things))]


def _jpeg(tile: Tile, sides: Sequence[int], rng: np.random.Generator) -> bytes:
    """A tile as the JPEG that some site might serve."""
    side, quality = int(rng.choice(sides)), int(rng.choice(_QUALITIES))
    return encoded(tile.picture(side), quality=quality)


def _shared_out(blocks: Sequence[Block], wanted: int, rng: np.random.Generator) -> tuple[list[Tile], list[Tile]]:
    """Tiles for known items, spread over the photographs, and the tiles of all that is left, shuffled."""
    by_photograph: dict[str, list[Tile]] = {}
    for block in _shuffled(blocks, rng):
        if block.cells and block.whole.texture >= _KNOWN_TEXTURE:
            by_photograph.setdefault(block.whole.photograph.name, []).append(block.whole)
    in_turn = chain.from_iterable(zip_longest(*(by_photograph[name] for name in sorted(by_photograph))))
    known = list(islice((tile for tile in in_turn if tile is not None), wanted))
    taken = {tile.label for tile in known}
    rest: list[Tile] = []
    for block in blocks:
        if block.whole.label in taken:
            continue
        if len(block.cells) >= _CELLS_WORTH:
            rest += block.cells
        elif block.whole.texture >= _WHOLE_TEXTURE:
            rest.append(block.whole)
    return known, _shuffled(rest, rng)


def _items(tiles: Sequence[Tile], rng: np.random.Generator) -> list[KnownItem]:
    """Known items; the last three are one listed by its address, one that was resized, one that was not downloaded."""
    last = [(Kind.URL_SHA256,), (Kind.MD5,), (Kind.URL_SHA256,)]
    listed = [*islice(cycle(_LISTED), len(tiles) - len(last)), *last]
    return [
        KnownItem(
            name=f"known-{number:03d}",
            label=tile.label,
            listed=kinds,
            url=f"https://example.org/k/{int(rng.integers(10**6, 10**7))}-{number}.jpg",
            original=_jpeg(tile, _KNOWN_SIDES, rng),
        )
        for number, (tile, kinds) in enumerate(zip(tiles, listed, strict=True))
    ]


def _edited(items: Sequence[KnownItem], rng: np.random.Generator) -> list[Draft]:
    """`EDITS_PER_ITEM` different edits of every item; over all items every edit is used about equally often.

    A hard crop comes next to a milder one, as pictures get smaller each time that they are passed on: what is too far
    from the original to be its neighbour can be a neighbour of the copy between them, once that is confirmed.
    """
    names = _shuffled([name for name in EDITS if name != "crop_60"], rng)
    names.insert(names.index("crop_80") + 1, "crop_60")
    turns = cycle(names)
    return [
        Draft(item.label, f"edit:{name}", item.name, EDITS[name](item.original))
        for item in items
        for name in islice(turns, EDITS_PER_ITEM)
    ]


def _known(items: Sequence[KnownItem], rng: np.random.Generator) -> list[Draft]:
    """The originals, their edits, and some of them in odd encodings."""
    *stored, resized, absent = items
    drafts = [Draft(item.label, "original", item.name, item.original, url=item.url) for item in stored]
    drafts += _edited(stored, rng)
    smaller = encoded(opened(resized.original).reduce(2), quality=95)
    drafts.append(Draft(resized.label, "resized", resized.name, smaller, download=resized.original, url=resized.url))
    drafts.append(Draft("", "failed", absent.name, url=absent.url))
    encodings = [name for name in ENCODINGS if name not in SHOWS_OTHERWISE]
    for name, item in zip(encodings, cycle(stored), strict=False):
        drafts.append(Draft(item.label, f"odd:{name}", item.name, ENCODINGS[name](opened(item.original))))
    item = stored[-1]
    cut_short = DAMAGE["truncated_jpeg"](item.original, rng)
    drafts.append(Draft(item.label, "damaged:truncated_jpeg", item.name, cut_short))
    return drafts


def _strange(tiles: list[Tile], rng: np.random.Generator) -> list[Draft]:
    """Unknown pictures in odd encodings, and files that are no picture; takes its tiles from the end of `tiles`."""
    drafts = []
    for name, encoding in ENCODINGS.items():
        tile = tiles.pop()
        drafts.append(Draft(tile.label, f"odd:{name}", image=encoding(tile.picture(int(rng.choice(_TILE_SIDES))))))
    for name, damage in DAMAGE.items():
        for _ in range(_DAMAGED_EACH):
            tile = tiles.pop()
            label = tile.label if name == "truncated_jpeg" else ""
            drafts.append(Draft(label, f"damaged:{name}", image=damage(_jpeg(tile, _TILE_SIDES, rng), rng)))
    return drafts


def _unknown(tiles: Sequence[Tile], records: int, rng: np.random.Generator) -> list[Draft]:
    """Distractors: as many different tiles as there are, but always a few copies among them, as in any crawl."""
    different = min(len(tiles), records - records // 30)
    drafts = [Draft(tile.label, "distractor", image=_jpeg(tile, _TILE_SIDES, rng)) for tile in tiles[:different]]
    for draft, name in zip(cycle(drafts[:different]), islice(cycle(_COPIED_AS), records - different), strict=False):
        image = None if draft.image is None else EDITS[name](draft.image)
        drafts.append(Draft(draft.label, f"copy:{name}", image=image))
    return drafts


def plan(seed: int, records: int) -> tuple[list[KnownItem], list[Draft]]:
    """Known items, and all records in the order in which they will be stored.

    Raises:
        MissingExtraError: the photographs are not installed.
        UsageError: too few records are wanted to hold one of everything.
    """
    if records < LEAST_RECORDS:
        raise UsageError(
            "the dataset would be too small to hold one of everything",
            expected=f"at least {LEAST_RECORDS} records",
            seen=f"{records} records",
            todo="Ask for more records.",
        )
    rng = np.random.default_rng(seed)
    known_tiles, tiles = _shared_out(
        cut(load_photographs()), min(_MOST_ITEMS, max(8, records // _RECORDS_PER_ITEM)), rng
    )
    items = _items(known_tiles, rng)
    drafts = _known(items, rng)
    drafts += _strange(tiles, rng)
    drafts += [Draft("", "failed") for _ in range(records * 15 // 1000)]
    drafts += _unknown(tiles, records - len(drafts), rng)
    return items, _shuffled(drafts, rng)
