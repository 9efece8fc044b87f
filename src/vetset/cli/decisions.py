"""vetset lists quarantine, release, feedback and read-feedback: what is thought of single entries."""

from pathlib import Path
from typing import Annotated

import typer

from vetset.cli.list_text import Entries, Name, Reason, line, told
from vetset.cli.options import Json, KeyFile
from vetset.cli.output import emit
from vetset.model.errors import UsageError


def quarantine(name: Name, entries: Entries, reason: Reason, as_json: Json = False) -> None:
    """Set entries apart: they still match, and confirm, seed and remove nothing.

    `vetset open` tells which entries an alarm was about. `vetset lists release` is the way back.
    """
    from vetset.api.listing import quarantine_entries

    info = quarantine_entries(name, entries, reason=reason)
    emit(told(info), [line(info)], as_json=as_json)


def release(name: Name, entries: Entries, reason: Reason, as_json: Json = False) -> None:
    """Stand by entries that somebody has looked into: they count in full, and no alarm sets them apart again."""
    from vetset.api.listing import release_entries

    info = release_entries(name, entries, reason=reason)
    emit(told(info), [line(info)], as_json=as_json)


def feedback(
    name: Name,
    entries: Annotated[list[str] | None, typer.Argument(metavar="ENTRY…", help="The owner's ids.")] = None,
    wrong: Annotated[
        list[str] | None,
        typer.Option("--wrong", help="GUID of a reason of the owner's; repeatable.", show_default=False),
    ] = None,
    right: Annotated[bool, typer.Option("--right", help="The fingerprints are right.")] = False,
    kind: Annotated[
        str | None, typer.Option("--kind", help="Only fingerprints of this kind.", show_default=False)
    ] = None,
    reasons: Annotated[bool, typer.Option("--reasons", help="Show the owner's reasons for --kind, and end.")] = False,
    send: Annotated[bool, typer.Option("--send", help="Send it; without this it is only counted.")] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="Why, in a few words, for an owner without a service.", show_default=False)
    ] = "",
    seal_to: Annotated[
        list[Path] | None,
        typer.Option("--seal-to", help="The owner's public key, for an owner without a service.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Where the sealed feedback goes.", show_default=False)
    ] = None,
    address: Annotated[
        str, typer.Option("--address", help="Where the service is, if not where its owner says.", show_default=False)
    ] = "",
    as_json: Json = False,
) -> None:
    """Tell a list's owner that entries are right, or why they are not. It tells them that you met the items.

    NCMEC takes it by its service (--right, or --wrong GUID; --send). For others it is written to a file that only the
    owner can open (--reason, --seal-to, --out; `vetset lists read-feedback`).
    """
    from vetset.api.feedback import feedback_reasons, send_list_feedback, write_list_feedback

    if (out or reason or seal_to) and (wrong or right or kind or reasons or send or address):
        raise UsageError(
            "feedback goes to a service or into a file",
            expected="--right or --wrong, --kind, --send and --address; or --reason, --seal-to and --out",
            todo="Nothing was sent and nothing was written. Leave out those of the other way.",
        )
    if reasons:
        found = feedback_reasons(name, kind or "", address=address)
        emit(found, [f"{guid}  {text}" for guid, text in found.items()], as_json=as_json)
    elif reason or seal_to or out is not None:
        if out is None:
            raise UsageError("it is not said where the feedback goes", expected="--out FILE")
        written = write_list_feedback(name, entries or (), reason=reason, seal_to=seal_to or (), out=out)
        emit({"feedback": str(written)}, [f"sealed feedback: {written}"], as_json=as_json)
    else:
        if bool(wrong) == right:
            raise UsageError("it is not said what is thought of the entries", expected="--right, or --wrong GUID")
        counts = send_list_feedback(name, entries or (), wrong=wrong or (), kind=kind, send=send, address=address)
        text = ", ".join(f"{count} {what}" for what, count in sorted(counts.items())) or "nothing"
        emit({"sent": send, "votes": dict(counts)}, [f"{'sent' if send else 'would send'}: {text}"], as_json=as_json)


def read_feedback(
    file: Annotated[Path, typer.Argument(help="What `vetset lists feedback` wrote.", show_default=False)],
    key: KeyFile,
    as_json: Json = False,
) -> None:
    """Read, as a list's owner, what somebody who was given the list thinks of entries of it."""
    from vetset.api.feedback import read_list_feedback

    found = read_list_feedback(file, key)
    lines = [f"list {found['list']} (owner {found['owner']}, as of {found['as_of']}): {found['reason']}"]
    lines += [f"  {entry['id']} ({', '.join(entry['kinds'])})" for entry in found["entries"]]
    emit(found, lines, as_json=as_json)
