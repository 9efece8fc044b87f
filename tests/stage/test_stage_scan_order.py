"""In which order shards are given to workers."""

from collections import Counter

import numpy as np

import small
import vetset
from vetset.dataset import folder
from vetset.model.dataset import Format, Shard
from vetset.stage.scan import largest_first


def test_the_largest_shards_come_first_and_those_of_one_folder_together():
    shards = [Shard(f"{size}.tar", Format.WEBDATASET, size, "") for size in (3, 1, 5)]
    shards += [Shard(f"a#{number}of2", Format.FOLDER, size, "") for number, size in enumerate((2, 4))]
    assert [shard.size for shard in largest_first(shards)] == [5, 4, 2, 3, 1]


def test_a_folder_of_many_shards_is_listed_once_however_large_those_of_other_folders_are(tmp_path, monkeypatch):
    monkeypatch.setattr(folder, "SHARD_RECORDS", 2)
    random = np.random.default_rng(0)
    for name in "abcd":
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(20):
            (tmp_path / "data" / name / f"{number}.jpg").write_bytes(b"x" * int(random.integers(1, 999)))
    listed = []
    lists = folder.list_folder
    monkeypatch.setattr(folder, "list_folder", lambda base, uri: listed.append(uri) or lists(base, uri))
    note = vetset.scan(tmp_path / "data", store=tmp_path / "store", engine=small.HERE)
    assert len(note.shards) > 30
    assert Counter(listed) == {"": 2, **dict.fromkeys("abcd", 3)}, "twice to find shards and what belongs to none"
