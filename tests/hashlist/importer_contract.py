"""What every importer of opinions must hold: a class whose tests each importer's test class inherits.

    class TestMine(ImporterContract):
        def importer(self, path): ...          # an iterator of record batches of `opinions.SCHEMA`
        def documents(self): ...               # whole documents and the rows that they give
        def refused(self): ...                 # documents that are not taken, whole
        def many(self, values): ...            # pieces of one document with about that many values
        secrets = ["…"]                        # texts that stand in the documents and in no error, log or output

Fast importers may hold more than `opinions.BATCH_ROWS` rows; none may hold a document.
"""

import logging
import traceback
import tracemalloc

import pyarrow as pa
import pytest

from vetset.hashlist.opinions import BATCH_ROWS, SCHEMA, checked
from vetset.model.errors import ListError

MANY = 30_000


def rows_of(batches):
    """All rows as dictionaries, dictionaries decoded, in the order given."""
    table = pa.Table.from_batches(list(batches), SCHEMA)
    return table.to_pylist()


class ImporterContract:
    """See the module's text."""

    suffix = ".txt"
    secrets = ()
    by_lines = False
    """A document that was cut behind a record is a document: JSON lines, CSV."""
    peak = 96 << 20
    """Bytes that Python and Arrow may hold at once while `many(MANY)` is read and dropped."""

    def importer(self, path):
        raise NotImplementedError

    def documents(self):
        raise NotImplementedError

    def refused(self):
        raise NotImplementedError

    def many(self, values):
        raise NotImplementedError

    @pytest.fixture
    def imported(self, tmp_path):
        """Import a document given as bytes; all its rows."""

        def run(document):
            path = tmp_path / f"document{self.suffix}"
            path.write_bytes(document)
            return rows_of(self.importer(path))

        return run

    def _said(self, error):
        return "".join(traceback.format_exception(error)) + repr(error) + str(error)

    def _is_silent(self, text):
        assert [secret for secret in self.secrets if secret in text] == []

    def test_documents_give_their_rows(self, imported):
        for name, (document, rows) in self.documents().items():
            assert imported(document) == rows, name

    def test_a_document_that_was_cut_anywhere_is_refused(self, imported, caplog, capfd):
        caplog.set_level(logging.DEBUG)
        for name, (document, rows) in self.documents().items():
            for cut in range(len(document)):
                try:
                    found = imported(document[:cut])
                except ListError as error:
                    self._is_silent(self._said(error))
                    continue
                whole = found == rows and not document[cut:].strip()
                line = self.by_lines and b"\n" in (document[cut - 1 : cut], document[cut : cut + 1])
                assert whole or (line and found == rows[: len(found)]), (name, cut)
        self._is_silent(caplog.text)
        self._is_silent("".join(capfd.readouterr()))

    def test_odd_documents_are_refused_without_a_word_of_them(self, imported, caplog, capfd):
        caplog.set_level(logging.DEBUG)
        assert self.secrets
        assert self.refused()
        for name, document in self.refused().items():
            with pytest.raises(ListError) as caught:
                pytest.fail(f"{name} was not refused: {len(imported(document))} rows")
            self._is_silent(self._said(caught.value))
            assert "document" in str(caught.value), name  # says where
        self._is_silent(caplog.text)
        self._is_silent("".join(capfd.readouterr()))

    def test_foreign_files_are_refused(self, imported):
        foreign = (b"\x1f\x8b\x08\x00rest", b"PK\x03\x04rest", "word\n".encode("utf-16"), b"\x00" * 64, b"\xff\xfe\xfd")
        for document in foreign:
            with pytest.raises(ListError):
                imported(document)

    def test_a_file_that_is_not_there_is_a_list_error(self, tmp_path):
        with pytest.raises(ListError):
            list(self.importer(tmp_path / "absent"))

    def test_batches_pass_the_check_and_are_small(self, tmp_path):
        path = tmp_path / f"document{self.suffix}"
        for document, _ in self.documents().values():
            path.write_bytes(document)
            for batch in self.importer(path):
                assert checked(batch, "document") is batch
                assert len(batch) <= 4 * BATCH_ROWS

    def test_a_long_document_is_streamed(self, tmp_path):
        path = tmp_path / f"document{self.suffix}"
        with path.open("wb") as file:
            for piece in self.many(MANY):
                file.write(piece)
        values, most, before = 0, 0, pa.total_allocated_bytes()
        tracemalloc.start()
        try:
            for batch in self.importer(path):
                values += len(batch)
                most = max(most, pa.total_allocated_bytes() - before)
            held = tracemalloc.get_traced_memory()[1] + most
        finally:
            tracemalloc.stop()
        assert values >= 0.9 * MANY
        assert held <= self.peak
