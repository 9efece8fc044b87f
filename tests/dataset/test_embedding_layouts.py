"""What every layout of embeddings promises: keys and vectors row by row, passes and picked rows alike, moved rows."""

from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding_cases import (
    CASES,
    LAYOUTS,
    TABLES,
    VECTORS,
    build,
    keys,
    lists,
    npy_bytes,
    safetensors_bytes,
    table_of,
    vectors,
    written,
)
from embedding_rows import keys_of, opened, vectors_of
from vetset.dataset.embeddings.layouts import find_embeddings
from vetset.dataset.embeddings.parts import Choice
from vetset.dataset.webdataset import pack
from vetset.model.errors import AlignmentError, DatasetError, OutputError, UsageError

EVERY = pytest.mark.parametrize("layout", LAYOUTS)


@pytest.mark.parametrize(("layout", "numbers"), CASES)
def test_keys_and_vectors_are_those_that_were_written(tmp_path, layout, numbers):
    told = build(tmp_path, layout, numbers=numbers)
    parts = opened(tmp_path)
    assert [part.where for part in parts] == [f"embedding part {number}" for number in range(3)]
    for part, (names, array) in zip(parts, told, strict=True):
        assert keys_of(part) == names
        got = vectors_of(part)
        assert got.dtype == VECTORS[numbers]
        assert np.array_equal(got, array)
        assert (part.rows, part.dimension, part.absent()) == (len(names), 5, 0)


@EVERY
def test_picked_rows_are_those_of_a_pass(tmp_path, layout):
    build(tmp_path, layout, sizes=(23,))
    (part,) = opened(tmp_path)
    whole = vectors_of(part)
    for rows in ([], [0], [22], [0, 1, 2, 5, 6, 22], list(range(23))):
        picked = part.block().take(np.array(rows, np.int64))
        assert np.array_equal(picked, whole[rows])
        assert picked.shape == (len(rows), 5)


@EVERY
def test_passes_do_not_disturb_each_other(tmp_path, layout):
    build(tmp_path, layout, sizes=(10,))
    (part,) = opened(tmp_path)
    block = part.block()
    one, two = np.empty((10, 5), block.dtype), np.empty((10, 5), block.dtype)
    with block.open() as first, block.open() as second:
        first(one[:3])
        second(two[:7])
        first(one[3:])
        second(two[7:])
    assert np.array_equal(one, vectors_of(part))
    assert np.array_equal(two, one)


@EVERY
def test_more_rows_than_there_are_are_not_given(tmp_path, layout):
    build(tmp_path, layout, sizes=(10,))
    (part,) = opened(tmp_path)
    block = part.block()
    with pytest.raises(UsageError, match="embedding part 0"), block.open() as fill:
        fill(np.empty((11, 5), block.dtype))


@EVERY
@settings(max_examples=15, deadline=None)
@given(keep=st.lists(st.booleans(), min_size=1, max_size=30))
def test_rows_that_are_kept_move_as_they_lie(tmp_path_factory, layout, keep):
    folder, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("out")
    build(folder, layout, sizes=(len(keep), 3))
    parts = opened(folder)
    mask = np.array(keep)
    parts[0].write(mask, out)
    parts[1].write(np.ones(3, np.bool_), out)
    after = opened(out)
    assert keys_of(after[0]) == [key for key, kept in zip(keys_of(parts[0]), keep, strict=True) if kept]
    if mask.any():
        assert np.array_equal(vectors_of(after[0]), vectors_of(parts[0])[mask])
    assert np.array_equal(vectors_of(after[1]), vectors_of(parts[1]))
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(out) for path in out.rglob("*") if path.is_file())
    if mask.all():
        assert all((out / name).read_bytes() == (folder / name).read_bytes() for name in names)


@EVERY
def test_of_what_goes_nothing_is_left(tmp_path, layout):
    build(tmp_path / "a", layout, sizes=(30,))
    (part,) = opened(tmp_path / "a")
    keep = np.ones(30, np.bool_)
    keep[11] = False
    part.write(keep, tmp_path / "b")
    gone, stays = keys_of(part)[11].encode(), keys_of(part)[12].encode()
    names = [path.read_bytes() for path in (tmp_path / "b").rglob("*") if path.is_file()]
    if layout not in {"parquet", "feather", "clip-retrieval", "npy", "safetensors", "npz"}:  # there they are packed
        assert any(stays in data for data in names)
    assert not any(gone in data for data in names)


