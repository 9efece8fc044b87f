"""`run.json`: a manifest, or a refusal."""

from fuzz_targets.scratch import emptied
from vetset.case.manifest import read_manifest, write_manifest
from vetset.model.errors import OutputError


def target(data: bytes) -> None:
    """What is accepted is the same after being written and read again."""
    folder = emptied("audit")
    (folder / "run.json").write_bytes(data)
    try:
        manifest = read_manifest(folder)
    except OutputError:
        return
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest
    assert len(manifest.dataset_digest) == 64
    assert all(shard.records >= 0 for shard in manifest.shards)
    manifest.coverage_json()
