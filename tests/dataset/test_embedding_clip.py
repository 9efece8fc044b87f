"""clip-retrieval's layout: parts are proven before they are joined, and move together."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_rows import keys_of, opened
from embedding_rows import vectors_of as rows_of
from vetset.dataset.embeddings.clip_retrieval import write_new
from vetset.dataset.embeddings.parts import Choice
from vetset.model.errors import AlignmentError, DatasetError, OutputError


def vectors_of(rows, dimension=8, dtype=np.float16, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(dtype)


def as_clip_retrieval(folder, number, rows, *, text=False, columns=None, digits=1, seed=0):
    """A part as clip-retrieval's own writer makes it: np.save, and a table of image_path and what was kept."""
    name = f"{number:0{digits}d}"
    for part in ("img_emb", "metadata", *(["text_emb"] if text else [])):
        (folder / part).mkdir(parents=True, exist_ok=True)
    np.save(folder / "img_emb" / f"img_emb_{name}.npy", vectors_of(rows, seed=seed + number))
    if text:
        np.save(folder / "text_emb" / f"text_emb_{name}.npy", vectors_of(rows, seed=seed + 50 + number))
    keys = [f"{number:03d}{row:04d}" for row in range(rows)]
    table = pa.table({"image_path": keys, "caption": keys} if columns is None else columns)
    pq.write_table(table, folder / "metadata" / f"metadata_{name}.parquet")


def test_parts_are_listed_by_number(tmp_path):
    for number in (10, 2, 0, 1, 3, 4, 5, 6, 7, 8, 9):
        as_clip_retrieval(tmp_path, number, 3 + number, text=True, digits=2)
    parts = opened(tmp_path)
    assert [(part.where, part.rows, part.dimension) for part in parts] == [
        (f"embedding part {n}", 3 + n, 8) for n in range(11)
    ]
    assert all(len(part.files) == 3 for part in parts)


def test_vectors_and_keys_come_row_by_row(tmp_path):
    as_clip_retrieval(tmp_path, 0, 5)
    (part,) = opened(tmp_path)
    assert np.array_equal(rows_of(part), vectors_of(5))
    assert keys_of(part) == [f"000{row:04d}" for row in range(5)]


@pytest.mark.parametrize(
    ("columns", "column", "expected"),
    [
        ({"image_path": ["p"], "key": ["k"]}, None, ["k"]),
        ({"image_path": ["p"], "key": ["k"], "uid": ["u"]}, "uid", ["u"]),
        ({"image_path": ["dir.x/000000012"]}, None, ["dir.x/000000012"]),
        ({"image_path": ["/data/set/00000/000000012.jpg"]}, None, ["000000012"]),
    ],
)
def test_keys_are_the_key_column_or_the_stem_of_the_path(tmp_path, columns, column, expected):
    as_clip_retrieval(tmp_path, 0, 1, columns=columns)
    assert keys_of(opened(tmp_path, Choice(key=column or ""))[0]) == expected


def test_paths_below_the_dataset_become_keys_of_a_folder(tmp_path):
    as_clip_retrieval(tmp_path, 0, 2, columns={"image_path": [f"{tmp_path}/set/a/b.jpg", "/elsewhere/c.jpg"]})
    assert keys_of(opened(tmp_path, Choice(tmp_path / "set"))[0]) == ["a/b.jpg", "c"]


@pytest.mark.parametrize("columns", [{"caption": ["x"]}, {"key": pa.array([None], pa.string())}])
def test_rows_without_a_key_are_refused(tmp_path, columns):
    as_clip_retrieval(tmp_path, 0, 1, columns=columns)
    with pytest.raises(AlignmentError, match="embedding part 0"):
        opened(tmp_path)


def damage_gap(folder):
    as_clip_retrieval(folder, 3, 4)


def damage_rows(folder):
    pq.write_table(pa.table({"key": ["a"] * 3}), folder / "metadata" / "metadata_1.parquet")


def damage_dimension(folder):
    np.save(folder / "img_emb" / "img_emb_1.npy", vectors_of(4, dimension=9))


def damage_cut(folder):
    path = folder / "img_emb" / "img_emb_1.npy"
    path.write_bytes(path.read_bytes()[:-1])


def damage_longer(folder):
    path = folder / "img_emb" / "img_emb_1.npy"
    path.write_bytes(path.read_bytes() + b"\0")


def damage_header(folder):
    (folder / "img_emb" / "img_emb_1.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00not a dictionary")


def damage_magic(folder):
    (folder / "img_emb" / "img_emb_1.npy").write_bytes(b"")


