"""A folder of pictures, at any depth: each folder's own pictures are one shard, `sub/dir#0`.

More than 1,000 of them are dealt to shards by a digest of their stem, `sub/dir#3of16`: which records a shard has
depends on its uri and their names alone, so that the same uri means the same records in a cleaned copy.

A record's key is its path below the root. Files that share a picture's name (`a.jpg` with `a.json`, `a.txt`,
`a.caption.txt`, `a.jpg.txt`) are its sidecars; img2dataset's files mode states address and digest in the JSON. Of
several JSONs the one of its whole name counts (`a.jpg.json`), else that of its stem (`a.json`), else the only one there
is; where nobody can tell, what they state is malformed. Two pictures of one stem are two records; their sidecars belong
to both and stay while one of them stays (`siblings` tells). A sidecar that begins as a picture does is one (`a.orig`,
`a.jpg.bak`). Anything else is no record: `unclaimed` lists it, and a cleaned copy does not have it.
"""

import hashlib
import os
import re
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import cast

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from vetset.dataset.beginnings import NEEDED, begins_as_picture
from vetset.dataset.columns import DEFAULT_MAPPING, ColumnMapping
from vetset.dataset.fields import MAX_COLUMN, fields_of_json, of_first_name
from vetset.dataset.identity import digest_of, framed
from vetset.dataset.places import (
    IMAGE_SUFFIXES,
    MAX_PICTURE,
    MAX_TEXT,
    Found,
    base_of,
    copy_file,
    in_order,
    list_folder,
    open_plain,
    place,
    place_found,
    read_range,
    readable,
    stamp_of,
    suffix_of,
    walk_files,
)
from vetset.dataset.reading import Outcome, Reading
from vetset.dataset.tables import check_length
from vetset.model.dataset import Format, Shard
from vetset.model.errors import DatasetError
from vetset.model.record import Fields, Record, Unreadable
from vetset.model.signal import USUAL_KINDS, Kind, Reason
from vetset.storage.remote import Place, Remote

SHARD_RECORDS = 1000
_URI = re.compile(r"(.+)#(\d{1,9})(?:of(\d{1,9}))?", re.DOTALL)
_TEXT = frozenset({"caption", "json", "npy", "txt"})
"""Suffixes of sidecars that are not looked into: many a dataset has one beside each picture, each a request afar."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Pictures of one stem, and what lies beside them."""

    pictures: tuple[Found, ...]
    shared: tuple[Found, ...]
    own: tuple[tuple[Found, ...], ...]
    """For each picture the sidecars that repeat its whole name (`a.jpg.txt`)."""

    @property
    def files(self) -> list[Found]:
        """Every file of the group, in the order in which they are digested."""
        return [*self.pictures, *self.shared, *(found for own in self.own for found in own)]

    @property
    def files_to_read(self) -> list[Found]:
        """The same with the pictures last: what lies beside them is known when a picture is read."""
        return [*self.files[len(self.pictures) :], *self.pictures]

    def files_of(self, picture: int) -> list[Found]:
        """One picture, its own sidecars and the shared ones."""
        return [self.pictures[picture], *self.own[picture], *self.shared]


