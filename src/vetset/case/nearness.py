"""What a round says of its embeddings: how near is near, and which points are crowded."""

from dataclasses import dataclass

from vetset.model.dataset import RecordId


@dataclass(frozen=True, slots=True)
class Share:
    """A share, or a number that follows from one, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """How many pairs of each class lie at or above a cosine.

    Attributes:
        similarity: the cosine.
        near_duplicates: known near-duplicates, of `Calibration.near_duplicates`.
        random_pairs: random pairs, of `Calibration.random_pairs`.
        look_alikes: pairs of a record and its look-alike, of `Calibration.look_alikes`.
    """

    similarity: float
    near_duplicates: int
    random_pairs: int
    look_alikes: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """How near is near, on these embeddings. Sealed before there were look-alikes, it has the first seven only.

    Attributes:
        method: what was done, in words.
        vectors: vectors of which every pair was looked at.
        pairs: pairs that were looked at.
        rate: share of random pairs that may pass.
        quantile: the cosine that this share of all these pairs exceeds, copies and equal vectors among them.
        threshold: what was used: the least cosine that at most this share of random pairs reaches, within the
            policy's bounds.
        bounded: whether a bound of the policy decided.
        records: vectors that the sample was drawn from.
        random_pairs: pairs that are neither copies of each other, by bytes or PDQ, nor at the very same point.
        copies: pairs that were left out as copies.
        same_point: pairs that were left out because their vectors are equal.
        interval: ends of the 95 % interval of the threshold before bounds; 1 where the pairs are too few to tell.
        false_rate: share of random pairs at or above the threshold.
        false_per_seed: how many records at or above the threshold a seed has by chance.
        near_duplicates: disjoint pairs that PDQ confirms and whose bytes differ, one for each group of copies.
        near_without_vector: groups of copies of which no such pair has two vectors.
        exact_copies: pairs of equal bytes that were met on the way, and left out since their vectors are equal anyway.
        recall: share of these near-duplicates at or above the threshold; None without any.
        look_alikes: records of which the most similar record that PDQ calls another picture was found.
        look_alikes_hidden: records of which it was not: no PDQ, or copies alone among the nearest.
        alike: share of these whose look-alike lies at or above the threshold; None without any.
        curve: counts at or above each cosine of a grid, ascending.
        landmarks: what the vectors are known again by (`vetset.stage.landmarks`); None if sealed before there were any.
    """

    method: str
    vectors: int
    pairs: int
    rate: float
    quantile: float
    threshold: float
    bounded: bool
    records: int = 0
    random_pairs: int = 0
    copies: int = 0
    same_point: int = 0
    interval: tuple[float, float] | None = None
    false_rate: Share | None = None
    false_per_seed: Share | None = None
    near_duplicates: int = 0
    near_without_vector: int = 0
    exact_copies: int = 0
    recall: Share | None = None
    look_alikes: int = 0
    look_alikes_hidden: int = 0
    alike: Share | None = None
    curve: tuple[CurvePoint, ...] = ()
    landmarks: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class CrowdedSeed:
    """A seed of which not every record within the threshold was returned; the counts add up.

    Attributes:
        seed: the seed.
        within: other records at or above the threshold.
        copies: of these, returned as copies of the seed by bytes or PDQ. Every copy of a seed is returned, but where
            several seeds crowd it may be with another one.
        others: further neighbours that were returned.
        collapsed: left out: at the very same point, where pictures collapse that are not copies of each other.
        beyond: the rest, further away than the k that were returned: left out, unless another seed brought them.
    """

    seed: RecordId
    within: int
    copies: int
    others: int
    collapsed: int
    beyond: int


@dataclass(frozen=True, slots=True)
class Crowding:
    """What was degenerate in a round. Nothing that is left out is decided.

    Attributes:
        seeds: crowded seeds, in order.
        collapsed: records that were left out as collapsed and that no other seed brought.
        hubs: records near seeds that are not near each other, as many as the policy calls a hub; they are candidates.
        hub_most: the most such seeds of one record.
    """

    seeds: tuple[CrowdedSeed, ...] = ()
    collapsed: int = 0
    hubs: int = 0
    hub_most: int = 0