def damage_pickle(folder):
    np.save(folder / "img_emb" / "img_emb_1.npy", np.array([{}] * 4, dtype=object), allow_pickle=True)


def damage_type(folder):
    np.save(folder / "img_emb" / "img_emb_1.npy", vectors_of(4, dtype=np.float64))


def damage_order(folder):
    np.save(folder / "img_emb" / "img_emb_1.npy", np.asfortranarray(vectors_of(4)))


def damage_flat(folder):
    np.save(folder / "img_emb" / "img_emb_1.npy", np.zeros(32, np.float16))


def damage_metadata(folder):
    (folder / "metadata" / "metadata_1.parquet").unlink()


def damage_text(folder):
    (folder / "text_emb" / "text_emb_1.npy").unlink()


def damage_text_rows(folder):
    np.save(folder / "text_emb" / "text_emb_1.npy", vectors_of(5))


def damage_twice(folder):
    (folder / "img_emb" / "img_emb_01.npy").write_bytes((folder / "img_emb" / "img_emb_1.npy").read_bytes())


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_part_is_refused_by_name(tmp_path, damage):
    for number in range(3):
        as_clip_retrieval(tmp_path, number, 4, text=damage in (damage_text, damage_text_rows))
    if damage is damage_gap:
        (tmp_path / "img_emb" / "img_emb_2.npy").unlink()
    damage(tmp_path)
    with pytest.raises(AlignmentError, match=r"embedding part [12]|img_emb_1"):
        opened(tmp_path)


def test_a_header_that_claims_terabytes_is_refused_without_allocating(tmp_path):
    as_clip_retrieval(tmp_path, 0, 4)
    path = tmp_path / "img_emb" / "img_emb_0.npy"
    path.write_bytes(path.read_bytes().replace(b"(4, 8)", b"(4000000000000, 8)").replace(b" " * 12, b"", 1))
    with pytest.raises(AlignmentError, match="embedding part 0"):
        opened(tmp_path)


def test_damaged_metadata_is_refused(tmp_path):
    as_clip_retrieval(tmp_path, 0, 4)
    (tmp_path / "metadata" / "metadata_0.parquet").write_bytes(b"PAR1")
    with pytest.raises(DatasetError, match="embedding part 0"):
        opened(tmp_path)


@settings(max_examples=20, deadline=None)
@given(keep=st.lists(st.booleans(), min_size=1, max_size=40), text=st.booleans())
def test_vectors_captions_and_metadata_are_filtered_by_the_same_rows(tmp_path_factory, keep, text):
    folder, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    as_clip_retrieval(folder, 0, len(keep), text=text)
    (part,) = opened(folder)
    mask = np.array(keep, dtype=np.bool_)
    part.write(mask, out)
    (after,) = opened(out)
    assert np.array_equal(rows_of(after), rows_of(part)[mask])
    assert keys_of(after) == [key for key, kept in zip(keys_of(part), keep, strict=True) if kept]
    if text:
        before, now = (np.load(folder_ / part.files[1].uri) for folder_ in (folder, out))
        assert np.array_equal(now, before[mask])


def test_keeping_all_rows_is_a_verbatim_copy(tmp_path):
    as_clip_retrieval(tmp_path / "a", 0, 6, text=True)
    (part,) = opened(tmp_path / "a")
    part.write(np.ones(6, np.bool_), tmp_path / "b")
    for found in part.files:
        assert (tmp_path / "b" / found.uri).read_bytes() == (tmp_path / "a" / found.uri).read_bytes()


def test_a_mask_of_another_length_is_refused(tmp_path):
    as_clip_retrieval(tmp_path, 0, 6)
    (part,) = opened(tmp_path)
    with pytest.raises(AlignmentError):
        part.write(np.ones(5, np.bool_), tmp_path / "out")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_new_part_is_read_back_as_numpy_reads_it(tmp_path, dtype):
    vectors = vectors_of(4, dtype=dtype)
    part = write_new(tmp_path, 0, vectors, ["a", "b", "c", "d"], {"caption": ["w", "x", "y", "z"]})
    assert opened(tmp_path) == [part]
    loaded = np.load(tmp_path / part.files[0].uri, allow_pickle=False)
    assert np.array_equal(loaded, vectors)
    assert loaded.dtype == dtype
    assert keys_of(part) == ["a", "b", "c", "d"]
    with pytest.raises(OutputError):
        write_new(tmp_path, 0, vectors, ["a", "b", "c", "d"])


def test_a_new_part_of_unequal_lengths_is_refused(tmp_path):
    with pytest.raises(AlignmentError):
        write_new(tmp_path, 0, vectors_of(4), ["a", "b", "c"])
