"""Names for entries whose owner gives them none.

A name must be the same at every import and another for every value, so that an entry that is withdrawn is found again.
Findings name entries, and people see findings: a plain digest of a value would let anybody who guesses at the value
confirm the guess. So names are keyed: without the secret they say nothing of the value, and two vaults name one value
in two ways.
"""

from blake3 import blake3

from vetset.model.signal import Kind

SECRET_BYTES = 32
_NAME_BYTES = 15
"""120 bits: among a hundred million values, two have one name with a chance of 1 in 2^67."""


def entry_name(secret: bytes, kind: Kind, value: bytes) -> str:
    """The name of an entry that has this value alone.

    It is BLAKE3 of the word `entry`, the kind and the value, with NULs between, under the secret; cut.

    Args:
        secret: `SECRET_BYTES` random bytes that do not leave the vault.
        kind: what the value is.
        value: raw bytes.

    Returns:
        `own:` and 30 hexadecimal digits, fewer than any digest has.

    Raises:
        ValueError: the secret has another length.
    """
    digest = blake3(b"entry\0" + kind.value.encode("ascii") + b"\0" + value, key=secret)
    return f"own:{digest.hexdigest(_NAME_BYTES)}"
