"""vetset keygen."""

from pathlib import Path
from typing import Annotated

import typer

from vetset.cli.options import Json
from vetset.cli.output import emit


def command(
    name: Annotated[str, typer.Argument(help="What to call the key, for instance custodian.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for NAME.pub and NAME.key.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Make a key pair: NAME.pub to seal to and to check against, NAME.key to open and to sign with.

    Whoever holds NAME.key can read findings: make it on the custodian's machine, and never let it leave.
    """
    from vetset.api.setup import keygen

    public, private = keygen(name, out)
    emit(
        {"public": str(public), "private": str(private)},
        [
            f"{public}  give it to whoever runs audits",
            f"{private}  keep it; who holds it can open what is sealed to it",
        ],
        as_json=as_json,
    )
