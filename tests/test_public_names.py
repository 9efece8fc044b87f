"""The public names: flat, sorted, importable, and the same wherever they are written down."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import vetset


def names_for_type_checkers():
    """What stands below `if TYPE_CHECKING:`."""
    tree = ast.parse(Path(vetset.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    places = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        places |= {alias.name: node.module for alias in node.names}
    return places


def test_all_is_sorted_and_without_doubles():
    assert vetset.__all__ == sorted(set(vetset.__all__))


def test_all_is_what_has_a_place_and_what_type_checkers_see():
    assert set(vetset.__all__) == set(vetset._PLACES) == set(names_for_type_checkers())


@pytest.mark.parametrize("name", vetset.__all__)
def test_every_name_comes_from_where_type_checkers_look(name):
    value = getattr(importlib.import_module(vetset._PLACES[name]), name, None)
    seen = names_for_type_checkers()[name]
    if name == "errors":
        assert (seen, getattr(vetset, name).__name__) == ("vetset.model", "vetset.model.errors")
    else:
        assert seen == vetset._PLACES[name]
        assert getattr(vetset, name) is value


@pytest.mark.parametrize("name", vetset.__all__)
def test_every_name_is_explained(name):
    assert inspect.getdoc(getattr(vetset, name))


def test_no_room_has_the_name_of_a_public_name():
    rooms = {module.name for module in pkgutil.iter_modules(vetset.__path__)}
    # Importing a room binds its name in the package: `vetset.NAME` would be a module as soon as it is loaded.
    assert not rooms & set(vetset.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nothing_like_it"):
        vetset.nothing_like_it  # noqa: B018


def test_dir_shows_the_public_names():
    assert dir(vetset) == vetset.__all__


def test_importing_vetset_imports_nothing_heavy():
    code = "import sys, vetset; print(sorted({'numpy', 'pyarrow', 'numba', 'pydantic', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
