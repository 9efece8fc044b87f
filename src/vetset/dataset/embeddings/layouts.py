"""The way into embeddings: which layout a place has, and its parts."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vetset.dataset.embeddings.beside import OPENERS, array_files, arrays_beside
from vetset.dataset.embeddings.clip_retrieval import clip_files, clip_parts
from vetset.dataset.embeddings.parts import Choice, EmbeddingPart, refused
from vetset.dataset.embeddings.tables import SUFFIXES, TablePart, schema_of, table_parts, vector_columns
from vetset.dataset.embeddings.tars import TarPart, extensions_of, tar_parts
from vetset.dataset.places import Found, base_of, is_there, one_file, place_found, suffix_of, walk_files
from vetset.model.errors import AlignmentError, DatasetError
from vetset.storage.looking import state_at
from vetset.storage.remote import Place

_EXPECTED = (
    "one of: img_emb/img_emb_N.npy and metadata/metadata_N.parquet (clip-retrieval); STEM.npy, STEM.safetensors or "
    "STEM.npz beside STEM.parquet; .parquet, .arrow or .feather with a column of vectors; .tar with KEY.npy members"
)
_CLIP = ("img_emb/", "metadata/", "text_emb/")


def _of_suffix(files: Mapping[str, Found], suffixes: Collection[str]) -> list[Found]:
    return [found for uri, found in sorted(files.items()) if suffix_of(uri) in suffixes]


def _first_extensions(root: Place, tars: Sequence[Found]) -> list[str]:
    """What arrays are called in the first tar that has samples."""
    for tar in tars:
        extensions = extensions_of(place_found(root, tar), tar.uri)
        if extensions is not None:
            return extensions
    return []


def _layouts(root: Place, files: Mapping[str, Found], choice: Choice) -> dict[str, Callable[[], list[Any]]]:
    """What lies here: how the parts of every layout that is recognised are made, by its name."""
    found: dict[str, Callable[[], list[Any]]] = {}
    if clip_files(files)["img_emb"]:
        found["clip-retrieval"] = partial(clip_parts, root, files, choice)
        files = {uri: one for uri, one in files.items() if not uri.startswith(_CLIP)}
    beside = array_files(files)
    if beside:
        found["arrays with tables beside them"] = partial(arrays_beside, root, files, choice)
    tars = _of_suffix(files, {"tar"})
    extensions = _first_extensions(root, tars)
    if extensions:
        found["members of tars"] = partial(tar_parts, root, tars, extensions, choice)
    taken = {table for _, table in beside} | {tar.uri[: -len("tar")] + "parquet" for tar in tars}
    tables = [one for one in _of_suffix(files, SUFFIXES) if one.uri not in taken]
    if any(vector_columns(schema_of(place_found(root, one), one.uri)) for one in tables):
        found["tables"] = partial(table_parts, root, tables, choice)
    return found


def _files(root: Place) -> dict[str, Found]:
    """What lies here, by uri. Where it is one file, also what belongs beside it: an array's table, a table's arrays."""
    if isinstance(root, Path) and state_at(root, DatasetError) is None:
        return {}
    files = {one.uri: one for one in walk_files(root)}
    if root.is_file():
        stem, suffix = root.name.rpartition(".")[0], suffix_of(root.name)
        others = ("parquet",) if suffix in OPENERS else OPENERS if suffix == "parquet" else ()
        beside = [f"{stem}.{other}" for other in others if is_there(root, f"{stem}.{other}")]
        files |= {uri: one_file(base_of(root), uri) for uri in beside}
    return files


def find_embeddings(root: Place, choice: Choice | None = None) -> Sequence[EmbeddingPart]:
    """The parts of a set of embeddings. Whether their dimensions agree is known once `settle` was called.

    Args:
        root: where they lie, local or behind an address: a folder, or one file and what belongs beside it.
        choice: what is what, where names and types do not say it.

    Raises:
        AlignmentError: there are none or of more than one layout, a part is missing or damaged, lengths differ, or it
            is not clear which column or array is meant.
        DatasetError: the place cannot be read, or a table is damaged.
    """
    found = _layouts(root, _files(root), choice or Choice())
    if len(found) != 1:
        raise AlignmentError(
            "embeddings of more than one layout lie at this place"
            if found
            else "there are no embeddings at this place",
            expected=_EXPECTED,
            seen=", ".join(found) or None,
            where=root.name,
            todo="Name the folder that holds one set of embeddings, of one model, and nothing else of that kind.",
        )
    (parts,) = found.values()
    return parts()


def settle(parts: Sequence[EmbeddingPart]) -> None:
    """Refuse parts whose vectors are of different lengths; what has none takes the length of the others.

    Of tars it is known only once their keys were read.

    Raises:
        AlignmentError: dimensions differ, or no row of any part has a vector.
        DatasetError: a part is damaged.
    """
    known = [(part.where, part.dimension) for part in parts if part.dimension]
    if not known:
        raise refused("no row of these embeddings has a vector", "embeddings", "a vector in at least one row")
    for where, dimension in known:
        if dimension != known[0][1]:
            seen = f"{dimension}, {known[0][0]} has {known[0][1]}"
            raise refused("parts have different dimensions", where, "one dimension", seen)
    for part in parts:
        if isinstance(part, TablePart | TarPart) and not part.dimension:
            part.dimension = known[0][1]
