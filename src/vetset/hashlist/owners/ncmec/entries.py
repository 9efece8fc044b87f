"""Answers to NCMEC's entry queries as opinions: `<queryResult>` documents, saved as files or come as pages.

Sources of the format: NCMEC's public pages on large fingerprints, categorization and usage, and the documents with
which facebook/threatexchange tests its client. What is not told there is read so:

* Entries of videos are counted and not kept. Fingerprints of a type that vetset does not match are counted by type
  (`Told.unsupported`); addresses of large ones (`href`) are never kept.
* An element without a place here is passed over and counted by its name, unless something in it has the form of a
  value: then the document is refused, because what was passed over might have been what matters.
* An entry's id is `MEMBER-ENTRY`. Where that cannot be shown to people (it holds the digits of a digest, or is no short
  printable ASCII), it is `MEMBER-~` and 24 base32 digits of its BLAKE3 under a secret of the vault: the same for the
  entry and its withdrawal, and no confirmation for who guesses at a digest.
* Times carry their zone. `updated` is the later one of the entry's and of the feedback to it.
* An entry that has no value which vetset matches is yielded as withdrawn: it may have had one before. One whose values
  are all malformed is yielded as unread, and so are the kinds that have a malformed one of an entry that stands by
  others: what was known of them stays.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from vetset.hashlist.files.lines import MAX_COMPLAINTS, MAX_LIST_BYTES
from vetset.hashlist.files.markup import PIECE, Anything, Closed, Markup, Node
from vetset.hashlist.opinions import BATCH_ROWS, MAX_WORD_LENGTH, Note, utc
from vetset.hashlist.owners.ncmec.columns import KINDS, EntryColumns
from vetset.hashlist.owners.ncmec.fingerprints import KIND_OF_TYPE, TYPES, entry_id, may_be_value, raw, shown, type_of
from vetset.hashlist.owners.ncmec.told import Told, count
from vetset.model.errors import ListError

NAMESPACE = "https://hashsharing.ncmec.org/hashsharing/v2"
MAX_VALUES = 1000
"""Fingerprints of one entry."""
MAX_VOTERS = 1 << 16
"""Members on one side about one fingerprint."""
MAX_NEXT = 4000
_CODES = {name: KINDS[kind] for name, kind in KIND_OF_TYPE.items()}
_WIDTHS = {KINDS[kind]: kind.width for kind in KIND_OF_TYPE.values()}
_MEMBER = re.compile(r"[0-9]{1,18}")
_NOTES = (
    (re.compile("meme|viral", re.IGNORECASE), Note.VIRAL),
    (re.compile("unconfirmed", re.IGNORECASE), Note.UNCONFIRMED),
    (re.compile("generative|ai[- ]generated|virtual|drawing|anime|cartoon", re.IGNORECASE), Note.GENERATED),
    (re.compile("self[- ](generated|produced|made)", re.IGNORECASE), Note.SELF_MADE),
)


def entries(
    path: Path, secret: bytes, told: Told | None = None, *, notes: Note = Note.NONE
) -> Iterator[pa.RecordBatch]:
    """The opinions of a saved answer. What was yielded is of no use if an error follows.

    Args:
        path: the file.
        secret: what ids that cannot be shown are hidden under (`entry_id`).
        told: is filled in with what was read, in numbers. Where it has a `next` in the end, the file is one page of
            several, and says nothing of what it does not name.
        notes: what is remarked of every entry.

    Raises:
        ListError: the file cannot be read, is larger than `MAX_LIST_BYTES`, or is not as the format says.
    """
    reader = EntriesReader(path.name, secret, told, notes=notes)
    total = 0
    try:
        with path.open("rb") as file:
            while data := file.read(PIECE):
                total += len(data)
                if total > MAX_LIST_BYTES:
                    expected = f"at most {MAX_LIST_BYTES} bytes"
                    raise ListError("the list is too large", expected=expected, where=path.name)
                yield from reader.feed(data)
    except OSError as error:
        raise ListError(
            f"the list cannot be read ({error.strerror or type(error).__name__})",
            where=path.name,
            todo="Name a file that exists and that you may read.",
        ) from error
    yield from reader.close()


class EntriesReader:
    """Reads one document, piece by piece.

    Args:
        where: name of the file or service, for errors.
        secret: what ids that cannot be shown are hidden under (`entry_id`).
        told: is filled in with what was read, in numbers.
        notes: what is remarked of every entry.
        malformed: fingerprints that may be malformed: they are counted and not kept. One more, and the document is
            refused. Whoever reads a file can have it mended; a service has givers whom nobody can wait for.
    """

    def __init__(
        self, where: str, secret: bytes, told: Told | None = None, *, notes: Note = Note.NONE, malformed: int = 0
    ) -> None:
        self.told = told if told is not None else Told()
        self._where, self._secret = where, secret
        self._given_notes = int(notes)
        self._allowed = malformed
        self._wrong: list[str] = []
        self._columns = EntryColumns(where)
        self._open({})
        self._markup = Markup(_named(queryResult=self._document()), self._strange, where)

    def feed(self, data: bytes) -> Iterator[pa.RecordBatch]:
        """Read on; yields a batch whenever enough rows were collected.

        Raises:
            ListError: the document is not as its format says. What was yielded before is of no use then.
        """
        for start in range(0, len(data), PIECE):
            self._markup.feed(data[start : start + PIECE])
            if len(self._columns) >= BATCH_ROWS:
                yield self._batch()

    def close(self) -> Iterator[pa.RecordBatch]:
        """The document ends here; yields the rest.

        Raises:
            ListError: as `feed`, or the document is not whole.
        """
        self._markup.close()
        yield self._batch()

    def _batch(self) -> pa.RecordBatch:
        if len(self._wrong) > self._allowed:
            raise ListError(
                "fingerprints are malformed",
                expected="hexadecimal digits: md5 32, sha1 40, pdq 64; pdna 288, or 192 characters of base64",
                seen="; ".join(self._wrong[:MAX_COMPLAINTS]) + ("; …" if len(self._wrong) > MAX_COMPLAINTS else ""),
                where=self._where,
                todo="Nothing was imported. Tell the owner which entries these are.",
            )
        return self._columns.batch()

    # What may stand where.

    def _document(self) -> Node:
        inside = Node()
        inside.children = Anything(inside)
        video = Node(Anything(inside), self._video)
        return Node(
            _named(
                images=Node(_named(image=self._picture(), deletedImage=self._deleted()), self._section),
                videos=Node(_named(video=video, deletedVideo=video), self._section),
                paging=Node(_named(next=Node(closed=self._next))),
            )
        )

    def _heading(self) -> dict[str, Node]:
        return _named(
            member=Node(opened=self._member), timestamp=Node(closed=self._timestamp), id=Node(closed=self._id)
        )

    def _deleted(self) -> Node:
        return Node(self._heading(), self._open, self._deleted_closed)

    def _picture(self) -> Node:
        categorization = Node(opened=self._categorization)
        groups = _named(categorization=categorization, group=Node(_named(categorization=categorization)))
        members = Node(_named(member=Node(opened=self._vote)))
        reasons = Node(_named(reason=Node(_named(members=members)), members=members))
        feedback = _named(
            affirmativeFeedback=Node(_named(members=members), self._agreement),
            negativeFeedback=Node(_named(reasons=reasons, members=members), self._dispute),
        )
        own = _named(
            classification=Node(closed=self._classification),
            fingerprints=Node(_Fingerprints(self._fingerprint, self._unsupported)),
            categorizations=Node(groups),
            feedback=Node(feedback, self._feedback),
        )
        return Node(self._heading() | own, self._open, self._picture_closed)

    def _strange(self, name: str) -> Node:
        word = shown(name)
        count(self.told.strange, word)

        def look(text: str) -> None:
            if may_be_value(text):
                self._markup.refuse(
                    f"an element that is not known, {word}, holds what may be a value", "known elements"
                )

        node = Node(opened=lambda attributes: look("\n".join(attributes.values())), closed=look)
        node.children = Anything(node)
        return node

    # What is done where something opens or closes.

    def _section(self, attributes: dict[str, str]) -> None:
        if "maxTimestamp" in attributes:
            latest = self._moment(attributes["maxTimestamp"])
            self.told.latest = max(latest, self.told.latest or latest)

    def _next(self, text: str) -> None:
        if self.told.next is not None or len(text) > MAX_NEXT:
            self._markup.refuse("the place of the next page is not usable", f"one of at most {MAX_NEXT} characters")
        self.told.next = text or None

    def _video(self, _: dict[str, str]) -> None:
        self.told.videos += 1

    def _open(self, _: dict[str, str]) -> None:
        self._giver = self._own = self._word = ""
        self._updated: int | None = None
        self._since: int | None = None
        self._remarks = self._given_notes
        self._found: list[tuple[int, str]] = []
        self._votes: dict[int, tuple[set[str], set[str]]] = {}
        self._voters: set[str] | None = None

    def _member(self, attributes: dict[str, str]) -> None:
        if self._giver or not _MEMBER.fullmatch(attributes.get("id", "")):
            self._markup.refuse("an entry's member is not usable", "one, whose id is a number")
        self._giver = attributes["id"]

    def _timestamp(self, text: str) -> None:
        if self._updated is not None:
            self._markup.refuse("an entry has two times", "one")
        self._updated = self._seconds(text)

    def _id(self, text: str) -> None:
        if self._own or not text:
            self._markup.refuse("an entry's id is not usable", "one, not empty")
        self._own = text

    def _classification(self, text: str) -> None:
        if self._word or len(text) > MAX_WORD_LENGTH:
            self._markup.refuse("an entry's classification is not usable", f"one, at most {MAX_WORD_LENGTH} characters")
        self._word = text

    def _fingerprint(self, code: int, text: str) -> None:
        if len(self._found) >= MAX_VALUES:
            self._markup.refuse("an entry has too many fingerprints", f"at most {MAX_VALUES}")
        if text:
            self._found.append((code, text))

    def _unsupported(self, name: str) -> None:
        count(self.told.unsupported, name)

    def _categorization(self, attributes: dict[str, str]) -> None:
        name = attributes.get("name", "")
        noted = [note for pattern, note in _NOTES if pattern.search(name)]
        for note in noted:
            self._remarks |= note
        self.told.categorizations += not noted

    def _feedback(self, attributes: dict[str, str]) -> None:
        if "lastUpdateTimestamp" in attributes:
            self._since = self._seconds(attributes["lastUpdateTimestamp"])

    def _agreement(self, attributes: dict[str, str]) -> None:
        self._opinions_of(attributes, 0)

    def _dispute(self, attributes: dict[str, str]) -> None:
        self._opinions_of(attributes, 1)

    def _opinions_of(self, attributes: dict[str, str], side: int) -> None:
        code = _CODES.get(type_of(attributes.get("type", "")))
        self._voters = None if code is None else self._votes.setdefault(code, (set(), set()))[side]

    def _vote(self, attributes: dict[str, str]) -> None:
        member = attributes.get("id", "")
        if not _MEMBER.fullmatch(member):
            self._markup.refuse("a member that gave feedback is not usable", "one whose id is a number")
        if self._voters is not None:
            if len(self._voters) >= MAX_VOTERS:
                self._markup.refuse("an entry has too much feedback", f"at most {MAX_VOTERS} members")
            self._voters.add(member)

    def _deleted_closed(self, _: str) -> None:
        entry, updated = self._identity()
        self.told.withdrawn += 1
        self._columns.withdraw(entry, self._giver, updated)

    def _picture_closed(self, _: str) -> None:
        entry, updated = self._identity()
        updated = updated if self._since is None else max(updated, self._since)
        values, unread = self._values(entry)
        if not values:
            self.told.empty += not self._found
            (self._columns.unread if unread else self._columns.withdraw)(entry, self._giver, updated)
            return
        if unread:
            self._columns.unread(entry, self._giver, updated, unread)
        self.told.standing += 1
        votes = {code: (len(up - {self._giver}), len(down)) for code, (up, down) in self._votes.items()}
        self._columns.stand(
            entry,
            values=values,
            member=self._giver,
            category=self._word,
            updated=updated,
            notes=self._remarks,
            votes=votes,
        )

    def _values(self, entry: str) -> tuple[list[tuple[int, bytes]], list[int]]:
        """The values of the entry, and the kinds of those that are none, which are counted."""
        values, unread = [], set()
        for code, text in self._found:
            value = raw(text, _WIDTHS[code])
            if value is None:
                self.told.malformed += 1
                unread.add(code)
                if len(self._wrong) <= max(MAX_COMPLAINTS, self._allowed):
                    self._wrong.append(f"entry {entry}")
            else:
                values.append((code, value))
        return values, sorted(unread)

    def _identity(self) -> tuple[str, int]:
        if not self._giver or not self._own or self._updated is None:
            self._markup.refuse("an entry is not whole", "a member, an id and a time")
        return entry_id(self._secret, self._giver, self._own), self._updated

    def _seconds(self, text: str) -> int:
        return int(self._moment(text).timestamp())

    def _moment(self, text: str) -> datetime:
        try:
            return utc(text)
        except ValueError:
            self._markup.refuse("a time is not usable", "an ISO 8601 time with its zone, as in 2026-01-31T12:00:00Z")


class _Fingerprints(dict[str, Node]):
    """What may stand in `<fingerprints>`: the types that are matched, and others, which are counted."""

    def __init__(self, found: Callable[[int, str], None], unsupported: Callable[[str], None]) -> None:
        super().__init__(_named(**{name: Node(closed=_coded(found, code)) for name, code in _CODES.items()}))
        self._unsupported = unsupported

    def __missing__(self, name: str) -> Node:
        kind = type_of(name.rpartition(" ")[2])
        self._unsupported(kind if kind in TYPES else shown(name))
        return Node()


def _coded(found: Callable[[int, str], None], code: int) -> Closed:
    return lambda text: found(code, text)


def _named(**nodes: Node) -> dict[str, Node]:
    return {f"{NAMESPACE} {name}": node for name, node in nodes.items()}
