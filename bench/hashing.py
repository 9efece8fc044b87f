"""Topic: from stored bytes to MD5, SHA-1, SHA-256 and PDQ, against the path that ThreatExchange takes."""

import hashlib
from collections import deque
from collections.abc import Callable
from functools import partial
from statistics import median

from bench.figures import ROUNDS, Row, Table, Topic, in_turns, main, per_item
from bench.pictures import pictures
from threatexchange.signal_type.pdq.pdq_hasher import pdq_from_bytes

from vetset.model.policy import ScanPolicy
from vetset.model.signal import Kind, NoSignal, Signal
from vetset.signal.decode import decode
from vetset.signal.fingerprint import fingerprint, fingerprints

_CLASSES = {
    "256 to 512 px": [(256, 256), (384, 384), (512, 512), (512, 384)],
    "800 to 1024 px": [(800, 600), (1000, 750), (1024, 768)],
}
_OURS = "vetset.fingerprint"
_PEER, _FLOOR = "threatexchange pdq_from_bytes + hashlib", "floor: vetset's decoder + hashlib, no PDQ"
_PEERS = {_PEER: "threatexchange", _FLOOR: "decode and digests only"}
_ANY_QUALITY = ScanPolicy(min_pdq_quality=0)
_DEFAULTS = ScanPolicy()
_VARIANTS = "the same, the policy's default variants on"
_MANY = "vetset.fingerprints, 64 pictures a call, which is how a scan takes digests"
_AT_ONCE = 64


def _by_peer(data: bytes) -> tuple[bytes, bytes, bytes, str, int]:
    digests = hashlib.md5(data).digest(), hashlib.sha1(data).digest(), hashlib.sha256(data).digest()
    return *digests, *pdq_from_bytes(data)


def _floor(data: bytes) -> tuple[object, ...]:
    digests = hashlib.md5(data).digest(), hashlib.sha1(data).digest(), hashlib.sha256(data).digest()
    return *digests, decode(data, max_pixels=1 << 28, borrowed=True)


def _equal(data: bytes) -> tuple[bool, bool]:
    """Whether all three digests and the PDQ hash agree; and whether the quality does."""
    md5, sha1, sha256, code, quality = _by_peer(data)
    answers = fingerprint(data, policy=_ANY_QUALITY)
    values = {answer.kind: answer.value for answer in answers if isinstance(answer, Signal)}
    qualities = [answer.quality for answer in answers if isinstance(answer, Signal) and answer.kind is Kind.PDQ]
    same = values == {Kind.MD5: md5, Kind.SHA1: sha1, Kind.SHA256: sha256, Kind.PDQ: bytes.fromhex(code)}
    return same, qualities == [quality]


def _each(function: Callable[[bytes], object], files: list[bytes]) -> None:
    """Call it for every file and keep nothing."""
    deque(map(function, files), maxlen=0)


def _together(files: list[bytes]) -> list[list[Signal | NoSignal]]:
    starts = range(0, len(files), _AT_ONCE)
    return [answers for first in starts for answers in fingerprints(files[first : first + _AT_ONCE])]


def measure(*, quick: bool) -> Topic:
    each = 4 if quick else 30
    topic = Topic(
        "Hashing",
        "JPEG files in memory: crops of ordinary photographs, quality 75 to 90, 4:2:0.",
    )
    same, same_quality, total = 0, 0, 0
    for number, (name, sizes) in enumerate(_CLASSES.items()):
        files = pictures(sizes, each, seed=number)
        ways = {
            _OURS: partial(_each, fingerprint, files),
            _VARIANTS: partial(_each, partial(fingerprint, policy=_DEFAULTS, variants=_DEFAULTS.variants), files),
            _MANY: partial(_together, files),
            _PEER: partial(_each, _by_peer, files),
            _FLOOR: partial(_each, _floor, files),
        }
        seconds = in_turns(ways, ROUNDS)
        floor, whole = median(seconds[_FLOOR]), median(seconds[_OURS])
        ahead = median(seconds[_PEER]) / median(seconds[_MANY])
        topic.checks.append((f"threatexchange against 64 pictures a call, {name}", f"{ahead:.2f}×"))
        topic.holds(f"share of decode and digests in the whole, {name}", f"{floor / whole:.0%}", true=floor < whole)
        kilobytes = sum(map(len, files)) / len(files) / 1e3
        topic.tables.append(
            Table(
                f"MD5 + SHA-1 + SHA-256 + PDQ, pictures of {name}",
                f"Inside: full decode, all four hashes, one picture a call where the row does not say otherwise, 1"
                f" thread; of the picture as stored, no"
                f" variants, but where the row says that they are on (upright, white, black, frames, partial: none"
                f" differs from these pictures). Outside: reading the file, compiling. {len(files)} files of"
                f" {', '.join(f'{w}×{h}' for w, h in sizes)}, {kilobytes:.0f} KB on average.",
                "µs a picture",
                "less",
                [Row(way, per_item(taken, len(files)), _PEERS.get(way, "")) for way, taken in seconds.items()],
            )
        )
        together = _together(files) == [fingerprint(data) for data in files]
        topic.holds(f"answers 64 at a time are those of one picture a call, {name}", str(together), true=together)
        agreed = [_equal(data) for data in files]
        same += sum(hashes for hashes, _ in agreed)
        same_quality += sum(quality for _, quality in agreed)
        total += len(files)
    topic.checks += [
        ("pictures whose four hashes are equal to threatexchange's, bit by bit", f"{same} of {total}"),
        ("pictures whose PDQ quality is equal too", f"{same_quality} of {total}"),
    ]
    return topic


if __name__ == "__main__":
    main(measure)
