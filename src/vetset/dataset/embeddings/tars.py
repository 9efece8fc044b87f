"""Embeddings as members of webdataset tars: `KEY.npy`, or `KEY.EXT.npy` where a sample has several vectors.

A sample is a row; one without such a member has no vector. A member holds one vector, (d,) or (1, d). Tars of the
dataset itself, whose samples hold their vectors, are such a set too: cleaning the dataset moves those along.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from vetset.dataset.embeddings.beside import local_copy
from vetset.dataset.embeddings.npy import MAX_HEADER, npy_shape
from vetset.dataset.embeddings.parts import KEY_ROWS, MAX_DIMENSION, Choice, changed, refused
from vetset.dataset.embeddings.rows import BFLOAT16, KNOWN_TYPES, STORED
from vetset.dataset.places import CHUNK, Found, copy_file, copy_ranges, new_file, open_pass, open_plain, place_found
from vetset.dataset.places import readable as reading
from vetset.dataset.samples import Part, Sample, samples_of
from vetset.dataset.tables import check_length
from vetset.dataset.tar import RECORD, Member, TarWalk
from vetset.dataset.tar_headers import BLOCK
from vetset.model.errors import AlignmentError, UsageError
from vetset.model.vectors import Fill
from vetset.storage.remote import Place

MAX_MEMBER = 4 * MAX_DIMENSION + MAX_HEADER
"""Bytes of a member that holds a vector."""
_LOOKED_AT = 1_000
"""Samples of the first tar that are looked at to find out whether they hold vectors."""


def _extension(member: Member) -> str | None:
    """What stands between key and `.npy`; None where the member is no array."""
    last = member.name.decode("utf-8", "backslashreplace").rpartition("/")[2].lower()
    rest = last.partition(".")[2]
    return rest.removesuffix("npy").rstrip(".") if rest == "npy" or rest.endswith(".npy") else None


def extensions_of(place: Place, where: str) -> list[str] | None:
    """The extensions of arrays in the first samples of a tar, sorted; None where it has no samples.

    Raises:
        DatasetError: the tar is damaged.
    """
    found: set[str] = set()
    number = None
    with open_plain(place, where) as (stream, size):
        for number, sample in enumerate(samples_of(TarWalk(stream, size, where), lambda _part: False)):
            found |= {ext for part in sample.parts if (ext := _extension(part.member)) is not None}
            if number == _LOOKED_AT:
                break
    return None if number is None else sorted(found)


@dataclass(frozen=True, slots=True)
class _Form:
    """The header that a member begins with, and what it says: members of one writer have the same."""

    header: bytes
    numbers: str
    dimension: int


def _form(content: bytes, where: str) -> _Form:
    stream = io.BytesIO(content)
    shape, numbers = npy_shape(stream, where)
    if numbers not in STORED or len(shape) not in {1, 2} or (len(shape) == 2 and shape[0] != 1):
        seen = f"{numbers} of {len(shape)} dimensions"
        raise refused("a member that is not one vector", where, f"{KNOWN_TYPES} (d,) or (1, d)", seen)
    dimension, start = shape[-1], stream.tell()
    if not 0 < dimension <= MAX_DIMENSION or start + dimension * STORED[numbers].itemsize != len(content):
        raise refused("a member is not as long as its header says", where, f"{dimension} numbers")
    return _Form(content[:start], numbers, dimension)


class TarPart:
    """One tar; an `EmbeddingPart`, and its own `VectorBlock`.

    Args:
        where: name of the part for errors.
        root: place of the set of embeddings.
        found: the tar, as it was listed.
        extension: of the members that hold vectors; empty for `KEY.npy`.
    """

    def __init__(self, where: str, root: Place, found: Found, extension: str) -> None:
        self.where = where
        self.files = (found,)
        self.place = place_found(root, found)
        self._extension = extension
        self._rows: int | None = None
        self._absent = 0
        self._form: _Form | None = None
        self._dimension = 0

    def _samples(self, stream: BinaryIO, size: int, *, contents: bool) -> Iterator[Sample]:
        def is_wanted(part: Part) -> bool:
            return contents and part.member.size <= MAX_MEMBER and _extension(part.member) == self._extension

        return samples_of(TarWalk(stream, size, self.where), is_wanted)

    def _member(self, sample: Sample) -> Part | None:
        parts = [part for part in sample.parts if _extension(part.member) == self._extension]
        if len(parts) > 1:
            raise refused("a sample has two vectors", self.where, "one member of this extension in a sample")
        return parts[0] if parts else None

    def _learn(self, content: bytes | None) -> _Form:
        if content is None:
            raise refused("a member is longer than a vector can be", self.where, f"≤ {MAX_MEMBER} bytes")
        form = self._form
        if form is not None and content.startswith(form.header):
            size = len(form.header) + form.dimension * STORED[form.numbers].itemsize
            if len(content) != size:
                raise refused("a member is not as long as its header says", self.where, f"{size} bytes")
            return form
        seen = _form(content, self.where)
        if form is None:
            self._form = seen
        elif (seen.numbers, seen.dimension) != (form.numbers, form.dimension):
            expected, found = (f"{one.numbers} of {one.dimension} components" for one in (form, seen))
            raise refused("vectors of different types or lengths", self.where, expected, found)
        return seen

    @contextmanager
    def _pass(self) -> Iterator[Iterator[Sample]]:
        """One pass from the first byte: as a stream if it is remote, else from header to header."""
        if isinstance(self.place, Path):
            with open_plain(self.place, self.where) as (stream, size):
                yield self._samples(stream, size, contents=True)
            return
        with reading(self.where), open_pass(self.place) as (raw, size):
            yield self._samples(io.BufferedReader(raw, CHUNK), size, contents=True)

    def key_batches(self) -> Iterator[pa.StringArray]:
        """The key of every sample; see `EmbeddingPart`. What the tar holds is known once this came to its end."""
        held: list[str] = []
        rows = absent = 0
        with self._pass() as samples:
            for sample in samples:
                member = self._member(sample)
                if member is None:
                    absent += 1
                else:
                    self._learn(member.content)
                held.append(sample.key)
                rows += 1
                if len(held) == KEY_ROWS:
                    yield pa.array(held, pa.string())
                    held.clear()
        if self._rows not in {None, rows}:
            raise changed(self.where)
        self._rows, self._absent = rows, absent
        yield pa.array(held, pa.string())

    @property
    def rows(self) -> int:
        """Samples of the tar."""
        if self._rows is None:
            for _ in self.key_batches():
                pass
        return self._rows or 0

    @property
    def dimension(self) -> int:
        """Components of a vector; 0 where no sample has one."""
        return self._form.dimension if self.rows and self._form is not None else self._dimension

    @dimension.setter
    def dimension(self, dimension: int) -> None:
        self._dimension = dimension

    @property
    def dtype(self) -> np.dtype[Any]:
        """float16, float32 or int8."""
        if self._form is None or self._form.numbers == BFLOAT16:
            return np.dtype("<f4")
        return STORED[self._form.numbers]

    def absent(self) -> int:
        """Samples without a vector."""
        return self._absent if self.rows else 0

    def block(self) -> "TarPart":
        """The vectors: the part itself."""
        return self

    def _vector(self, sample: Sample, out: NDArray[Any]) -> None:
        member = self._member(sample)
        if member is None:
            out[:] = 0 if out.dtype.kind == "i" else np.nan
            return
        form = self._learn(member.content)
        if form.dimension != len(out) or member.content is None:
            raise changed(self.where)
        values = np.frombuffer(member.content, STORED[form.numbers], offset=len(form.header))
        if form.numbers == BFLOAT16:
            out.view(np.uint32)[:] = values.astype(np.uint32) << np.uint32(16)
        else:
            out[:] = values

    @contextmanager
    def open(self) -> Iterator[Fill]:
        """Begin a pass; see `VectorBlock`."""
        with self._pass() as samples:
            given = 0

            def fill(out: NDArray[Any]) -> None:
                nonlocal given
                given += len(out)
                if given > self.rows:
                    raise UsageError("more rows were asked for than the block has", where=self.where)
                for row in out:
                    sample = next(samples, None)
                    if sample is None:
                        raise changed(self.where)
                    self._vector(sample, row)

            yield fill

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """These rows; see `VectorBlock`. The headers before the last of them are walked."""
        out = np.empty((len(rows), self.dimension), self.dtype)
        wanted = iter(rows.tolist())
        row, done = next(wanted, None), 0
        with self._pass() as samples:
            for number, sample in enumerate(samples):
                if row is None:
                    break
                if number == row:
                    self._vector(sample, out[done])
                    row, done = next(wanted, None), done + 1
        if done != len(rows):
            raise changed(self.where)
        return out

    def write(self, keep: NDArray[np.bool_], out: Path) -> None:
        """Write the samples that are kept, their members as they lie; see `EmbeddingPart`."""
        check_length(keep, self.rows, self.where)
        uri = self.files[0].uri
        with local_copy(self.place, out, self.where) as here:
            if keep.all():
                copy_file(here, out, uri)
                return
            with (
                open_plain(here, self.where) as (stream, size),
                new_file(out, uri) as target,
                target.open("wb") as sink,
            ):
                samples = self._samples(stream, size, contents=False)
                kept = [sample for sample, stays in zip(samples, keep.tolist(), strict=True) if stays]
                members = [part.member for sample in kept for part in sample.parts]
                copied = copy_ranges(stream, [(member.start, member.end) for member in members], sink, self.where)
                sink.write(bytes(2 * BLOCK + -(copied + 2 * BLOCK) % RECORD))


def tar_parts(root: Place, tars: Sequence[Found], extensions: Sequence[str], choice: Choice) -> list[TarPart]:
    """One part for each tar, by name.

    Args:
        root: place of the set of embeddings.
        tars: the tars, as they were listed, sorted.
        extensions: those of arrays in them.
        choice: which extension, where there are several.

    Raises:
        AlignmentError: it is not clear which members hold the vectors.
    """
    wanted = [choice.vectors.lower()] if choice.vectors else list(extensions)
    if len(wanted) != 1:
        raise AlignmentError(
            "it is not clear which members hold the vectors of the pictures",
            expected="one extension",
            seen=", ".join(f".{ext}.npy" if ext else ".npy" for ext in extensions[:20]),
            where="embeddings",
            todo="Name it: expand.vector_column in the policy.",
        )
    return [TarPart(f"embedding part {n}", root, found, wanted[0]) for n, found in enumerate(tars)]
