"""Options that several commands share, so that each is explained in one way."""

from math import inf, isfinite
from pathlib import Path
from typing import Annotated

import typer

from vetset.model.errors import UsageError

_RECORD_SECONDS = 60
"""What a record has if nothing is said; the shorter of it and a quarter of the shard's time is taken."""
ROLES = ("url", "key", "md5", "sha1", "sha256", "photodna")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
KeyFile = Annotated[Path, typer.Option("--key", help="Your private key, NAME.key.", show_default=False)]
Signer = Annotated[
    Path, typer.Option("--signer", help="Public key, NAME.pub, of the one who must have signed.", show_default=False)
]
Lists = Annotated[
    list[str],
    typer.Option("--list", help="Name of an imported list; give it once for each list.", show_default=False),
]
SealTo = Annotated[
    list[Path],
    typer.Option(
        "--seal-to", help="Public key, NAME.pub, of who may open the findings; repeatable.", show_default=False
    ),
]
Purpose = Annotated[
    str,
    typer.Option(
        "--purpose",
        help="What this is for, a word as in the terms of lists; a list that must not be used for it is refused.",
    ),
]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", help="TOML file of thresholds and rules (docs/policy.md).", show_default=False),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        help="ROLE=NAME where names do not tell: url, key, md5, sha1, sha256, photodna; ROLE= switches it off.",
        show_default=False,
    ),
]
Dataset = Annotated[
    str,
    typer.Argument(
        help="A folder, a .tar, .parquet or .arrow file; or the address of one, read-only: s3://, gs://, abfs://, "
        "hf://datasets/, https:// (docs/remote.md).",
        show_default=False,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format", help="folder, webdataset, parquet or huggingface, where it cannot be told.", show_default=False
    ),
]
Embedder = Annotated[
    str,
    typer.Option(
        "--embedder",
        help="Compute embeddings: sscd, sscd-distilled, FILE.onnx, or NAME=FILE.onnx for a model that is known by "
        "name; @DEVICE may follow (docs/embeddings.md).",
    ),
]
StorePlace = Annotated[
    Path | None,
    typer.Option("--store", help="Where the store lies now, if not where the audit left it.", show_default=False),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--shard-seconds", help="Give up a shard that takes longer; needed for hostile data.", show_default=False
    ),
]
RecordSeconds = Annotated[
    float | None,
    typer.Option(
        "--record-seconds",
        help="Pass over a record that takes longer, also alone; 60, or a quarter of --shard-seconds, if not given.",
        show_default=False,
    ),
]
Memory = Annotated[
    float | None,
    typer.Option("--worker-gib", help="Memory that a worker may take; needed for hostile data.", show_default=False),
]
Workers = Annotated[
    int | None, typer.Option("--workers", help="Processes; one per core if not given.", min=1, show_default=False)
]


def mapping_of(columns: list[str] | None) -> dict[str, str]:
    """`ROLE=NAME` options as a mapping.

    Raises:
        UsageError: an option is not of that form, or names an unknown role.
    """
    mapping = {}
    for option in columns or []:
        role, equals, name = option.partition("=")
        if not equals or role not in ROLES:
            raise UsageError(
                "--column is not understood", expected=f"ROLE=NAME with a role of {', '.join(ROLES)}", seen=option
            )
        mapping[role] = name
    return mapping


def shard_limit(seconds: float | None) -> float | None:
    """The time for a shard as the engine takes it.

    Raises:
        UsageError: it is none.
    """
    if seconds is not None and not 0 < seconds < inf:
        raise UsageError("--shard-seconds is no time", expected="seconds above 0", seen=str(seconds))
    return seconds


def record_limit(record: float | None, shard: float | None) -> float | None:
    """The time for a record, such that one that hangs is found, twice, before its shard is given up."""
    return shard / 4 if record is None and shard is not None and shard < 4 * _RECORD_SECONDS else record


def memory_bytes(gib: float | None) -> int | None:
    """The limit as the engine takes it.

    Raises:
        UsageError: it is no number.
    """
    if gib is not None and not isfinite(gib):
        raise UsageError("--worker-gib is no amount of memory", expected="GiB above 0", seen=str(gib))
    return None if gib is None else int(gib * (1 << 30))