@EVERY
def test_a_target_that_is_there_is_not_replaced_and_a_wrong_mask_is_refused(tmp_path, layout):
    build(tmp_path / "a", layout, sizes=(6,))
    (part,) = opened(tmp_path / "a")
    with pytest.raises(AlignmentError):
        part.write(np.ones(5, np.bool_), tmp_path / "b")
    part.write(np.ones(6, np.bool_), tmp_path / "b")
    with pytest.raises(OutputError):
        part.write(np.arange(6) > 2, tmp_path / "b")


@EVERY
def test_parts_of_different_dimensions_are_refused(tmp_path, layout):
    build(tmp_path, layout, sizes=(4, 4))
    LAYOUTS[layout](tmp_path, 1, keys(4, 1), vectors(4, 6), "float16")
    with pytest.raises(AlignmentError, match="embedding part 1: parts have different dimensions"):
        opened(tmp_path)


@EVERY
def test_a_part_without_rows_is_a_part(tmp_path, layout):
    build(tmp_path, layout, sizes=(0, 4))
    if layout == "tar":
        (tmp_path / "00000.tar").unlink()
        build(tmp_path, layout, sizes=(2,))
    parts = opened(tmp_path)
    assert sum(len(keys_of(part)) for part in parts) >= 4
    assert all(len(vectors_of(part)) == part.rows for part in parts)


