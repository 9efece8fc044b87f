"""The first line of a table: which column says what, or a refusal that shows none of the names.

Either columns named by a kind (one or more, cells may be empty), or the columns `kind` and `value`, or `value` alone
where the kind is stated for the whole file. Beside them the columns of `spellings.SPELLINGS` and `spellings.SETS`. Any
other column is refused unless the caller named it, because a column that was passed over silently might have been the
one with the values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vetset.hashlist.files.encodings import Encoding
from vetset.hashlist.files.spellings import COLUMN_OF_NAME, SET_OF_NAME, VALUES_OF_NAME, Column, kind_of, plain
from vetset.model.errors import ListError
from vetset.model.signal import LIST_KINDS, Kind

DELIMITERS = (",", ";", "\t")
"""What a list of values and ids has."""
KNOWN_KINDS = ", ".join(kind.value for kind in LIST_KINDS)
_LAST = 10


@dataclass(frozen=True, slots=True)
class Values:
    """A column of values.

    Attributes:
        place: which column, from 0.
        word: what they are: the word of a kind, or of a fingerprint that is only counted; None where each row tells.
    """

    place: int
    word: str | None


@dataclass(frozen=True, slots=True)
class Header:
    """What the columns of a table are.

    Attributes:
        delimiter: what stands between cells.
        width: number of columns.
        values: columns of values.
        places: place of every other column that is known.
        sets: place and set of columns that say whether an item is in it.
        encodings: how values of a kind are written, where that is settled.
        kind: what the values of the whole file must be, if that was stated.
        names: the cells of the line, made plain; not shown.
    """

    delimiter: str
    width: int
    values: tuple[Values, ...]
    encodings: Mapping[Kind, Encoding]
    places: dict[Column, int] = field(default_factory=dict)
    sets: tuple[tuple[int, str], ...] = ()
    kind: Kind | None = None
    names: tuple[str, ...] = field(default=(), repr=False)


def _names(line: str, delimiter: str) -> list[str]:
    return [plain(cell.strip().strip('"').strip()) for cell in line.split(delimiter)]


def _known(name: str, passed: Sequence[str] = ()) -> bool:
    if name in passed or name in VALUES_OF_NAME:
        return True
    return name in COLUMN_OF_NAME or name in SET_OF_NAME


def _delimiter(line: str, passed: Sequence[str] = ()) -> str:
    """The separator under which most columns of a header are known."""
    return max(DELIMITERS, key=lambda sign: (sum(_known(name, passed) for name in _names(line, sign)), sign in line))


def is_header(line: str) -> bool:
    """Whether every cell of a line is the name of a column, and one of them holds values."""
    names = _names(line, _delimiter(line))
    return all(map(_known, names)) and any(
        name in VALUES_OF_NAME or COLUMN_OF_NAME.get(name) is Column.VALUE for name in names
    )


def read_header(line: str, where: str, *, kind: Kind | None, ignore: Sequence[str]) -> Header:
    """What the columns of a table are.

    Args:
        line: the header.
        where: file and line, for errors.
        kind: what bare values are, and all that a column of values may hold.
        ignore: names of columns that are passed over.

    Raises:
        ListError: the header has unknown, doubled, missing or contradicting columns.
    """
    passed = [plain(name) for name in ignore]
    delimiter = _delimiter(line, passed)
    names = _names(line, delimiter)
    _check_known(names, passed, where)
    taken = [(place, name) for place, name in enumerate(names) if name not in passed]
    columns = [(COLUMN_OF_NAME[name], place) for place, name in taken if name in COLUMN_OF_NAME]
    written = [(place, *VALUES_OF_NAME[name]) for place, name in taken if name in VALUES_OF_NAME]
    values = [Values(place, word) for place, word, _ in written]
    encodings = {kind_of(word): encoding for _, word, encoding in written if encoding}
    sets = [(place, SET_OF_NAME[name]) for place, name in taken if name in SET_OF_NAME]
    told = [_once(column) for column, _ in columns] + [each.word for each in values] + [one for _, one in sets]
    if len(set(told)) != len(told):
        raise _refused("the header names a column twice", "a doubled column", where)
    places = dict(columns)
    _check_values(places, values, kind, where)
    if Column.VALUE in places:
        values = [Values(places[Column.VALUE], None if Column.KIND in places else kind.value if kind else None)]
    return Header(delimiter, len(names), tuple(values), _of_kinds(encodings), places, tuple(sets), kind, tuple(names))


def _of_kinds(encodings: Mapping[Kind | None, Encoding]) -> dict[Kind, Encoding]:
    return {kind: encoding for kind, encoding in encodings.items() if kind is not None}


def _once(column: Column) -> Column:
    return Column.UPDATED if column is Column.UPDATED_UTC else column


def _check_known(names: list[str], passed: list[str], where: str) -> None:
    unknown = [str(place) for place, name in enumerate(names, 1) if not _known(name, passed)]
    if unknown:
        # The names are not shown: in a file without a header they are values.
        raise _refused("the header has columns that are not known", f"column {', '.join(unknown[:_LAST])}", where)
    if missing := set(passed) - set(names):
        raise ListError(
            "columns that were to be passed over are not there",
            expected=f"{len(passed)} columns of these names in the header",
            seen=f"{len(passed) - len(missing)} of them",
            where=where,
            todo="Say the names as they stand in the first line of the file.",
        )


def _check_values(places: dict[Column, int], values: list[Values], kind: Kind | None, where: str) -> None:
    if bool(values) == (Column.VALUE in places) or (Column.KIND in places and Column.VALUE not in places):
        raise _refused("the header does not say where the values are", "another choice of columns", where)
    if Column.VALUE in places and Column.KIND not in places and kind is None:
        raise _refused("the list does not say of which kind its values are", "no column named by a kind", where)
    if kind is not None and any(each.word is None or kind_of(each.word) is not kind for each in values):
        raise _refused(f"the list was said to hold {kind.value}", "a column of another kind", where)


def _refused(problem: str, seen: str, where: str) -> ListError:
    return ListError(
        problem,
        expected=f"columns named by a kind ({KNOWN_KINDS}), or `kind` and `value`, and perhaps `id` and those that "
        "docs/lists.md names",
        seen=seen,
        where=where,
        todo="Name the columns in the first line; take out those that hold neither values nor what is known of them, "
        "or have them passed over by name (--ignore NAME).",
    )
