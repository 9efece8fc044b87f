"""NCMEC's fingerprint types, the texts of their values, and the ids of entries."""

import base64
import binascii
import re

from blake3 import blake3

from vetset.hashlist.opinions import MAX_ID_LENGTH
from vetset.model.signal import Kind

TYPES = ("md5", "sha1", "pdna", "pdq", "netclean", "videntifier", "tmk_pdqf", "ssvh_pdna", "ssvh_safer_hash")
"""Types that NCMEC documents, as of October 2024; elements may write `-` for `_`, attributes other cases."""
KIND_OF_TYPE = {"md5": Kind.MD5, "sha1": Kind.SHA1, "pdna": Kind.PHOTODNA, "pdq": Kind.PDQ}
"""The types that vetset matches."""
_DIGITS = re.compile(r"[0-9A-Fa-f]{32}")
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_VALUE = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Za-z+/_=-]{43}|[A-Z2-7]{26}|(?:[0-9]{1,3},\s*){15}")
_NAME = re.compile(r"(?!.*[A-Za-z]{22})[A-Za-z_][A-Za-z_-]{0,39}")
"""Names that are told; an MD5 digest takes 22 letters in base64, and 26 in base32."""


def type_of(word: str) -> str:
    """The type's one spelling, in whichever way an element or attribute writes it."""
    return word.lower().replace("-", "_")


def shown(name: str) -> str:
    """An element's name, if it can be shown: whoever writes elements might write values as names."""
    local = name.rpartition(" ")[2]
    return local if _NAME.fullmatch(local) else "other"


def may_be_value(text: str) -> bool:
    """Whether there is something in a text that has the form of a fingerprint; GUIDs have another."""
    return _VALUE.search(_GUID.sub("", text)) is not None


def raw(text: str, width: int) -> bytes | None:
    """The bytes of a value that is written as hexadecimal digits, or of PhotoDNA (144 bytes) as base64.

    None if it is not so many bytes, or not so written.
    """
    try:
        if len(text) == 2 * width:
            return binascii.unhexlify(text)
        if width == Kind.PHOTODNA.width and len(text) == 192:
            value = base64.b64decode(text, validate=True)
            return value if len(value) == width else None
    except ValueError:  # other characters
        return None
    return None


def entry_id(secret: bytes, member: str, entry: str) -> str:
    """`MEMBER-ENTRY`, which names an entry among all of NCMEC's; see the text of `entries` for when it does not.

    Args:
        secret: 32 bytes that do not leave the vault; what hides an id is keyed with it, so that it confirms no guess.
        member: number of the member that gave it.
        entry: the member's own id.
    """
    whole = f"{member}-{entry}"
    plain = len(whole) <= MAX_ID_LENGTH and whole.isascii() and whole.isprintable() and not entry.startswith("~")
    if plain and not (len(entry) >= 32 and _DIGITS.search(entry)) and "://" not in whole:
        return whole
    digest = base64.b32encode(blake3(b"ncmec\0" + whole.encode(), key=secret).digest()).decode("ascii").lower()
    return f"{member}-~{digest[:24]}"
