"""What a notebook shows unasked of what was opened: nothing that was found."""

from vetset.api.custody import Opened
from vetset.case.findings import Findings, Provenance, RoundsPart
from vetset.case.ledger import OpenedCase
from vetset.case.rounds import Rules
from vetset.model.dataset import ContentId, RecordId, ShardDigest
from vetset.stage.attest import Checked

RECORD = RecordId(ShardDigest("planted-shard"), 7, "planted-key")
FOUND = Provenance(
    RECORD, "planted.tar", ContentId("planted-content"), "https://planted.example", "planted", checked=True
)
FINDINGS = Findings((), (), (), (), (), (FOUND,), "complete")


def test_an_opened_case_shows_nothing_that_was_found():
    case = OpenedCase(FINDINGS, "head", 2, unfinished=RoundsPart(Rules("planted", "v"), provenance=(FOUND,)))
    assert repr(case) == "OpenedCase(head='head', parts=2, bound=False)"
    assert "planted" not in repr(Opened(None, case))


def test_a_finding_shows_no_address_and_no_columns():
    assert "planted.example" not in repr(FINDINGS)
    assert "columns" not in repr(FOUND)


def test_a_statement_that_was_opened_shows_no_claim():
    assert "planted" not in repr(Checked({}, {}, {"claims": ["planted"]}))
