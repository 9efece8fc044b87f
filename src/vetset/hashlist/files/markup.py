"""XML that nobody vouches for, read as a stream: caps, no document type, so no entities, and nothing from outside.

A `Node` says which elements may stand in an element and what happens where one opens and closes. Everything else is
handed to whoever reads (`Strange`), who decides whether it is an error. Text beside elements is refused: it would
belong to nothing. Memory is bounded by the caps below, whatever the size of a document; the parser is expat of the
standard library, told that the document is UTF-8.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pyexpat import ErrorString, ExpatError, ParserCreate
from typing import NoReturn

from vetset.model.errors import ListError

MAX_DEPTH = 32
MAX_TEXT = 1 << 16
"""Characters of the text of one element."""
MAX_TOKEN = 1 << 20
"""Bytes of a tag or comment, with all its attributes."""
PIECE = 1 << 16

Opened = Callable[[dict[str, str]], None]
Closed = Callable[[str], None]


@dataclass(slots=True)
class Node:
    """What an element may hold and what is done with it.

    Attributes:
        children: the elements that may stand in it, by `namespace name` (or the name alone, outside of namespaces).
        opened: called with its attributes.
        closed: called with its text, blanks around it cut off; empty where it holds elements.
    """

    children: Mapping[str, "Node"] = field(default_factory=dict)
    opened: Opened | None = None
    closed: Closed | None = None


Strange = Callable[[str], Node]
"""Is told the name of an element that has no place where it stands; returns how it is read, or raises."""


class Markup:
    """Reads one document, piece by piece.

    Args:
        tops: the element that the document is, by its name; any of these.
        strange: see `Strange`.
        where: name of the file or service, for errors.
    """

    def __init__(self, tops: Mapping[str, Node], strange: Strange, where: str) -> None:
        self._where = where
        self._parser = parser = ParserCreate("UTF-8", " ")
        self._fed = 0
        self._text: list[str] = []
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse_document_type
        parser.XmlDeclHandler = self._check_encoding
        parser.CharacterDataHandler = self._text.append
        self._walk(_Tops(self, tops), strange)

    def _walk(self, tops: Mapping[str, Node], strange: Strange) -> None:
        here = Node(tops)
        text = self._text
        above: list[Node] = []

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal here
            if text and not "".join(text).isspace():
                self._refuse_text()
            try:
                node = here.children[name]
            except KeyError:
                node = strange(name)
            above.append(here)
            if len(above) > MAX_DEPTH:
                self.refuse("it is nested too deeply", f"at most {MAX_DEPTH} levels")
            here = node
            text.clear()
            if node.opened is not None:
                node.opened(attributes)

        def end(_: str) -> None:
            nonlocal here
            found = text[0].strip() if len(text) == 1 else "".join(text).strip()
            if found and here.children:
                self._refuse_text()
            if len(found) > MAX_TEXT:
                self._refuse_length()
            if here.closed is not None:
                here.closed(found)
            text.clear()
            here = above.pop()

        self._parser.StartElementHandler = start
        self._parser.EndElementHandler = end

    @property
    def line(self) -> int:
        """Number of the line that is being read, from 1."""
        return self._parser.CurrentLineNumber

    def feed(self, data: bytes) -> None:
        """Read on.

        Raises:
            ListError: it is no well-formed XML, declares a document type, or goes beyond a cap.
        """
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._fed += len(piece)
            self._parse(piece, final=False)
            if self._fed - max(self._parser.CurrentByteIndex, 0) > MAX_TOKEN:
                self.refuse("a tag or comment is too long", f"at most {MAX_TOKEN} bytes")
            if sum(map(len, self._text)) > MAX_TEXT:
                self._refuse_length()

    def close(self) -> None:
        """The document ends here.

        Raises:
            ListError: it does not: something was left open, or there is nothing.
        """
        self._parse(b"", final=True)

    def _parse(self, data: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(data, final)
        except ExpatError as error:
            self.refuse(f"it is not well-formed XML ({ErrorString(error.code)})", "one whole XML document in UTF-8")

    def _refuse_document_type(self, *_: object) -> None:
        self.refuse("it declares a document type", "XML without DOCTYPE, and so without entities of its own")

    def _check_encoding(self, _: str, encoding: str | None, __: int) -> None:
        if encoding is not None and encoding.lower() not in {"utf-8", "us-ascii"}:
            self.refuse("it is written in another encoding", "UTF-8")

    def _refuse_text(self) -> NoReturn:
        self.refuse("there is text between elements", "text in elements that hold nothing else")

    def _refuse_length(self) -> NoReturn:
        self.refuse("the text of an element is too long", f"at most {MAX_TEXT} characters")

    def refuse(self, problem: str, expected: str, seen: str | None = None) -> NoReturn:
        """Raise with the line that is being read.

        Raises:
            ListError: always.
        """
        raise ListError(
            problem,
            expected=expected,
            seen=seen,
            where=f"{self._where}, line {self.line}",
            todo="Nothing was imported.",
        ) from None


class _Tops(dict[str, Node]):
    """What a document may be, and an error for everything else."""

    def __init__(self, markup: Markup, tops: Mapping[str, Node]) -> None:
        super().__init__()
        self._markup, self._tops = markup, tops

    def __missing__(self, name: str) -> Node:
        try:
            return self._tops[name]
        except KeyError:
            self._markup.refuse("it is another kind of document", f"the first element to be: {', '.join(self._tops)}")


class Anything(dict[str, Node]):
    """Every element, read like one and the same node, but for those that are named.

    Args:
        node: how it is read, once it is known: nodes may hold themselves.
        named: read otherwise.
    """

    def __init__(self, node: Node, named: Mapping[str, Node] | None = None) -> None:
        super().__init__(named or {})
        self._node = node

    def __missing__(self, _: str) -> Node:
        return self._node
