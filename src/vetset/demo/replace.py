"""Put a known item back into a cleaned shard, to see whether an audit finds exactly that."""

import io
import tarfile
from pathlib import Path

from vetset.demo.planted import PlantedRecord
from vetset.storage.commit import atomic_file


def replace_image(dataset: Path, record: PlantedRecord, image: bytes) -> None:
    """Write `image` in place of the stored bytes of one record; everything else of its shard stays."""
    path = dataset / f"{record.shard}.tar"
    with (
        tarfile.open(path) as source,
        atomic_file(path, mode=0o644) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as target,
    ):
        for member in source:
            content = source.extractfile(member)
            data = content.read() if content is not None else b""
            if member.name in {f"{record.key}.{suffix}" for suffix in ("jpg", "png", "webp", "gif")}:
                data = image
            member.size = len(data)
            target.addfile(member, io.BytesIO(data))
