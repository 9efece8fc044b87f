"""An in-toto statement: canonical, or refused."""

from contextlib import suppress

from fuzz_targets.fixed import PRIVATE, PUBLIC
from vetset.model.errors import SignatureError, UsageError, VetsetError
from vetset.seal.signature import sign
from vetset.seal.statement import PAYLOAD_TYPE, parse_statement, statement
from vetset.stage.attest import checked_statement


def target(data: bytes) -> None:
    """What is accepted is written the same way again."""
    try:
        found = parse_statement(data)
        assert statement(found.subjects, found.predicate_type, found.predicate) == data
    except SignatureError:
        return
    except UsageError:
        raise AssertionError("an accepted statement cannot be written") from None
    with suppress(VetsetError):
        checked_statement(sign(PAYLOAD_TYPE, data, PRIVATE), PUBLIC, PRIVATE)
