"""vetset demo."""

from pathlib import Path
from typing import Annotated

import typer

from vetset.cli.options import Json
from vetset.cli.output import emit


def command(
    out: Annotated[Path, typer.Option("--out", help="Where everything will lie; must not exist.")] = Path(
        "vetset-demo"
    ),
    as_json: Json = False,
) -> None:
    """Walk the whole way on a small dataset of benign photographs that the demo builds itself.

    "Known" items are ordinary photographs that stand in. What a real audit keeps sealed is printed here, because here
    it is only a demonstration.
    """
    from vetset.demo.run import run_demo
    from vetset.demo.story import story

    result = run_demo(out, say=None if as_json else lambda line: print(line, flush=True))
    emit(result.to_json(), story(result).split("\n"), as_json=as_json)
