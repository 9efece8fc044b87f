"""The end of the demonstration, told for people; `--json` has every kind of copy by itself."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from vetset.demo.run import HOW, DemoResult, Row

_WIDTH = 110
GROUPS = (
    ("the same bytes", ("original", "edit:exact")),
    ("encoded anew", ("edit:png", "edit:jpeg_q80", "edit:jpeg_q30", "edit:webp_q80")),
    ("in odd encodings", ("odd:",)),
    ("resized", ("edit:resize_half", "edit:resize_up", "edit:thumb_128", "resized")),
    ("grey, bright, blurred", ("edit:greyscale", "edit:brightness", "edit:blur")),
    ("mirrored or rotated", ("edit:mirror", "edit:rotate_5")),
    ("captioned", ("edit:caption_bar",)),
    ("cropped to 90, 80 %", ("edit:crop_90", "edit:crop_80")),
    ("cropped to 60 %", ("edit:crop_60",)),
    ("address only, damaged", ("failed", "damaged:")),
)
"""What is told together: a line's words, and the roles (or beginnings of roles) that it sums."""


def grouped(rows: Sequence[Row]) -> list[Row]:
    """Rows summed as in `GROUPS`.

    Raises:
        ValueError: a role is in no group, or in two.
    """
    summed = []
    for words, roles in GROUPS:
        members = [row for row in rows if row.role in roles or row.role.partition(":")[0] + ":" in roles]
        found = Counter[str]()
        for row in members:
            found.update(row.found)
        summed.append(
            Row(
                role=words,
                planted=sum(row.planted for row in members),
                found=dict(found),
                confirmed=sum(row.confirmed for row in members),
                missed=sum(row.missed for row in members),
                removed=sum(row.removed for row in members),
            )
        )
    if sum(row.planted for row in summed) != sum(row.planted for row in rows):
        raise ValueError("a kind of planted record belongs to no group, or to two")
    return summed


def _line(row: Row) -> str:
    counts = "".join(f"{row.found.get(how, 0):>12}" for how in HOW)
    return f"  {row.role:<23}{row.planted:>8}{counts}{row.missed:>8}{row.removed:>9}"


def story(result: DemoResult) -> str:
    """What happened, what was found by which kind of evidence, what was missed, and where everything lies."""
    rows = grouped(result.rows)
    total = Counter[str]()
    for row in rows:
        total.update(row.found)
    whole = Row(
        role="together",
        planted=sum(row.planted for row in rows),
        found=dict(total),
        confirmed=sum(row.confirmed for row in rows),
        missed=sum(row.missed for row in rows),
        removed=sum(row.removed for row in rows),
    )
    header = "".join(f"{how:>12}" for how in HOW)
    undecided = ", ".join(f"{count} {reason}" for reason, count in result.undecided.items())
    lines = [
        "",
        f"{whole.planted} of {result.records} records show a known item. Found, by the strongest evidence:",
        f"  {'':<23}{'planted':>8}{header}{'missed':>8}{'removed':>9}",
        *map(_line, rows),
        _line(whole),
        "Missed are copies that neither PDQ within 31 bits nor a neighbour reaches, and copies of an item that the",
        "list knows by its address only. Found but not removed are candidates that no list confirmed: for a hotline.",
        *_beyond_hashes(rows),
        *_rounds(result),
        f"Undecided by PDQ, and never counted as clean: {undecided}.",
        f"The cleaned dataset matches nothing ({result.again}). One known item was put back: found, and nothing else.",
        f"Statement: {result.statement}.",
        f"It took {result.seconds:.0f} s. In {result.folder}:",
        "  dataset embeddings lists keys audit order.json cleaned statement.json labels.json",
    ]
    return "\n".join(lines)


def _beyond_hashes(rows: Sequence[Row]) -> list[str]:
    """What only neighbours led to: no digest, no address and no PDQ hash within 31 bits is that of a listed item."""
    only = [(row.role, row.found["neighbour"]) for row in rows if row.found.get("neighbour")]
    together = sum(count for _, count in only)
    kinds = "; ".join(f"{count} {role}" for role, count in only)
    told = f"Neighbours alone led to {together} copies that no hash on the list reaches: {kinds}."
    return textwrap.wrap(told, _WIDTH) if only else []


def _rounds(result: DemoResult) -> list[str]:
    told = [
        f"Round {number} of neighbours brought {entry['candidates']} candidates, {entry['confirmed']} confirmed."
        for number, entry in enumerate(result.rounds, start=1)
    ]
    return [*told, f"{result.strangers['neighbour']} candidates show something else."]
