"""Damage that a generator with a seed makes: the same for everybody, so that what it finds can be had again."""

import random
from collections.abc import Iterator, Sequence

_BYTES = (0, 1, 0x20, 0x2F, 0x30, 0x37, 0x7F, 0x80, 0xFF)
_NUMBERS = tuple(
    number.to_bytes(width, order, signed=False)
    for width in (2, 4, 8)
    for number in (0, 1, (1 << (8 * width - 1)) - 1, 1 << (8 * width - 1), (1 << (8 * width)) - 1)
    for order in ("little", "big")
)
_WORDS = (b"-1", b"0", b"1e999", b"99999999999999999999", b"null", b"[", b"{}", b'""', b"\\ud800", b"../", b"\xff\xfe")
MAX_BYTES = 1 << 16


def mutated(data: bytes, seeds: Sequence[bytes], dice: random.Random) -> bytes:
    """One input with one to four things wrong with it."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        at = dice.randrange(len(changed) + 1)
        deed = dice.randrange(8)
        if deed == 0 and changed:
            changed[at % len(changed)] ^= 1 << dice.randrange(8)
        elif deed == 1 and changed:
            changed[at % len(changed)] = dice.choice(_BYTES)
        elif deed == 2:
            del changed[at:]
        elif deed == 3:
            del changed[at : at + dice.choice((1, 4, 64, 512))]
        elif deed == 4:
            changed[at:at] = changed[at : at + dice.choice((1, 16, 512))]
        elif deed == 5:
            other = dice.choice(seeds)
            start = dice.randrange(len(other) + 1)
            changed[at:] = other[start:]
        elif deed == 6:
            number = dice.choice(_NUMBERS)
            changed[at : at + len(number)] = number
        else:
            changed[at : at + dice.choice((0, 1, 4))] = dice.choice(_WORDS)
    return bytes(changed[:MAX_BYTES])


def mutations(seeds: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """`count` damaged forms of the seeds, in turn."""
    dice = random.Random(seed)
    for number in range(count):
        yield mutated(seeds[number % len(seeds)], seeds, dice)