@EVERY
def test_a_file_that_is_cut_costs_an_error_that_names_the_part(tmp_path, layout):
    build(tmp_path, layout)
    path = max((p for p in tmp_path.rglob("*") if p.is_file()), key=lambda p: (p.stat().st_size, p.name))
    data = path.read_bytes()
    # of a tar the last byte belongs to nothing
    for left in (0, 1, 9, len(data) // 2, len(data) // 2 if layout == "tar" else len(data) - 1):
        path.write_bytes(data[:left])
        with pytest.raises((AlignmentError, DatasetError)) as caught:
            [vectors_of(part) for part in opened(tmp_path)]
        assert "embedding part" in str(caught.value) or path.name in str(caught.value)


@EVERY
def test_a_file_that_is_cut_while_it_is_read_costs_an_error(tmp_path, layout):
    build(tmp_path, layout, sizes=(20_000,), dimension=200)
    (part,) = opened(tmp_path)
    path = max((p for p in tmp_path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    block = part.block()

    def read_on():
        with block.open() as fill:
            fill(np.empty((10, 200), block.dtype))
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size // 3)
            fill(np.empty((19_990, 200), block.dtype))

    with pytest.raises((AlignmentError, DatasetError), match=r"embedding part 0"):
        read_on()


@EVERY
def test_a_file_that_is_exchanged_between_two_passes_costs_an_error(tmp_path, layout):
    build(tmp_path, layout, sizes=(50,))
    (part,) = opened(tmp_path)
    LAYOUTS[layout](tmp_path, 0, keys(40), vectors(40), "float16")
    with pytest.raises((AlignmentError, DatasetError), match="embedding part 0"):
        vectors_of(part)


# --- which layout, which column ---------------------------------------------------------------------------------------


def test_a_place_without_embeddings_says_what_is_expected(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(AlignmentError, match=r"no embeddings at this place.*clip-retrieval.*safetensors"):
            find_embeddings(folder)


@pytest.mark.parametrize("two", [("clip-retrieval", "tar"), ("npy", "feather"), ("parquet", "tar")])
def test_a_place_with_two_layouts_is_refused(tmp_path, two):
    for layout in two:
        build(tmp_path, layout)
    with pytest.raises(AlignmentError, match=r"more than one layout.*Name the folder"):
        find_embeddings(tmp_path)


def test_files_beside_the_embeddings_do_not_matter(tmp_path):
    build(tmp_path, "clip-retrieval")
    pack([("a", {"jpg": b"x"})], tmp_path / "00000.tar")
    pq.write_table(pa.table({"url": ["x"]}), tmp_path / "00000.parquet")
    (tmp_path / "index.faiss").write_bytes(b"x")
    assert len(find_embeddings(tmp_path)) == 3


def two_columns(path, key="key"):
    columns = {"b32": lists(vectors(4, 3), "float16", "list"), "l14": lists(vectors(4, 5), "float16", "list")}
    pq.write_table(pa.table({key: keys(4), "ids": pa.array([[1], [2], [3], [4]]), **columns}), path)


def test_of_several_columns_the_policy_says_which(tmp_path):
    two_columns(tmp_path / "a.parquet")
    with pytest.raises(AlignmentError, match=r"saw b32, l14.*expand\.vector_column"):
        find_embeddings(tmp_path)
    (part,) = opened(tmp_path, Choice(vectors="l14"))
    assert np.array_equal(vectors_of(part), vectors(4, 5))
    with pytest.raises(AlignmentError, match="'h14'"):
        find_embeddings(tmp_path, Choice(vectors="h14"))


def test_the_key_column_is_found_by_its_usual_names_or_said(tmp_path):
    two_columns(tmp_path / "a.parquet", key="uid")
    assert keys_of(opened(tmp_path, Choice(vectors="l14"))[0]) == keys(4)
    two_columns(tmp_path / "a.parquet", key="mine")
    with pytest.raises(AlignmentError, match=r"no column of keys.*expand\.key_column"):
        find_embeddings(tmp_path, Choice(vectors="l14"))
    assert keys_of(opened(tmp_path, Choice(vectors="l14", key="mine"))[0]) == keys(4)


def test_of_datacomps_arrays_the_policy_says_which(tmp_path):
    arrays = {f"{model}_{kind}": vectors(4, 6, seed=n) for n, (model, kind) in enumerate(
        (model, kind) for model in ("b32", "l14") for kind in ("img", "txt"))}  # fmt: skip
    np.savez(tmp_path / "0a.npz", **arrays)
    pq.write_table(pa.table({"uid": keys(4), "text": list("abcd")}), tmp_path / "0a.parquet")
    with pytest.raises(AlignmentError, match=r"'b32_img', 'b32_txt', 'l14_img', 'l14_txt'"):
        find_embeddings(tmp_path)
    (part,) = opened(tmp_path, Choice(vectors="l14_img"))
    assert np.array_equal(vectors_of(part), arrays["l14_img"])
    part.write(np.array([True, False, True, True]), tmp_path / "out")
    with np.load(tmp_path / "out" / "0a.npz") as after:
        assert {name: after[name].tolist() for name in after} == {
            name: array[[0, 2, 3]].tolist() for name, array in arrays.items()
        }


def test_of_several_members_the_policy_says_which_and_samples_without_one_have_no_vector(tmp_path):
    one, other = vectors(3, 5, seed=1), vectors(3, 4, seed=2)
    samples = [
        (f"{n}", {"jpg": b"x", "b32.npy": npy_bytes(one[n]), "L14.npy": npy_bytes(other[n][None])}) for n in range(3)
    ]
    samples.insert(1, ("none", {"jpg": b"x", "b32.npy": npy_bytes(one[0])}))
    pack(samples, tmp_path / "0.tar")
    with pytest.raises(AlignmentError, match=r"\.b32\.npy, \.l14\.npy.*expand\.vector_column"):
        find_embeddings(tmp_path)
    (part,) = opened(tmp_path, Choice(vectors="l14"))
    assert keys_of(part) == ["0", "none", "1", "2"]
    assert np.isnan(vectors_of(part)[1]).all()
    assert np.array_equal(vectors_of(part)[[0, 2, 3]], other)
    assert part.absent() == 1


@pytest.mark.parametrize("numbers", ["float16", "float32", "int8"])
@pytest.mark.parametrize("form", ["list", "large", "fixed"])
def test_nulls_are_rows_without_a_vector(tmp_path, numbers, form):
    array = lists(vectors(6, 4, numbers), numbers, form).take(pa.array([0, None, 2, 3, None, 5]))
    pq.write_table(pa.table({"key": keys(6), "v": array.slice(0)}), tmp_path / "a.parquet", row_group_size=4)
    (part,) = opened(tmp_path)
    got = vectors_of(part, step=4)
    assert np.array_equal(got[[0, 2, 3, 5]], vectors(6, 4, numbers)[[0, 2, 3, 5]])
    assert (got[[1, 4]] == 0).all() if numbers == "int8" else np.isnan(got[[1, 4]]).all()
    assert part.absent() == 2
    assert opened(tmp_path)[0].absent() == 2  # without a pass before
    assert part.rows == 6


def test_doubles_are_narrowed_and_what_is_too_large_is_not_finite(tmp_path):
    doubles = pa.array([[0.1, 2.0], [1e300, 1.0], None], pa.list_(pa.float64()))
    pq.write_table(pa.table({"key": keys(3), "v": doubles}), tmp_path / "a.parquet")
    got = vectors_of(opened(tmp_path)[0])
    assert got.dtype == np.float32
    assert got[0].tolist() == [np.float32(0.1), 2.0]
    assert got[1, 0] == np.inf


def test_a_table_whose_first_rows_have_no_vector_takes_its_dimension_from_the_others(tmp_path):
    none = pa.array([None, None], pa.list_(pa.float32()))
    pq.write_table(pa.table({"key": ["a", "b"], "v": none}), tmp_path / "0.parquet")
    with pytest.raises(AlignmentError, match="no row of these embeddings has a vector"):
        opened(tmp_path)
    some = pa.array([None] * 100 + [[1.0, 2.0]], pa.list_(pa.float32()))
    pq.write_table(pa.table({"key": keys(101), "v": some}), tmp_path / "1.parquet")
    parts = opened(tmp_path)
    assert [part.block().dimension for part in parts] == [2, 2]
    assert np.isnan(vectors_of(parts[0])).all()


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ragged",
    [
        pa.array([[1.0, 2.0], [1.0]], pa.list_(pa.float32())),
        pa.array([[1.0, 2.0], []], pa.list_(pa.float32())),
        pa.array([[1, 2], [1, None]], pa.list_(pa.int8())),
        pa.array([[], [1.0]], pa.list_(pa.float32())),
        pa.array([[0.0] * 70_000] * 2, pa.list_(pa.float32())),
    ],
)
def test_vectors_of_different_lengths_or_without_a_component_are_refused(tmp_path, ragged):
    pq.write_table(pa.table({"key": ["a", "b"], "v": ragged}), tmp_path / "a.parquet")
    with pytest.raises(AlignmentError, match="embedding part 0"):
        [vectors_of(part) for part in opened(tmp_path)]


@pytest.mark.parametrize(
    "columns", [{"v": pa.array([["a"]])}, {"v": pa.array([[1]], pa.list_(pa.int64()))}, {"v": ["text"]}]
)
def test_columns_of_other_types_hold_no_vectors(tmp_path, columns):
    pq.write_table(pa.table({"key": ["a"], **columns}), tmp_path / "a.parquet")
    with pytest.raises(AlignmentError, match="no embeddings"):
        find_embeddings(tmp_path)


def test_a_row_without_a_key_is_refused(tmp_path):
    table = table_of(keys(4), vectors(4), "float16").set_column(2, "key", pa.array(["a", None, "b", "c"]))
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(AlignmentError, match="rows have no key"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "member",
    [
        npy_bytes(vectors(2, 5)),
        npy_bytes(np.zeros((5,), np.float64)),
        npy_bytes(np.zeros((), np.float32)),
        npy_bytes(vectors(1, 5))[:-1],
        npy_bytes(vectors(1, 4)),
        npy_bytes(vectors(1, 5).astype(np.float32)),
        npy_bytes(vectors(1, 5)) + b"\0",
        b"",
        bytes(1 << 20),
        b"not an array",
    ],
    ids=["two rows", "double", "no side", "cut", "shorter", "other type", "longer", "empty", "large", "other"],
)
def test_a_member_that_is_not_one_vector_like_the_others_is_refused(tmp_path, member):
    pack([("a", {"npy": npy_bytes(vectors(1, 5))}), ("b", {"npy": member})], tmp_path / "0.tar")
    with pytest.raises(AlignmentError, match="embedding part 0"):
        opened(tmp_path)


def test_objects_are_never_unpickled(tmp_path):
    build(tmp_path / "a", "npy", sizes=(2,))
    np.save(tmp_path / "a" / "0000.npy", np.array([{}, {}], object), allow_pickle=True)
    build(tmp_path / "b", "npz", sizes=(2,))
    np.savez(tmp_path / "b" / "0000.npz", l14_img=np.array([{}, {}], object))
    pack([("a", {"npy": npy_bytes(np.array([{}], object))})], tmp_path / "c.tar")
    for place in (tmp_path / "a", tmp_path / "b", tmp_path / "c.tar"):
        with pytest.raises(AlignmentError, match="pickled"):
            opened(place)


HUGE = 10**18


def huge_npy(array):
    header = f"{{'descr': '<f2', 'fortran_order': False, 'shape': ({HUGE}, 5), }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + array.tobytes()


def huge_tensors(array):
    data = safetensors_bytes({"emb": (array, "F16")})
    text = data[8 : 8 + int.from_bytes(data[:8], "little")].replace(b"[4, 5]", f"[{HUGE}, 5]".encode())
    return len(text).to_bytes(8, "little") + text + array.tobytes()


def test_a_header_that_claims_more_than_there_is_is_refused_without_allocating(tmp_path):
    array = vectors(4)
    written(tmp_path / "a" / "0000.npy", huge_npy(array))
    written(tmp_path / "b" / "0000.safetensors", huge_tensors(array))
    written(tmp_path / "c" / "0000.safetensors", (1 << 60).to_bytes(8, "little") + b"{}")
    for folder in ("a", "b", "c"):
        pq.write_table(pa.table({"key": keys(4)}), tmp_path / folder / "0000.parquet")
        with pytest.raises(AlignmentError, match="embedding part 0"):
            find_embeddings(tmp_path / folder)
    pack([("a", {"npy": huge_npy(array)})], tmp_path / "d.tar")
    with pytest.raises(AlignmentError, match="embedding part 0"):
        opened(tmp_path / "d.tar")


def test_an_array_without_its_table_and_a_table_of_two_arrays_are_refused(tmp_path):
    build(tmp_path, "npy", sizes=(2,))
    written(tmp_path / "0000.safetensors", b"x")
    with pytest.raises(AlignmentError, match="two arrays have one table"):
        find_embeddings(tmp_path)
    (tmp_path / "0000.safetensors").unlink()
    (tmp_path / "0000.parquet").unlink()
    with pytest.raises(AlignmentError, match=r"embedding part 0: an array has no table of keys.*STEM\.parquet"):
        find_embeddings(tmp_path)


@pytest.mark.parametrize("layout", ["npy", "npz", "safetensors"])
@pytest.mark.parametrize("named", ["array", "table"])
def test_one_array_is_named_with_its_table_beside_it(tmp_path, layout, named):
    build(tmp_path, layout, sizes=(4, 3))
    (whole, _) = opened(tmp_path)
    suffix = layout if named == "array" else "parquet"
    (part,) = opened(tmp_path / f"0000.{suffix}")
    assert keys_of(part) == keys_of(whole)
    assert vectors_of(part).tobytes() == vectors_of(whole).tobytes()


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - TABLES - {"tar"}))
def test_an_array_and_a_table_of_different_lengths_are_refused(tmp_path, layout):
    build(tmp_path, layout, sizes=(4, 4))
    path = sorted(path for path in tmp_path.rglob("*.parquet"))[1]
    pq.write_table(pa.table({"key": keys(5)}), path)
    with pytest.raises(AlignmentError, match="embedding part 1: vectors and metadata are of different length"):
        find_embeddings(tmp_path)


@EVERY
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_damage_is_an_error_of_ours_or_changes_nothing_that_counts(tmp_path_factory, layout, data):
    folder = tmp_path_factory.mktemp("damaged")
    build(folder, layout, sizes=(5, 3))
    path = data.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content))
    with suppress(AlignmentError, DatasetError):
        for part in opened(folder):
            assert len(keys_of(part)) == part.rows == len(vectors_of(part))
