"""An in-toto statement: canonical, or refused."""

from vetset.model.errors import SignatureError, UsageError
from vetset.seal.statement import parse_statement, statement


def target(data: bytes) -> None:
    """What is accepted is written the same way again."""
    try:
        found = parse_statement(data)
        assert statement(found.subjects, found.predicate_type, found.predicate) == data
    except SignatureError:
        return
    except UsageError:
        raise AssertionError("an accepted statement cannot be written") from None