def _prefixes(name: str) -> Iterator[str]:
    """Everything before a dot of a name, longest first."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _name(found: Found) -> str:
    return found.uri.rpartition("/")[2]


def _grouped(files: list[Found]) -> list[_Group]:
    """The groups of one folder, sorted by stem."""
    pictures = {_name(found): found for found in files if suffix_of(found.uri) in IMAGE_SUFFIXES}
    by_stem: dict[str, list[str]] = {}
    for name in sorted(pictures):
        by_stem.setdefault(PurePosixPath(name).stem, []).append(name)
    shared: dict[str, list[Found]] = {}
    own: dict[str, list[Found]] = {}
    for found in files:
        name = _name(found)
        if name in pictures:
            continue
        owner = next((prefix for prefix in _prefixes(name) if prefix in pictures or prefix in by_stem), None)
        if owner is not None:
            (own if owner in pictures else shared).setdefault(owner, []).append(found)
    return [
        _Group(
            tuple(pictures[name] for name in names),
            tuple(shared.get(stem, ())),
            tuple(tuple(own.get(name, ())) for name in names),
        )
        for stem, names in sorted(by_stem.items())
    ]


def _dealt(groups: list[_Group], shards: int) -> list[list[_Group]]:
    """Groups by shard, in order; where a group goes depends on its stem and the number of shards alone."""
    dealt: list[list[_Group]] = [[] for _ in range(shards)]
    for group in groups:
        stem = PurePosixPath(_name(group.pictures[0])).stem
        dealt[int.from_bytes(hashlib.sha256(os.fsencode(stem)).digest()[:8], "big") % shards].append(group)
    return dealt


def _shard_count(groups: list[_Group]) -> int:
    """The least power of two at which no shard has more than 1,000 groups of pictures."""
    shards = 1
    while shards * SHARD_RECORDS < len(groups) or max(map(len, _dealt(groups, shards)), default=0) > SHARD_RECORDS:
        shards *= 2
    return shards


@lru_cache(maxsize=2)
def _listed(base: Place, folder: str, shards: int, _mtime_ns: int) -> list[list[_Group]]:
    # A folder of many shards is listed once, not once for each; its time is part of the key, where it has one.
    return _dealt(_grouped(list_folder(base, folder)[0]), shards)


def _groups_afar(base: Remote, folder: str, number: int, shard: Shard, shards: int) -> list[_Group]:
    """The groups of one shard of a remote folder.

    A store says of a folder nothing by which it could be told that a listing is of today. One that was made for another
    shard serves if it says of this one what was said when the shard was found: then the same versions are meant.
    """
    groups = _listed(base, folder, shards, 0)[number]
    if stamp_of(_files_of(groups)) != shard.stamp:
        _listed.cache_clear()
        groups = _listed(base, folder, shards, 0)[number]
    return groups


def _files_of(groups: list[_Group]) -> list[Found]:
    return [found for group in groups for found in group.files]


def _groups_of(root: Place, shard: Shard) -> list[_Group]:
    """The groups of one shard, pictures among them that only their beginning tells."""
    return [_looked_into(root, group, shard.uri) for group in _groups_by_name(root, shard)]


def _looked_into(root: Place, group: _Group, where: str) -> _Group:
    """The group, of whose sidecars those that begin as pictures do are pictures behind the others."""
    found = {file for file in group.files[len(group.pictures) :] if _begins_as_picture(root, file, where)}
    if not found:
        return group
    shared, *own = (tuple(file for file in files if file not in found) for files in (group.shared, *group.own))
    more = sorted(found, key=lambda file: file.uri)
    return _Group((*group.pictures, *more), shared, (*own, *((),) * len(more)))


def _begins_as_picture(root: Place, file: Found, where: str) -> bool:
    if suffix_of(file.uri) in _TEXT:
        return False
    with open_plain(place_found(root, file), where) as (stream, size):
        return begins_as_picture(stream.read(min(size, NEEDED)))


def _groups_by_name(root: Place, shard: Shard) -> list[_Group]:
    form = _URI.fullmatch(shard.uri)
    number, shards = (int(form[2]), int(form[3] or 1)) if form else (1, 1)
    if form is None or number >= shards:
        raise DatasetError("a shard's uri names no part of a folder", todo="Scan the dataset again.")
    path = place(root, form[1])
    folder = "" if form[1] == "." else form[1]
    if isinstance(path, Remote):
        return _groups_afar(cast("Remote", base_of(root)), folder, number, shard, shards)
    with readable(shard.uri):
        mtime = path.stat().st_mtime_ns
    return _listed(base_of(root), folder, shards, mtime)[number]


def _printable(uri: str) -> str:
    """A file name as valid text: bytes that are no UTF-8 are escaped."""
    return os.fsencode(uri).decode("utf-8", "backslashreplace")


class FolderFormat:
    """Reader and writer of folders of pictures."""

    name = Format.FOLDER

    def discover(self, root: Place) -> list[Shard]:
        """Shards of every folder that has pictures, sorted by uri.

        Raises:
            DatasetError: a folder cannot be listed, or a link is refused.
        """
        _listed.cache_clear()  # what was kept of an earlier run
        return sorted(shard for shard, _ in self._claims(root))

    def unclaimed(self, root: Place) -> list[str]:
        """Uris of files that belong to no shard; a cleaned copy does not have them."""
        claimed = {found.uri for _, files in self._claims(root) for found in files}
        return sorted(_printable(found.uri) for found in walk_files(root) if found.uri not in claimed)

    def _claims(self, root: Place) -> Iterator[tuple[Shard, list[Found]]]:
        if not root.is_dir():
            raise DatasetError("there is no folder of pictures at this place", where=root.name, todo="Check the path.")
        waiting = [""]
        while waiting:
            folder = waiting.pop()
            files, folders = list_folder(root, folder)
            waiting.extend(folders)
            groups = _grouped(files)
            shards = _shard_count(groups)
            for number, dealt in enumerate(_dealt(groups, shards)):
                held = _files_of(dealt)
                uri = f"{folder or '.'}#{number}" + (f"of{shards}" if shards > 1 else "")
                if held:
                    yield Shard(uri, Format.FOLDER, sum(found.size for found in held), stamp_of(held)), held

    def read(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping,
        kinds: Collection[Kind] = USUAL_KINDS,  # noqa: ARG002  one protocol
    ) -> Reading[Record | Unreadable]:
        """The folder's pictures, by stem and name."""
        return Reading(_pass(root, shard, mapping))

    def read_rows(
        self, root: Place, shard: Shard, rows: Collection[int], mapping: ColumnMapping
    ) -> dict[int, Record | Unreadable]:
        """Some records, with JSON values and captions in `fields.columns`.

        Raises:
            DatasetError: a file cannot be read.
        """
        wanted = set(rows)
        found = {}
        for row, group, picture in _numbered(_groups_of(root, shard)):
            if row in wanted:
                contents = {file.uri: _content(root, file, shard.uri)[0] for file in group.files_of(picture)}
                found[row] = _record(row, group, picture, contents, _full_fields(group, picture, contents, mapping))
        return found

    def identities(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping = DEFAULT_MAPPING,  # noqa: ARG002  one protocol
    ) -> Iterator[bytes]:
        """SHA-256 (32 bytes) of every record: name and content of its picture and of its sidecars.

        Raises:
            DatasetError: a file cannot be read.
        """
        for _, group, picture in _numbered(_groups_of(root, shard)):
            yield digest_of(_stored(root, file, shard.uri) for file in group.files_of(picture))

    def siblings(
        self,
        root: Place,
        shard: Shard,
        mapping: ColumnMapping = DEFAULT_MAPPING,  # noqa: ARG002  one protocol
    ) -> NDArray[np.int64]:
        """int64 (records,): the number of the stem that each record belongs to; equal numbers share sidecars."""
        groups = _groups_of(root, shard)
        return np.repeat(np.arange(len(groups)), [len(group.pictures) for group in groups])

    def write(
        self,
        root: Place,
        shard: Shard,
        keep: NDArray[np.bool_],
        out: Path,
        mapping: ColumnMapping = DEFAULT_MAPPING,  # noqa: ARG002  one protocol
    ) -> None:
        """Copy the pictures that are kept, and sidecars of which a picture is kept, to the same paths under `out`.

        Args:
            root: the dataset.
            shard: one of its shards.
            keep: bool (records,).
            out: root of the new revision.
            mapping: not needed here.

        Raises:
            AlignmentError: `keep` is not one entry for each record.
            DatasetError: a file cannot be read.
            OutputError: a target exists or cannot be written.
        """
        records = list(_numbered(_groups_of(root, shard)))
        check_length(keep, len(records), shard.uri)
        staying: dict[str, Found] = {}
        for (_, group, picture), kept in zip(records, keep.tolist(), strict=True):
            if kept:
                staying.update((found.uri, found) for found in group.files_of(picture))
        place(out, shard.uri.rpartition("#")[0]).mkdir(parents=True, exist_ok=True)
        for uri, found in staying.items():
            copy_file(place_found(root, found), out, uri, where=shard.uri)


