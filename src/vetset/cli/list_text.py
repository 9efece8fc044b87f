"""What commands about lists share: options, and how a list and a delivery are told. Never a value."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from vetset.model.hashlist import ListInfo
    from vetset.stage.intake import Intake

Name = Annotated[str, typer.Argument(metavar="NAME", help="The list, as it is called here.", show_default=False)]
Entries = Annotated[list[str], typer.Argument(metavar="ENTRY…", help="Its owner's ids.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why, in a few words; kept with the list.", show_default=False)]
KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="What bare values are: md5, sha1, sha256, url_md5, url_sha256, pdq, photodna.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option("--format", help="The format, where it cannot be told (docs/lists.md).", show_default=False),
]
Ignored = Annotated[
    list[str] | None,
    typer.Option("--ignore", help="A column that holds no values and is not needed; may be repeated."),
]
HARMS = "child-abuse, exploitative, intimate-images, terrorism, opt-out, benchmark, benign or other."
CategoryOption = Annotated[str | None, typer.Option("--category", help=HARMS, show_default=False)]
LicenceOption = Annotated[
    str | None, typer.Option("--licence", help="Under what terms it may be used.", show_default=False)
]
OwnerOption = Annotated[str | None, typer.Option("--owner", help="Whose opinion it is.", show_default=False)]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Date of the owner's state, YYYY-MM-DD.", show_default=False)]
PurposeOption = Annotated[
    str | None, typer.Option("--purpose", help="What it may be used for: words, commas between.", show_default=False)
]
Expires = Annotated[str | None, typer.Option("--expires", help="Last day of use, YYYY-MM-DD.", show_default=False)]
SignatureOption = Annotated[
    Path | None,
    typer.Option("--signature", help="The owner's signature of FILE (`vetset lists sign`).", show_default=False),
]
SignerOption = Annotated[
    Path | None, typer.Option("--signer", help="The owner's public key, NAME.pub.", show_default=False)
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what would change, in numbers, and change nothing.")]
Accept = Annotated[
    bool, typer.Option("--accept", help="Also if more than a tenth is taken back, or the list grows tenfold.")
]


def told(info: "ListInfo") -> dict[str, Any]:
    """A list as JSON."""
    return {
        **asdict(info),
        "category": info.category.value,
        "entries": {kind.value: count for kind, count in info.entries.items()},
        "answered_for": info.answered_for,
    }


def line(info: "ListInfo") -> str:
    """A list in one line."""
    from vetset.api.given import today

    entries = ", ".join(f"{count} {kind.value}" for kind, count in info.entries.items()) or "no entry that is matched"
    aside = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in info.aside.items())
    terms = [
        f"owner {info.owner} ({info.origin.partition(':')[0]})",
        info.category.value,
        f"as of {info.as_of}",
        f"purpose {info.purpose}",
        f"expired {info.expires}, so that it cannot be used" if info.expired(today()) else f"expires {info.expires}",
        f"licence {info.licence}",
        *(["counts are not to be shared"] if not info.share_counts else []),
        *([f"PDQ within {info.pdq_radius}"] if info.pdq_radius is not None else []),
        *(["nobody answers for it: private counts only"] if not info.answered_for else []),
        f"version {info.version[:12]}",
    ]
    return f"{info.name}: {entries}{f'; held back: {aside}' if aside else ''}; {', '.join(terms)}"


def changed(intake: "Intake") -> list[str]:
    """What a delivery did, in lines."""
    change = intake.change
    parts = [f"{change.added} new", f"{change.changed} changed", f"{change.withdrawn} taken back"]
    parts += [f"{count} {what}" for what, count in (
        ("unchanged", change.unchanged), ("older than what is known", change.stale),
        ("taken back that never stood here", change.unknown),
    ) if count]  # fmt: skip
    lines = [f"entries: {', '.join(parts)}"]
    if intake.left_out:
        kinds = ", ".join(f"{count} {word}" for word, count in sorted(intake.left_out.items()))
        lines.append(f"read and not kept: {kinds}")
    if intake.lawful:
        lines.append(f"values set apart, since they are of pictures that are known to be benign: {intake.lawful}")
        if intake.kept:
            lines.append(f"Which entries: vetset lists decisions {intake.info.name}")
    lines.append(line(intake.info) if intake.kept else "nothing was changed (--dry-run)")
    return lines


def intake_told(intake: "Intake") -> dict[str, Any]:
    """What a delivery did, as JSON."""
    change = asdict(intake.change)
    return {
        "change": change,
        "set_apart": intake.lawful,
        "left_out": dict(intake.left_out),
        "kept": intake.kept,
        "list": told(intake.info),
    }
