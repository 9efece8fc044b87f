"""A policy in TOML: settings with a digest, or a refusal."""

from fuzz_targets.scratch import written
from vetset.api.given import load_policy
from vetset.model.errors import PolicyError
from vetset.model.policy import Policy


def target(data: bytes) -> None:
    """What is accepted has one digest however it is passed on."""
    try:
        policy = load_policy(written("policy.toml", data))
    except PolicyError:
        return
    again = Policy.model_validate_json(policy.model_dump_json())
    assert again == policy
    assert again.digest == policy.digest
    assert len(policy.scan.digest) == 64
