"""`run.json` changed by hand, and audits as earlier versions of vetset sealed them."""

import json

from vetset.case.ledger import packed, seal_floor, unpacked
from vetset.case.manifest import read_manifest
from vetset.model.canonical import canonical_json, document_digest, summed
from vetset.seal.chain import link
from vetset.seal.envelope import seal, unseal


def run_json(out):
    """What `run.json` says, without its digest of itself."""
    document = json.loads((out / "run.json").read_bytes())
    document.pop("sum")
    return document


def write_run_json(out, document):
    """Write it as whoever wants it to pass: with a digest that fits."""
    (out / "run.json").write_bytes(canonical_json(summed(document)) + b"\n")


def made_older(audited, forgotten=()):
    """The same audit as a version sealed it that bound `run.json` to nothing and did not know some of its fields."""
    document = {name: value for name, value in run_json(audited.out).items() if name not in forgotten}
    (audited.out / "run.json").write_bytes(canonical_json(document) + b"\n")
    manifest, head = read_manifest(audited.out), None
    floor = seal_floor(manifest.request.policy.seal, manifest.records)
    identity = document_digest([manifest.dataset_digest, document["request"]])
    for path in sorted((audited.out / "case").iterdir()):
        part = unpacked(unseal(path.read_bytes(), audited.key), path.name)
        part = {"number": part["number"], "previous": head, "audit": identity, "content": part["content"]}
        sealed = seal(packed(part, floor), [audited.pub])
        path.write_bytes(sealed)
        head = link(head, sealed)
    return audited
