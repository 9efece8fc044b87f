"""Which list may be asked about candidates: a second opinion, so never that of somebody who spoke already."""

from vetset.api.given import opened_lists
from vetset.case.findings import Findings, lists_now
from vetset.case.manifest import ListUse, Manifest
from vetset.hashlist.overlap import same_values
from vetset.hashlist.vault.vault import Vault, default_home
from vetset.model.errors import ListError, UsageError
from vetset.model.hashlist import HashList
from vetset.model.verdict import list_verifier


def second_list(findings: Findings, manifest: Manifest, with_list: str | HashList) -> HashList:
    """A list that can verify: of an owner whom the audit did not ask yet, about the same harm.

    Raises:
        UsageError: the audit used it, under whatever name, or another list of its owner; or another list of its name
            has answered.
        ListError: it is unknown, damaged or expired, not for the audit's purpose, or nobody answers for it; or it is
            about another harm, so that what it knows says nothing of what it would be asked about.
    """
    second = opened_lists([with_list], manifest.request.purpose)[0]
    if not second.info.answered_for:
        raise ListError(
            "nobody answers for this list, so it cannot verify",
            expected="a list with an owner",
            where=second.info.name,
            todo="Import it again and say whose opinion it is with --owner.",
        )
    used_now = lists_now(findings, manifest)
    for used in used_now:
        _require_another(second, used)
    _require_same_verifier(findings, second)
    harms = sorted({used.category for used in used_now})
    if second.info.category not in harms:
        raise ListError(
            "this list is about another harm than the audit's, so it cannot verify",
            expected=f"a list about {' or '.join(harms)}",
            seen=second.info.category.value,
            where=second.info.name,
        )
    return second


def _require_another(second: HashList, used: ListUse) -> None:
    """Refuse a list that says what a list in force said, in the same voice or word for word.

    Raises:
        UsageError: it does.
    """
    if second.info.name == used.name:
        raise UsageError(
            "this list was used by the audit itself, so it cannot verify", expected="a second list", seen=used.name
        )
    if second.info.voice == used.voice:
        raise UsageError(
            "the audit used a list of the same owner, so this one cannot verify",
            expected="a second list, of another owner",
            seen=f"a list of the owner of {used.name}",
            where=second.info.name,
            todo="What this owner knows beyond that list is found by `vetset recheck` with this one.",
        )
    if _is_same(second, used):
        raise UsageError(
            "the audit used a list of the same content, so this one cannot verify",
            expected="a second list, of somebody who looked for themselves",
            seen=f"the entries of {used.name}",
            where=second.info.name,
        )


def _require_same_verifier(findings: Findings, second: HashList) -> None:
    """Refuse a list that only shares its name with one that has answered: its word would stand in for that one's.

    Raises:
        UsageError: owner or category differ.
    """
    now = (second.info.voice, second.info.category.value)
    for verdict in findings.verdicts:
        before = (verdict.owner, verdict.category)
        if verdict.verifier == list_verifier(second.info.name) and verdict.owner and before != now:
            raise UsageError(
                "another list of this name has answered in this audit",
                expected=f"the list of {verdict.owner} ({verdict.category})",
                seen=f"a list of {second.info.voice} ({second.info.category.value})",
                where=second.info.name,
                todo="Import it under a name of its own; a list only supersedes itself.",
            )


def _is_same(second: HashList, used: ListUse) -> bool:
    """Whether a list holds what another one holds, as far as that one lies in the vault here."""
    vault = Vault(default_home())
    if used.name not in vault.names():
        return False
    counts = {kind: len(entries) for kind, entries in second.entries.items()}
    # loaded only where it can be: lists are long
    return dict(vault.info(used.name).entries) == counts and same_values(second, vault.load(used.name))