def _numbered(groups: list[_Group]) -> Iterator[tuple[int, _Group, int]]:
    """Row, group and number within the group, of every picture."""
    pairs = ((group, picture) for group in groups for picture in range(len(group.pictures)))
    return ((row, group, picture) for row, (group, picture) in enumerate(pairs))


def _limit(uri: str) -> int:
    if suffix_of(uri) in IMAGE_SUFFIXES:
        return MAX_PICTURE
    return MAX_TEXT if suffix_of(uri) == "json" else MAX_COLUMN


def _content(root: Place, file: Found, where: str) -> tuple[bytes | None, bytes]:
    """Content (None if it is more than is held) and BLAKE3 of it, in one pass."""
    digest = blake3()
    with open_plain(place_found(root, file), where) as (stream, size):
        chunks = read_range(stream, 0, size, where)
        first = next(chunks, b"")
        limit = MAX_PICTURE if begins_as_picture(first[:NEEDED]) else _limit(file.uri)
        held: list[bytes] | None = [] if size <= limit else None
        for chunk in chain([first], chunks):
            digest.update(chunk)
            if held is not None:
                held.append(chunk)
    return None if held is None else b"".join(held), digest.digest()


def _stored(root: Place, file: Found, where: str) -> bytes:
    return framed(os.fsencode(file.uri)) + _content(root, file, where)[1]


