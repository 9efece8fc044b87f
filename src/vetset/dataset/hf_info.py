"""What `datasets` keeps beside its Arrow streams, and needs to load them: state, description, names of splits.

These files hold no record and belong to no shard. A cleaned revision gets them once all its streams are written:
verbatim where nothing beside them was removed, else with numbers that are true of what stayed, or without them. A
fingerprint is among what has to change: under the old one, `datasets` would hand out what it computed of the old rows.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vetset.dataset.hf_schema import METADATA
from vetset.dataset.hf_tables import open_rows
from vetset.dataset.places import MAX_TEXT, copy_file, new_file, place, read_whole, walk_files
from vetset.model.errors import DatasetError
from vetset.storage.remote import Place

STATE, INFO, DICT = "state.json", "dataset_info.json", "dataset_dict.json"
_NUMBERS = frozenset({
    "splits", "download_checksums", "download_size", "post_processed", "post_processing_size", "dataset_size",
    "size_in_bytes",
})  # fmt: skip
"""Fields of a description that count or digest rows that may be gone."""


def companions(root: Place, streams: Collection[str]) -> list[str]:
    """Uris of the files that go with these Arrow streams, sorted."""
    folders = {uri.rpartition("/")[0] for uri in streams}
    above = {folder.rpartition("/")[0] for folder in folders if folder}
    candidates = [f"{folder}/{name}".lstrip("/") for folder in folders for name in (STATE, INFO)]
    candidates += [f"{folder}/{DICT}".lstrip("/") for folder in above]
    return sorted({found.uri for found in walk_files(root)}.intersection(candidates))


def _parsed(data: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise DatasetError(
            "a file that `datasets` needs to load this dataset is damaged", expected="a JSON object", where=where
        )
    return document


def state_of_survivors(data: bytes, digests: Sequence[str], where: str) -> bytes:
    """A `state.json` whose fingerprint is that of what stayed.

    Args:
        data: the file as it was.
        digests: hex SHA-256 of the streams that it is about.
        where: the file, for errors.

    Raises:
        DatasetError: it is no JSON object, or says that rows are looked up through a file of indices.
    """
    state = _parsed(data, where)
    if state.get("_indices_data_files"):
        raise DatasetError(
            "rows of this dataset are looked up through a file of indices, which would name the wrong rows afterwards",
            expected="a dataset that was saved flat",
            where=where,
            todo="Load it, call `flatten_indices()`, save it anew, and audit that.",
        )
    if "_fingerprint" in state:
        state["_fingerprint"] = hashlib.sha256("\n".join(["vetset", *digests]).encode()).hexdigest()[:16]
    return json.dumps(state, indent=2, sort_keys=True).encode()


def info_of_survivors(data: bytes, rows: Mapping[str, int], where: str, *, cached: bool) -> bytes:
    """A `dataset_info.json` without numbers that are no longer true.

    Args:
        data: the file as it was.
        rows: rows of each stream beside it, by file name, as they are now.
        where: the file, for errors.
        cached: whether it describes a cache, whose loader needs the number of rows of every split; a saved dataset's
            does not.

    Raises:
        DatasetError: it is no JSON object.
    """
    info = _parsed(data, where)
    splits = info.get("splits")
    kept = {name: value for name, value in info.items() if name not in _NUMBERS}
    if cached and isinstance(splits, dict):
        counted = {name: _split(name, split, rows) for name, split in splits.items() if isinstance(split, dict)}
        kept["splits"] = {name: split for name, split in counted.items() if split is not None}
    return json.dumps(kept, indent=2).encode()


def _split(name: str, split: Mapping[str, Any], rows: Mapping[str, int]) -> dict[str, Any] | None:
    """One split as its streams now are; None if no row of it is there, since the loader refuses an empty one."""
    form = re.compile(rf".+-{re.escape(name)}(-\d{{5}}-of-\d{{5}})?\.arrow")
    lengths = [count for file, count in sorted(rows.items()) if form.fullmatch(file)]
    if not any(lengths):
        return None
    told: dict[str, Any] = {"name": name, "num_examples": sum(lengths)}
    if "dataset_name" in split:
        told["dataset_name"] = split["dataset_name"]
    if split.get("shard_lengths") or len(lengths) > 1:
        told["shard_lengths"] = lengths
    return told


def schema_of_survivors(schema: Any) -> Any:
    """A schema whose `huggingface` metadata say nothing of the rows that were there before."""
    metadata = dict(schema.metadata or {})
    if METADATA not in metadata:
        return schema
    document = _parsed(metadata[METADATA], "the schema's metadata")
    kept = {name: value for name, value in document.items() if name != "fingerprint"}
    if isinstance(kept.get("info"), dict):
        kept["info"] = {name: value for name, value in kept["info"].items() if name not in _NUMBERS}
    if kept == document:
        return schema
    return schema.with_metadata({**metadata, METADATA: json.dumps(kept).encode()})


def _measured(path: Place, uri: str) -> tuple[str, int]:
    """Hex SHA-256 of a stream and its rows."""
    digest = hashlib.sha256()
    with open_rows(path, uri, digest.update) as file:
        rows = file.count()
    return digest.hexdigest(), rows


def _written(root: Place, out: Path, uri: str, streams: Sequence[str], *, cached: bool) -> bytes:
    data = read_whole(place(root, uri), uri, MAX_TEXT)
    if uri.endswith(STATE):
        return state_of_survivors(data, [_measured(place(out, stream), stream)[0] for stream in streams], uri)
    rows = {stream.rpartition("/")[2]: _measured(place(out, stream), stream)[1] for stream in streams if cached}
    return info_of_survivors(data, rows, uri, cached=cached)


def write_companions(root: Place, streams: Sequence[str], out: Path, changed: Collection[str]) -> None:
    """Write to `out` what belongs to the streams that lie there.

    Args:
        root: the dataset.
        streams: uris of its Arrow streams, all of which were written to `out`.
        out: root of the new revision.
        changed: uris of those that lost something.

    Raises:
        DatasetError: a file is damaged, or rows are looked up through indices.
        OutputError: a target exists or cannot be written.
    """
    present = companions(root, streams)
    for uri, beside in _about(present, streams):
        if uri.rpartition("/")[2] == DICT or not set(beside) & set(changed):
            copy_file(place(root, uri), out, uri)
            continue
        data = _written(root, out, uri, beside, cached=f"{uri.removesuffix(INFO)}{STATE}" not in present)
        with new_file(out, uri) as target:
            target.write_bytes(data)


def _about(present: Sequence[str], streams: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Every companion with the streams of its own folder."""
    for uri in present:
        folder = uri.rpartition("/")[0]
        yield uri, [stream for stream in sorted(streams) if stream.rpartition("/")[0] == folder]
