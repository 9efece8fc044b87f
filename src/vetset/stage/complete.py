"""Whether findings are all that there is to find: what leaves an audit signed rests on it (rule 3).

What stays within the case does not ask. Verdicts and rounds on findings that are not complete are true as they stand,
and what a recheck brings comes on top of them; an index or a search that fails is refused where it is asked.
"""

from vetset.case.findings import Findings
from vetset.case.manifest import Manifest
from vetset.model.errors import CountError


def require_complete(findings: Findings, manifest: Manifest, refused: str) -> None:
    """Refuse what would be signed although something was not read, does not add up, or was not tried.

    Args:
        findings: the folded case.
        manifest: the audit's public side.
        refused: what cannot be done then, in words.

    Raises:
        CountError: a shard is missing, counts do not add up, the self-test failed, or the audit has not ended.
    """
    if findings.status == "complete" and not manifest.failed and manifest.state == "sealed" and not manifest.untested:
        return
    raise CountError(
        refused,
        expected="every shard read, counts that add up and a self-test that passed",
        seen=f"an audit that is {findings.status}" + "".join(f"; {text}" for text in manifest.untested),
        todo="Mend or remove the shards that run.json names as failed, and audit anew. Where only the store was "
        "damaged: scan the dataset into it again, then `vetset recheck`.",
    )
