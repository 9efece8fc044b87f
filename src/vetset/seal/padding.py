r"""Padding to size classes, so that the size of a sealed part does not tell how much was found.

Layout: 7 bytes `vspad1\n`, the binary logarithm of the size class as one byte, the payload's length as 7 bytes
(little-endian), the payload, one byte 0x80, zeros. The whole is 16 bytes longer than its size class, which is a power
of two. The end mark makes the length redundant, and the logarithm the total: what is changed disagrees with the rest.

What a size still tells: whether the payload is longer than the floor, and then its length to a factor of two. Below the
floor it tells nothing. The payload is compressed before it comes here; compressing after padding would undo it.
"""

from vetset.model.errors import SealError

MAGIC = b"vspad1\n"
END = b"\x80"
_START = len(MAGIC) + 1 + 7
OVERHEAD = _START + len(END)
MAX_PAYLOAD = 1 << 40


def size_class(length: int, floor: int) -> int:
    """The least power of two that is not less than `length` nor `floor`, in bytes.

    Raises:
        ValueError: a size is negative, or above 1 TiB.
    """
    if min(length, floor) < 0 or max(length, floor) > MAX_PAYLOAD:
        raise ValueError(f"sizes must lie between 0 and {MAX_PAYLOAD} bytes")
    return 1 << (max(length, floor, 1) - 1).bit_length()


def pad(payload: bytes, floor: int) -> bytes:
    """The payload in `size_class(len(payload), floor)` + 16 bytes.

    Raises:
        ValueError: a size is negative, or above 1 TiB.
    """
    size = size_class(len(payload), floor)
    header = MAGIC + bytes([size.bit_length() - 1]) + len(payload).to_bytes(7, "little")
    return b"".join((header, payload, END, bytes(size - len(payload))))


def unpad(padded: bytes) -> bytes:
    """The payload that `pad` was given.

    Raises:
        SealError: length, end mark, filling or total size do not fit each other.
    """
    size = len(padded) - OVERHEAD
    if size < 1 or padded[: len(MAGIC) + 1] != MAGIC + bytes([size.bit_length() - 1]) or size & (size - 1):
        raise _damaged("a padded payload of its size class")
    length = int.from_bytes(padded[len(MAGIC) + 1 : _START], "little")
    end = _START + length
    if length > size or padded[end : end + 1] != END or padded[end + 1 :] != bytes(size - length):
        raise _damaged("an end mark where the length says, and zeros after it")
    return padded[_START:end]


def _damaged(expected: str) -> SealError:
    return SealError(
        "the padding of a sealed part is damaged", expected=expected, todo="Restore the part from a copy of the bundle."
    )
