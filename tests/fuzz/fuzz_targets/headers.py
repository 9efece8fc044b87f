"""Tar headers with their checksums put right, so that damage elsewhere gets past them."""

BLOCK = 512


def mended(data: bytes) -> bytes:
    """The archive with the right checksum in every block that looks like a header."""
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    return b"".join(_mended(block) if block[257:262] == b"ustar" and len(block) == BLOCK else block for block in blocks)


def _mended(block: bytes) -> bytes:
    total = sum(block[:148]) + 8 * 0x20 + sum(block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]
