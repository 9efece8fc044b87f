"""Records a few at a time, with the digests of their bytes and addresses: many at once are several times as fast."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from vetset.model.record import Record, Unreadable
from vetset.model.signal import BYTE_KINDS, URL_KINDS, Kind, NoSignal, Reason, Signal
from vetset.signal.digest import digests, url_digests

MOST_AHEAD = 64
BYTES_AHEAD = 8 << 20
"""Records that are read before the first of them is decoded, and bytes of their pictures, at most (and one picture
more). Fewer keep fewer lanes busy; more would push each other out of the processor's cache."""

Answers = list[Signal | NoSignal]


def digested(
    items: Iterable[Record | Unreadable], kinds: Sequence[Kind]
) -> Iterator[tuple[Record | Unreadable, Answers]]:
    """Every record, in order, with what those of the kinds come to that are digests.

    Args:
        items: the records.
        kinds: any; those that are no digest of bytes or address are passed over.
    """
    for few in _few_at_a_time(items):
        yield from zip(few, _answers(few, kinds), strict=True)


def byte_digests(images: Sequence[bytes], kinds: Iterable[Kind]) -> list[Answers]:
    """Of every picture's stored bytes, none of them empty, the digests of these kinds that are taken of bytes."""
    asked = [kind for kind in kinds if kind in BYTE_KINDS]
    columns = digests(images, asked)
    return [
        [Signal(kind, column[place]) for kind, column in zip(asked, columns, strict=True)]
        for place in range(len(images))
    ]


def _few_at_a_time(items: Iterable[Record | Unreadable]) -> Iterator[list[Record | Unreadable]]:
    few: list[Record | Unreadable] = []
    held = 0
    for item in items:
        few.append(item)
        held += len(item.image) if isinstance(item, Record) else 0
        if len(few) == MOST_AHEAD or held >= BYTES_AHEAD:
            yield few
            few, held = [], 0
    if few:
        yield few


def _answers(few: Sequence[Record | Unreadable], kinds: Sequence[Kind]) -> list[Answers]:
    of_bytes = [kind for kind in kinds if kind in BYTE_KINDS]
    # an empty file has a digest too, but it is the same for all of them and says nothing
    whole = iter(byte_digests([item.image for item in few if isinstance(item, Record) and item.image], of_bytes))
    answers: list[Answers] = []
    for item in few:
        if isinstance(item, Record) and item.image:
            answers.append(next(whole))
        else:
            reason = item.reason if isinstance(item, Unreadable) else Reason.EMPTY_FILE
            answers.append([NoSignal(kind, reason) for kind in of_bytes])
    for kind in kinds:
        if kind in URL_KINDS:
            for found, answer in zip(answers, _of_addresses([item.fields.url for item in few], kind), strict=True):
                found.append(answer)
    return answers


def _of_addresses(urls: Sequence[str | None], kind: Kind) -> Answers:
    # an empty address is none: its digest would be that of every other record without one
    texts = [url.encode("utf-8", "surrogatepass") for url in urls if url is not None and url.strip()]
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    found = url_digests(np.frombuffer(b"".join(texts), np.uint8), np.cumsum(lengths) - lengths, lengths, kind)
    values = (row.tobytes() for row in found)
    answers: Answers = []
    for url in urls:
        if url is None:
            answers.append(NoSignal(kind, Reason.ABSENT_COLUMN))
        else:
            answers.append(Signal(kind, next(values)) if url.strip() else NoSignal(kind, Reason.NULL_VALUE))
    return answers
