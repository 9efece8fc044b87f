"""A signed removal order whose content is anything: an order, or a refusal."""

from fuzz_targets.fixed import PRIVATE, PUBLIC
from vetset.model.errors import SignatureError
from vetset.seal.signature import sign
from vetset.stage.order import PAYLOAD_TYPE, checked_order, signed_order


def target(data: bytes) -> None:
    """What is accepted comes back from being signed again."""
    try:
        order = checked_order(sign(PAYLOAD_TYPE, data, PRIVATE), PUBLIC)
    except SignatureError:
        return
    assert len(bytes.fromhex(order.salt)) == 32
    assert all(len(token) == 32 for token in order.tokens)
    again = checked_order(signed_order(order, PRIVATE), PUBLIC)
    assert (again.tokens, again.cover) == (order.tokens, order.cover)
