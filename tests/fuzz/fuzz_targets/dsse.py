"""A signed envelope: nothing is accepted that the signer did not sign."""

import base64
import json

from fuzz_targets.fixed import PRIVATE, PUBLIC
from vetset.model.errors import SignatureError
from vetset.seal.signature import check, preauth, sign

KIND = "application/x"


def _signed(data):
    """The same envelope with a signature that holds over what it carries; None where there is nothing to sign."""
    try:
        document = json.loads(data)
        payload = base64.urlsafe_b64decode(document["payload"])
        signature = PRIVATE.signer().sign(preauth(document["payloadType"], payload))
        document["signatures"] = [*document["signatures"][:70], {"sig": base64.b64encode(signature).decode()}]
        return json.dumps(document).encode(), payload, document["payloadType"]
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        return None


def target(data: bytes) -> None:
    """As it came; signed anew; and as the payload of an envelope."""
    assert check(sign(KIND, data, PRIVATE), PUBLIC, KIND) == data
    _checked(data)
    signed = _signed(data)
    if signed is not None:
        envelope, payload, kind = signed
        found = _checked(envelope)
        assert found is None or (found == payload and kind == KIND)


def _checked(envelope):
    try:
        payload = check(envelope, PUBLIC, KIND)
    except SignatureError:
        return None
    document = json.loads(envelope)
    signatures = [
        base64.urlsafe_b64decode(item["sig"].replace("+", "-").replace("/", "_")) for item in document["signatures"]
    ]
    assert PRIVATE.signer().sign(preauth(KIND, payload)) in signatures, "accepted without a signature"
    return payload
