"""The tree of errors: one exit code a class, and the same error on the other side of a process."""

import pickle
import re

import pytest

from vetset.model import errors
from vetset.model.errors import DataError, TrustError, VetsetError


def tree(family=VetsetError):
    return [family, *(each for child in family.__subclasses__() for each in tree(child))]


LEAVES = [each for each in tree() if each not in (VetsetError, DataError, TrustError)]


def test_every_class_but_the_families_has_an_exit_code_of_its_own():
    codes = [each.exit_code for each in LEAVES]
    assert len(set(codes)) == len(codes)
    assert all("exit_code" in vars(each) for each in LEAVES)
    assert not {0, 1, 70, 130} & set(codes)


def test_the_module_docstring_draws_the_tree_as_it_is():
    drawn = dict(re.findall(r"[├└─│ ]*(\w+Error)\s+(\d+|\(family\))", errors.__doc__))
    assert drawn == {each.__name__: str(each.exit_code) if each in LEAVES else "(family)" for each in tree()} | {
        "VetsetError": "1"
    }


@pytest.mark.parametrize("kind", tree())
def test_an_error_is_the_same_after_a_trip_between_processes(kind):
    error = kind("a problem", expected="this", seen="that", where="there", todo="Do it.")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  its own bytes
    assert type(again) is kind
    assert str(again) == str(error) == "there: a problem; expected this; saw that. Do it."


def test_a_place_is_named_once():
    assert VetsetError("a problem").at("shard").at("dataset").where == "shard"


@pytest.mark.parametrize(
    ("where", "text"),
    [("a.tar", "a problem. Do it."), ("a.tar, byte 5", "byte 5: a problem. Do it."), ("b", "b: a problem. Do it.")],
)
def test_beside_its_place_an_error_does_not_name_it_again(where, text):
    assert VetsetError("a problem", where=where, todo="Do it.").beside("a.tar") == text


def test_what_is_not_known_is_not_said():
    assert str(VetsetError("a problem")) == "a problem"
