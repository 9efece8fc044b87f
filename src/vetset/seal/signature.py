"""Signed payloads: DSSE v1 (https://github.com/secure-systems-lab/dsse) with Ed25519.

The signature covers the type and the bytes of the payload, not a JSON form of it. Key ids are hints as the protocol
says: every signature of an envelope is tried with the expected signer's key, and one must hold. Envelopes of other
DSSE tools are accepted, with fields of their own, which nothing here reads.
"""

import base64
import binascii
from typing import Any

from cryptography.exceptions import InvalidSignature

from vetset.model.canonical import canonical_json
from vetset.model.errors import SignatureError
from vetset.seal.document import parse_object
from vetset.seal.keys import PrivateKey, PublicKey

MAX_SIGNATURES = 64


def preauth(payload_type: str, payload: bytes) -> bytes:
    """The bytes that are signed: DSSE's pre-authentication encoding."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, key: PrivateKey) -> bytes:
    """A DSSE envelope as canonical JSON, with one signature."""
    signature = key.signer().sign(preauth(payload_type, payload))
    return canonical_json(
        {
            "payload": base64.b64encode(payload).decode("ascii"),
            "payloadType": payload_type,
            "signatures": [{"keyid": key.public.keyid, "sig": base64.b64encode(signature).decode("ascii")}],
        }
    )


def check(envelope: bytes, signer: PublicKey, payload_type: str) -> bytes:
    """The payload of an envelope that `signer` signed as `payload_type`.

    Raises:
        SignatureError: the envelope is malformed, of another type, without a signature, altered, or signed by
            somebody else.
    """
    payload, found_type, signatures = _parsed(envelope)
    if found_type != payload_type:
        raise SignatureError(
            "the signed document is of another type",
            expected=payload_type,
            seen="another payload type",
            todo="Name a document of the kind that this command reads.",
        )
    verifier, signed = signer.verifier(), preauth(payload_type, payload)
    for signature in signatures:
        try:
            verifier.verify(signature, signed)
        except InvalidSignature:
            continue
        return payload
    raise SignatureError(
        "no signature holds",
        expected=f"a signature by {signer.name} (key {signer.fingerprint})",
        seen="a document that was altered, or signed by somebody else",
        todo="Do not use it. Get the document and the signer's NAME.pub from their owner again.",
    )


def _parsed(envelope: bytes) -> tuple[bytes, str, list[bytes]]:
    try:
        document = parse_object(envelope)
        payload = _decoded(document.get("payload"))
        payload_type = document.get("payloadType")
        if not isinstance(payload_type, str):
            raise ValueError("it names no payload type")  # noqa: TRY004, TRY301 — one way out for all malformed ones
        return payload, payload_type, _signatures(document.get("signatures"))
    except ValueError as error:
        raise SignatureError(
            f"the signed document is malformed: {error}",
            expected="a DSSE envelope with payload, payloadType and signatures",
            todo="Get the document from its owner again.",
        ) from None


def _signatures(found: Any) -> list[bytes]:
    if not isinstance(found, list) or not 1 <= len(found) <= MAX_SIGNATURES:
        raise ValueError(f"it does not carry 1 to {MAX_SIGNATURES} signatures")
    if not all(isinstance(item, dict) for item in found):
        raise ValueError("a signature is not an object")
    return [_decoded(item.get("sig")) for item in found]


def _decoded(text: Any) -> bytes:
    # DSSE: the standard and the URL-safe alphabet are both to be accepted.
    if not isinstance(text, str):
        raise ValueError("a part that should be base64 is missing")  # noqa: TRY004 — see parse_object
    standard = text.replace("-", "+").replace("_", "/")
    try:
        data = base64.b64decode(standard, validate=True)
    except binascii.Error:
        raise ValueError("a part is not base64") from None
    if base64.b64encode(data).decode("ascii") != standard:
        raise ValueError("a part is not canonical base64")
    return data
