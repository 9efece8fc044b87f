r"""A hash chain over sealed parts that are only ever appended: what is missing, moved or replaced shows.

The link of a part is SHA-256 over `vetset-chain/1\n`, the link before it (64 zeros for the first part), `\n`, and
the SHA-256 of the part's bytes. Links need no key; whoever keeps the last link from somewhere else (a ledger, a
manifest, a receipt) also notices that the end was cut off. Parts are numbered from 0.
"""

import hashlib
from collections.abc import Iterable, Sequence

from vetset.model.errors import SealError

_FIRST = "0" * 64


def link(previous: str | None, part: bytes) -> str:
    """The link of `part`, 64 hex digits, given the link before it (None for the first part)."""
    before = _FIRST if previous is None else previous
    content = hashlib.sha256(part).digest()
    return hashlib.sha256(b"vetset-chain/1\n" + before.encode("ascii") + b"\n" + content).hexdigest()


def links(parts: Iterable[bytes]) -> list[str]:
    """The links of a whole sequence."""
    found: list[str] = []
    for part in parts:
        found.append(link(found[-1] if found else None, part))
    return found


def check_chain(parts: Iterable[bytes], expected: Sequence[str]) -> None:
    """Refuse a sequence that is not the one whose links were recorded. Holds one part at a time.

    Args:
        parts: the bytes of the parts, in order.
        expected: the recorded link of each part.

    Raises:
        SealError: names the first part that is missing, moved, replaced, or not recorded.
    """
    previous: str | None = None
    number = -1
    for number, part in enumerate(parts):
        if number >= len(expected):
            raise _broken(number, "it is not recorded", f"{len(expected)} parts")
        found = link(previous, part)
        if found != expected[number]:
            raise _broken(number, "it was replaced or moved, or the part that belongs here is missing", None)
        previous = found
    if number + 1 < len(expected):
        raise _broken(number + 1, "it is missing", f"{len(expected)} parts")


def _broken(number: int, how: str, expected: str | None) -> SealError:
    return SealError(
        f"the chain of sealed parts is broken: {how}",
        expected=expected,
        where=f"part {number}",
        todo="Restore the parts from a copy of the bundle.",
    )
