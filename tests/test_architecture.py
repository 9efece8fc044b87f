"""Imports go one way, and the house has no junk drawers."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vetset"

# A package may import from packages of a lower floor, and from itself.
FLOOR = {
    "model": 0,
    "storage": 1,
    "seal": 2,
    "store": 3,
    "case": 3,
    "engine": 4,
    "dataset": 4,
    "signal": 4,
    "hashlist": 4,
    "search": 4,
    "verifier": 4,
    "report": 4,
    "stage": 5,
    "api": 6,
    "__init__": 7,
    "demo": 7,
    "cli": 8,
    "__main__": 9,
}
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> set[str]:
    rooms = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [node.module or ""]
            if node.module == "vetset":
                names = [f"vetset.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "vetset":
                rooms.add(parts[1] if len(parts) > 1 else "__init__")
    return {room if room in FLOOR else "__init__" for room in rooms}


def violations(room: str, tree: ast.AST) -> set[str]:
    return {other for other in imported_rooms(tree) if other != room and FLOOR[other] >= FLOOR[room]}


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_imports_go_one_way(path):
    assert room_of(path) in FLOOR, f"{room_of(path)} has no floor: add it to the design first"
    assert not violations(room_of(path), ast.parse(path.read_text()))


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("model", "import vetset.storage.commit"),
        ("search", "from vetset.signal import pdq"),
        ("store", "from vetset.case import run"),
        ("stage", "from vetset import audit"),
        ("api", "from vetset.cli import app"),
    ],
)
def test_the_guard_sees_a_wrong_arrow(room, line):
    assert violations(room, ast.parse(line))


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_no_junk_drawer_and_no_giant(path):
    assert not FORBIDDEN_NAMES & {part.removesuffix(".py") for part in path.relative_to(SOURCE).parts}
    assert len(path.read_text().splitlines()) <= 450
