"""keygen: what is there before anything else."""

from pathlib import Path

from vetset.seal.keys import generate


def keygen(name: str, out: Path | str) -> tuple[Path, Path]:
    """Make a key pair: `out`/NAME.pub to give away, `out`/NAME.key (0600) to keep.

    Returns:
        Paths of the public and the private file.

    Raises:
        UsageError: the name is not usable.
        OutputError: a key of that name is there already.
    """
    generate(name, Path(out))
    return Path(out) / f"{name}.pub", Path(out) / f"{name}.key"
