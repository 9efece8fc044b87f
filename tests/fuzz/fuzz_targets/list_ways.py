"""A list: the quick way through a block of lines gives the same rows or the same refusal as the slow one."""

from collections import Counter
from unittest import mock

import pyarrow as pa

from fuzz_targets.scratch import written
from vetset.hashlist.files import table, text
from vetset.hashlist.formats import opinions
from vetset.hashlist.opinions import SCHEMA
from vetset.model.errors import ListError
from vetset.model.signal import Kind


def _answer(name, data, kind):
    unsupported = Counter()
    try:
        batches = list(opinions(written(name, data), kind=kind, unsupported=unsupported))
    except ListError as error:
        return str(error)
    return pa.Table.from_batches(batches, SCHEMA).to_pylist(), unsupported


def _no_way(*_, **__):
    return None


def target(data: bytes) -> None:
    """As a table and as a text, with and without a stated kind."""
    for name, kind in (("x.csv", None), ("x.txt", None), ("x.txt", Kind.MD5)):
        quick = _answer(name, data, kind)
        with mock.patch.object(table, "plain_cells", _no_way), mock.patch.object(text, "plain_cells", _no_way):
            slow = _answer(name, data, kind)
        assert quick == slow, "two ways of reading give two answers"
