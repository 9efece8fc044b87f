import pytest

from vetset.hashlist.files.text import parse_list


@pytest.fixture
def parsed(tmp_path):
    """Parse a document given as text or bytes."""

    def parse(content, name="list.txt", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return parse_list(path, **options)

    return parse
