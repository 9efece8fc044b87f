"""vetset audits image-training datasets for known illegal material, without a picture being seen and without a map.

The public names are flat: `vetset.audit(…)`, `vetset.HammingIndex(…)`. They are imported when they are first used, so
that `import vetset` and `vetset --help` cost nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vetset.api.auditing import audit, match, recheck, scan
    from vetset.api.custody import Opened, attest, copies, expand, expand_until_dry, open_audit, order, verify
    from vetset.api.feedback import feedback_reasons, read_list_feedback, send_list_feedback, write_list_feedback
    from vetset.api.given import load_policy
    from vetset.api.listing import (
        add_benign,
        add_list,
        list_decisions,
        lists,
        overlap_lists,
        quarantine_entries,
        release_entries,
        remove_list,
        sign_list,
        update_list,
    )
    from vetset.api.planning import plan
    from vetset.api.revision import check, clean
    from vetset.api.setup import keygen
    from vetset.api.syncing import sync_list
    from vetset.dataset.columns import ColumnMapping
    from vetset.engine.local import LocalEngine
    from vetset.model import errors
    from vetset.model.hashlist import HashList
    from vetset.model.plan import Plan
    from vetset.model.policy import Policy
    from vetset.model.signal import NoSignal, Signal
    from vetset.search.distance import DistanceIndex
    from vetset.search.exact import DigestIndex
    from vetset.search.hamming import HammingIndex
    from vetset.search.nearest import Neighbours, nearest
    from vetset.signal.fingerprint import fingerprint, fingerprints

_PLACES = {
    "ColumnMapping": "vetset.dataset.columns",
    "DigestIndex": "vetset.search.exact",
    "DistanceIndex": "vetset.search.distance",
    "HammingIndex": "vetset.search.hamming",
    "HashList": "vetset.model.hashlist",
    "LocalEngine": "vetset.engine.local",
    "Neighbours": "vetset.search.nearest",
    "NoSignal": "vetset.model.signal",
    "Opened": "vetset.api.custody",
    "Plan": "vetset.model.plan",
    "Policy": "vetset.model.policy",
    "Signal": "vetset.model.signal",
    "add_benign": "vetset.api.listing",
    "add_list": "vetset.api.listing",
    "attest": "vetset.api.custody",
    "audit": "vetset.api.auditing",
    "check": "vetset.api.revision",
    "clean": "vetset.api.revision",
    "copies": "vetset.api.custody",
    "errors": "vetset.model.errors",
    "expand": "vetset.api.custody",
    "expand_until_dry": "vetset.api.custody",
    "feedback_reasons": "vetset.api.feedback",
    "fingerprint": "vetset.signal.fingerprint",
    "fingerprints": "vetset.signal.fingerprint",
    "keygen": "vetset.api.setup",
    "list_decisions": "vetset.api.listing",
    "lists": "vetset.api.listing",
    "load_policy": "vetset.api.given",
    "match": "vetset.api.auditing",
    "nearest": "vetset.search.nearest",
    "open_audit": "vetset.api.custody",
    "order": "vetset.api.custody",
    "overlap_lists": "vetset.api.listing",
    "plan": "vetset.api.planning",
    "quarantine_entries": "vetset.api.listing",
    "read_list_feedback": "vetset.api.feedback",
    "recheck": "vetset.api.auditing",
    "release_entries": "vetset.api.listing",
    "remove_list": "vetset.api.listing",
    "scan": "vetset.api.auditing",
    "send_list_feedback": "vetset.api.feedback",
    "sign_list": "vetset.api.listing",
    "sync_list": "vetset.api.syncing",
    "update_list": "vetset.api.listing",
    "verify": "vetset.api.custody",
    "write_list_feedback": "vetset.api.feedback",
}

__all__ = [
    "ColumnMapping",
    "DigestIndex",
    "DistanceIndex",
    "HammingIndex",
    "HashList",
    "LocalEngine",
    "Neighbours",
    "NoSignal",
    "Opened",
    "Plan",
    "Policy",
    "Signal",
    "add_benign",
    "add_list",
    "attest",
    "audit",
    "check",
    "clean",
    "copies",
    "errors",
    "expand",
    "expand_until_dry",
    "feedback_reasons",
    "fingerprint",
    "fingerprints",
    "keygen",
    "list_decisions",
    "lists",
    "load_policy",
    "match",
    "nearest",
    "open_audit",
    "order",
    "overlap_lists",
    "plan",
    "quarantine_entries",
    "read_list_feedback",
    "recheck",
    "release_entries",
    "remove_list",
    "scan",
    "send_list_feedback",
    "sign_list",
    "sync_list",
    "update_list",
    "verify",
    "write_list_feedback",
]


def __getattr__(name: str) -> Any:
    """The public name, imported now."""
    if name not in _PLACES:
        raise AttributeError(f"module 'vetset' has no attribute {name!r}")
    module = import_module(_PLACES[name])
    value = module if name == "errors" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
