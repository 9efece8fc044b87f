"""The JSON that `datasets` needs beside its streams: what is written of it says no number that is no longer true."""

import json

from vetset.dataset.hf_info import info_of_survivors, state_of_survivors
from vetset.model.errors import DatasetError

_ROWS = {"x-train.arrow": 3, "x-test-00000-of-00002.arrow": 1, "x-test-00001-of-00002.arrow": 0}
_COUNTED = {"download_size", "dataset_size", "size_in_bytes", "download_checksums"}
_FINGERPRINT = json.loads(state_of_survivors(b'{"_fingerprint": "before"}', ["ab"], "x"))["_fingerprint"]


def target(data: bytes) -> None:
    """As a description of a cache, of a saved dataset, and as a state."""
    for cached in (True, False):
        try:
            info = json.loads(info_of_survivors(data, _ROWS, "x", cached=cached))
        except DatasetError:
            continue
        assert not _COUNTED & info.keys()
        assert cached or "splits" not in info
        for name, split in info.get("splits", {}).items():
            assert split["name"] == name
            assert split["num_examples"] in (3, 1)
            assert "num_bytes" not in split
    try:
        state = json.loads(state_of_survivors(data, ["ab"], "x"))
    except DatasetError:
        return
    before = json.loads(data)
    assert state.keys() == before.keys()
    # of the survivors alone, whatever was there before
    assert "_fingerprint" not in state or state["_fingerprint"] == _FINGERPRINT
