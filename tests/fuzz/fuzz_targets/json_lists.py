"""What the targets of owners' JSON share: accepted lists say the same in another layout; refusals repeat no value."""

import json
import re
from collections import Counter

import pyarrow as pa

from fuzz_targets.scratch import written
from vetset.hashlist.opinions import SCHEMA, checked
from vetset.model.errors import ListError

_DIGEST = re.compile(r"[0-9a-fA-F]{32}")


def rows(name, data, read):
    """Rows and counts of a file of this content, or none where it is refused."""
    unsupported = Counter()
    try:
        batches = list(read(written(name, data), unsupported))
    except ListError as error:
        told = str(error)
    else:
        assert all(checked(batch, "x") is batch for batch in batches)
        assert not any(_DIGEST.search(word) for word in unsupported)
        return pa.Table.from_batches(batches, SCHEMA).to_pylist(), unsupported
    assert not _DIGEST.search(told), "an error repeats what may be a value"
    return None


def the_same_in_another_layout(data: bytes, read) -> None:
    """Parse; what is accepted is written by another implementation as a list, and as lines, and parsed again."""
    found = rows("x.json", data, read)
    if found is None:
        return
    text = data.decode("utf-8-sig")
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return  # one object after the other
    objects = whole if isinstance(whole, list) else [whole]
    assert rows("again.json", json.dumps(objects, indent=1).encode(), read) == found
    lines = "\n".join(json.dumps(each, ensure_ascii=True) for each in objects)
    assert rows("again.json", lines.encode(), read) == found
