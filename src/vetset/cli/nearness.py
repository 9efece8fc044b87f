"""What a round says of its embeddings, for people: how near is near, and what crowds."""

from typing import Any

_FEW = 20
"""Fewer known near-duplicates say little of how many are reached."""


def _share(told: dict[str, float]) -> str:
    return f"{told['value']:.3g} ({told['low']:.3g} to {told['high']:.3g})"


def _calibration_lines(told: dict[str, Any]) -> list[str]:
    if not told["curve"]:
        return []
    low, high = told["interval"]
    asked = f"a rate of {told['rate']:g} a pair asks for {low:.3f} to {high:.3f}"
    if told["bounded"]:
        asked += ", and a bound of the policy decided"
    chance = f"by chance a seed has {_share(told['false_per_seed'])} of {told['records']} vectors as near"
    if told["near_duplicates"]:
        few = ", which are few" if told["near_duplicates"] < _FEW else ""
        reached = f"it reaches {_share(told['recall'])} of {told['near_duplicates']} known near-duplicates{few}"
    else:
        reached = "without known near-duplicates, nobody can say how many it reaches"
    if told["look_alikes"]:
        alike = f"{_share(told['alike'])} of {told['look_alikes']} records have another picture as near"
    else:
        alike = "no look-alikes could be told from copies"
    return [f"  {asked}; {chance}", f"  {reached}; {alike}"]


def _crowding_lines(told: dict[str, Any]) -> list[str]:
    crowd = told["crowding"]
    if crowd is None:
        return []
    lines = []
    if crowd["left_out_as_collapsed"]:
        lines.append(
            f"  {crowd['seeds_at_collapsed_points']} seeds lie where pictures collapse to one vector: "
            f"{crowd['records_left_out_as_collapsed']} records there are copies neither by bytes nor by PDQ. They were "
            "left out and are undecided"
        )
    if crowd["left_out_beyond_k"]:
        lines.append(
            f"  {told['seeds_saturated']} seeds have {crowd['left_out_beyond_k']} more neighbours than the "
            f"{told['k']} nearest. They were left out and are undecided: raise expand.k in the policy"
        )
    if crowd["hubs"]:
        lines.append(
            f"  {crowd['hubs']} candidates are hubs, near seeds that are not near each other "
            f"(one near {crowd['most_unlike_seeds_of_a_hub']})"
        )
    return lines


def nearness_lines(told: dict[str, Any]) -> list[str]:
    """Lines below a round of the summary."""
    lines = _calibration_lines(told["calibration"])
    if told["seeds_without_vector"]:
        lines.append(f"  {told['seeds_without_vector']} seeds have no vector")
    if told["crowding"] is None and told["seeds_saturated"]:
        lines.append(f"  {told['seeds_saturated']} seeds had more neighbours than k: raise expand.k in the policy")
    return lines + _crowding_lines(told)