def _json_of(group: _Group, picture: int) -> list[Found]:
    """The JSON meant for a picture: that of its whole name, of its stem, or all there is, if nobody can tell."""
    there = [file for file in (*group.own[picture], *group.shared) if suffix_of(file.uri) == "json"]
    named = PurePosixPath(_name(group.pictures[picture]))
    return of_first_name(there, [PurePosixPath(file.uri).stem for file in there], (named.name, named.stem))


def _fields(
    group: _Group,
    picture: int,
    contents: dict[str, bytes | None],
    mapping: ColumnMapping,
    *,
    with_columns: bool = False,
) -> Fields:
    documents = _json_of(group, picture)
    if not documents:
        return Fields()
    content = contents[documents[0].uri] if len(documents) == 1 else None
    return fields_of_json(content, mapping, "a JSON sidecar", with_columns=with_columns)


def _full_fields(group: _Group, picture: int, contents: dict[str, bytes | None], mapping: ColumnMapping) -> Fields:
    fields = _fields(group, picture, contents, mapping, with_columns=True)
    texts = {
        suffix_of(uri): content.decode("utf-8", "backslashreplace")
        for uri, content in contents.items()
        if content is not None and uri != group.pictures[picture].uri and suffix_of(uri) != "json"
    }
    return Fields(fields.url, fields.declared, fields.malformed, {**texts, **fields.columns})


def _record(
    row: int, group: _Group, picture: int, contents: dict[str, bytes | None], fields: Fields
) -> Record | Unreadable:
    uri = group.pictures[picture].uri
    image = contents[uri]
    if image is None:
        return Unreadable(row, _printable(uri), Reason.TOO_LARGE, fields)
    if not image:
        return Unreadable(row, _printable(uri), Reason.EMPTY_FILE, fields)
    return Record(row, _printable(uri), image, fields)


def _pass(root: Place, shard: Shard, mapping: ColumnMapping) -> Generator[Record | Unreadable, None, Outcome]:
    whole = hashlib.sha256(b"folder\0")
    row = 0
    groups = _groups_of(root, shard)
    files = (file for group in groups for file in group.files_to_read)
    contents = in_order(root, files, lambda file: _content(root, file, shard.uri))
    for group in groups:
        beside = {file.uri: next(contents) for file in group.files_to_read[: -len(group.pictures)]}
        for picture, file in enumerate(group.pictures):
            image, digest = next(contents)
            whole.update(framed(os.fsencode(file.uri)) + digest)
            held = {file.uri: image, **{uri: content for uri, (content, _) in beside.items()}}
            yield _record(row, group, picture, held, _fields(group, picture, held, mapping))
            row += 1
        for uri, (_, digest) in beside.items():
            whole.update(framed(os.fsencode(uri)) + digest)
    return Outcome(whole.hexdigest(), row)
