"""The content of a sealed part of a case: padding, compression and document, each on its own and all together."""

import zlib

from vetset.case.findings import PART, FindingsPart, fold
from vetset.case.ledger import _decoded, packed, unpacked
from vetset.model.errors import SealError
from vetset.seal.padding import pad


def target(data: bytes) -> None:
    """As padded bytes, as compressed bytes, and as the document itself."""
    for layer in (data, pad(data, 64), pad(zlib.compress(data, 1), 64)):
        try:
            document = unpacked(layer, "case/000001.age")
        except SealError:
            continue
        for number in (1, 2):
            try:
                part = _decoded(document, number, "case/000001.age")
            except SealError:
                continue
            again = unpacked(packed({"content": PART.dump_python(part, mode="json")}, 64), "case/000001.age")
            assert _decoded(again, number, "x") == part
            if isinstance(part, FindingsPart):
                assert len(fold([part]).digest) == 64
