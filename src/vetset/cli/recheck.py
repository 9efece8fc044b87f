"""vetset recheck: newer lists against what was scanned before."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vetset.cli.options import Json, StorePlace
from vetset.cli.output import emit, list_lines, some_of
from vetset.model.errors import CountError

if TYPE_CHECKING:
    from vetset.stage.recheck import RecheckResult


def told(result: "RecheckResult") -> dict[str, Any]:
    """What may be printed of a recheck; the same with and without findings."""
    manifest = result.manifest
    coverage = manifest.rechecks[-1].coverage if result.held else {}
    return {
        "held": [used.name for used in result.held],
        "lists": manifest.lists_json(manifest.lists, manifest.held_on),
        "records": manifest.records,
        "coverage": {kind.value: item.to_json() for kind, item in sorted(coverage.items())},
        "sealed_to": [recipient.name for recipient in manifest.request.recipients],
        "errors": list(result.errors),
    }


def lines_of(document: dict[str, Any], audit: Path) -> list[str]:
    """The same for people."""
    if document["held"]:
        names = ", ".join(document["sealed_to"])
        lines = [
            f"{', '.join(document['held'])} held against {document['records']} records",
            f"The result is sealed to {names} in {audit}, whatever it is.",
        ]
    else:
        lines = ["Every list is in the version that was held against these records already: nothing is added."]
    return [*lines, "Lists in force:", *list_lines(document["lists"])]


def recheck_command(
    audit: Annotated[Path, typer.Argument(help="The folder that `vetset audit` wrote.")],
    lists: Annotated[
        list[str] | None,
        typer.Option("--list", help="A new or newer list; repeatable; all in force if not given.", show_default=False),
    ] = None,
    store: StorePlace = None,
    as_json: Json = False,
) -> None:
    """Hold new or newer lists against what was scanned; a sealed part is added to the audit.

    Needs no private key and reads no picture. What is printed, and the exit code, are the same with and without
    findings; `vetset open` shows what is new and what was withdrawn.
    """
    from vetset.api.auditing import recheck

    result = recheck(audit, lists=lists or None, store=store)
    document = told(result)
    emit(document, lines_of(document, audit), as_json=as_json)
    if result.errors:
        raise CountError(
            "nothing can be claimed about this audit: what was found is sealed",
            seen=some_of(result.errors),
            todo="Where the store is damaged, scan the dataset into it again and recheck; else see run.json.",
        )
