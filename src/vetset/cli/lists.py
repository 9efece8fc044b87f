"""vetset lists add and vetset lists show."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vetset.cli.options import Json
from vetset.cli.output import emit

if TYPE_CHECKING:
    from vetset.model.hashlist import ListInfo

app = typer.Typer(help="Import hash lists and see what is there; values are never shown.", no_args_is_help=True)


def _told(info: "ListInfo") -> dict[str, object]:
    return {
        "name": info.name,
        "owner": info.owner,
        "category": info.category.value,
        "licence": info.licence,
        "as_of": info.as_of,
        "purpose": info.purpose,
        "expires": info.expires,
        "version": info.version,
        "entries": {kind.value: count for kind, count in info.entries.items()},
    }


def _line(info: "ListInfo") -> str:
    entries = ", ".join(f"{count} {kind.value}" for kind, count in info.entries.items())
    return (
        f"{info.name}: {entries}; owner {info.owner}, {info.category.value}, as of {info.as_of}, "
        f"purpose {info.purpose}, expires {info.expires}, licence {info.licence}, version {info.version[:12]}"
    )


@app.command("add")
def add(
    file: Annotated[Path, typer.Argument(help="Text (`kind value` a line) or CSV with a header.")],
    name: Annotated[str, typer.Option("--name", help="What to call it here.", show_default=False)],
    owner: Annotated[str, typer.Option("--owner", help="Whose opinion it is.", show_default=False)],
    category: Annotated[
        str,
        typer.Option(
            "--category",
            help="child-abuse, exploitative, intimate-images, terrorism, opt-out, benchmark, benign or other.",
            show_default=False,
        ),
    ],
    licence: Annotated[str, typer.Option("--licence", help="Under what terms you may use it.", show_default=False)],
    as_of: Annotated[str, typer.Option("--as-of", help="Date of the owner's state, YYYY-MM-DD.")] = "unknown",
    purpose: Annotated[str, typer.Option("--purpose", help="What it may be used for.")] = "unknown",
    expires: Annotated[str, typer.Option("--expires", help="Last day of use, YYYY-MM-DD.")] = "unknown",
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            help="What bare values are: md5, sha1, sha256, pdq, url_md5, url_sha256, photodna.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Supersede the list of this name.")] = False,
    as_json: Json = False,
) -> None:
    """Import a list. It is checked whole, then kept encrypted under $VETSET_HOME (default ~/.vetset).

    See docs/lists.md for the formats, and for what encryption at rest does not protect against. Delete FILE afterwards.
    """
    from vetset.api.setup import add_list

    info = add_list(
        file,
        name=name,
        owner=owner,
        category=category,
        licence=licence,
        as_of=as_of,
        purpose=purpose,
        expires=expires,
        kind=kind,
        replace=replace,
    )
    emit(_told(info), _line(info), as_json=as_json)


@app.command("show")
def show(as_json: Json = False) -> None:
    """Show what is known of every imported list; never a value."""
    from vetset.api.setup import lists

    infos = lists()
    text = "\n".join(map(_line, infos)) or "no list yet; import one with `vetset lists add`"
    emit([_told(info) for info in infos], text, as_json=as_json)
