"""Policies: refused by the name of the setting, hashed in two parts."""

import math
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import vetset
from vetset.model.errors import PolicyError
from vetset.model.policy import ExpandPolicy, MatchPolicy, Policy, RemovePolicy, ScanPolicy, squared
from vetset.model.signal import Kind

DOCS = Path(__file__).parents[2] / "docs" / "policy.md"


@pytest.fixture
def loaded(tmp_path):
    def load(text):
        (tmp_path / "policy.toml").write_text(text)
        return vetset.load_policy(tmp_path / "policy.toml")

    return load


def test_no_file_and_an_empty_one_are_the_defaults(loaded):
    assert loaded("") == vetset.load_policy(None) == Policy()


def test_the_documented_policy_is_the_default_one(loaded):
    example = DOCS.read_text().partition("```toml\n")[2].partition("```")[0]
    assert loaded(example) == Policy()
    # what has no default stands there behind a `#`
    named = tomllib.loads(
        example.replace("\n# photodna_radius", "\nphotodna_radius").replace("\n# confirm", "\nconfirm")
    )
    assert {name: set(section) for name, section in named.items() if name != "version"} == {
        name: set(section) for name, section in Policy().model_dump().items() if name != "version"
    }
    assert Policy().match.photodna_radius is Policy().match.confirm_photodna is None
    assert Policy.model_validate(named).match.photodna_radius is not None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("[match]\nradius = 3", "match.radius"),
        ("[match]\npdq_radius = 32", "match.pdq_radius"),
        ("[match]\npdq_radius = 10", "match"),
        ("[match]\nconfirm_quality = 101", "match.confirm_quality"),
        ("[match]\nphotodna_radius = -1", "match.photodna_radius"),
        ("[match]\nphotodna_radius = 40000", "match.photodna_radius"),
        ("[match]\nphotodna_radius = nan", "match.photodna_radius"),
        ("[match]\nconfirm_photodna = 10", "match"),
        ("[match]\nphotodna_radius = 9.5\nconfirm_photodna = 10", "match"),
        ("[expand]\nk = 0", "expand.k"),
        ("[expand]\nmin_similarity = 0.95", "expand"),
        ("[expand]\ncalibration_pairs = 50000000", "expand.calibration_pairs"),
        ("[scan]\nkinds = []", "scan.kinds"),
        ("[scan]\nkinds = ['sha256', 'phash']", "scan.kinds.1"),
        ("[scan]\nkinds = ['sha256', 'embedding']", "scan.kinds"),
        ("[scan]\nmax_pixels = 0", "scan.max_pixels"),
        ("[remove]\ncover = true", "remove.cover"),
        ("thresholds = 3", "thresholds"),
    ],
)
def test_what_is_wrong_is_named(loaded, text, name):
    with pytest.raises(PolicyError) as caught:
        loaded(text)
    assert f"{name}: " in caught.value.seen


def test_copies_cannot_be_removed_where_bytes_are_not_digested(loaded):
    with pytest.raises(PolicyError, match="sha256"):
        loaded("[scan]\nkinds = ['md5']")
    assert loaded("[scan]\nkinds = ['md5']\n[remove]\ncopies = false").scan.kinds == (Kind.MD5,)


def test_another_threshold_leaves_the_digest_of_the_scan_part_alone():
    other = Policy(match=MatchPolicy(pdq_radius=25), expand=ExpandPolicy(k=7))
    assert other.digest != Policy().digest
    assert other.scan.digest == Policy().scan.digest


def test_photodna_is_asked_for_by_name_and_is_another_scan():
    asked = ScanPolicy(kinds=(*ScanPolicy().kinds, "photodna"))
    assert Kind.PHOTODNA not in ScanPolicy().kinds
    assert asked.kinds == (*ScanPolicy().kinds, Kind.PHOTODNA)
    assert asked.digest != ScanPolicy().digest


@given(st.integers(0, 3060), st.integers(0, 9_363_600), st.floats(0, 3060))
def test_a_radius_is_squared_exactly(whole, sum_of_squares, radius):
    assert squared(whole) == squared(float(whole)) == whole**2
    # what a licence states as a sum of squares is its root, rounded up at the fifth decimal
    assert squared(math.ceil(math.sqrt(sum_of_squares) * 1e5) / 1e5) == sum_of_squares
    assert squared(radius) <= Fraction(radius) ** 2 < squared(radius) + 1


def test_another_scan_part_has_another_digest():
    assert ScanPolicy(min_pdq_quality=51).digest != ScanPolicy().digest


def test_the_order_in_which_kinds_are_named_does_not_matter():
    backwards = ScanPolicy(kinds=tuple(reversed(ScanPolicy().kinds)))
    assert backwards.digest == ScanPolicy().digest


def test_the_digest_of_the_defaults_is_golden():
    # Every store and every statement refers to it: a change of a default shows here.
    assert Policy().scan.digest == "7c7a81b2d47cd79edb4bc91436bbe77815622503ef25a6b00aeb544d9b821567"


@pytest.mark.parametrize("value", ["true", '"3"', "3.0", "[3]", "nan", "2026-01-01"])
def test_a_number_is_a_number(loaded, value):
    with pytest.raises(PolicyError, match=r"match\.pdq_radius: Input should be a valid integer"):
        loaded(f"[match]\npdq_radius = {value}")


def test_a_policy_cannot_be_changed():
    with pytest.raises(ValidationError):
        Policy().match.pdq_radius = 3


def test_variants_are_named_once_and_in_any_order():
    backwards = ScanPolicy(variants=tuple(reversed(ScanPolicy().variants)))
    assert backwards.digest == ScanPolicy().digest
    assert ScanPolicy(variants=()).pdq_variants == ()
    with pytest.raises(ValidationError, match="once"):
        ScanPolicy(variants=("white", "white"))
    with pytest.raises(ValidationError):
        ScanPolicy(variants=("sideways",))


@pytest.mark.parametrize("frames", [0, 9])
def test_the_number_of_frames_has_bounds(frames):
    with pytest.raises(ValidationError):
        ScanPolicy(frames=frames)


def test_another_choice_of_variants_is_another_scan():
    choices = [ScanPolicy(), ScanPolicy(variants=("white",)), ScanPolicy(frames=3)]
    assert len({choice.digest for choice in choices}) == 3


def test_without_pdq_there_are_no_variants():
    assert ScanPolicy(kinds=("md5",)).pdq_variants == ()


@pytest.mark.parametrize(
    "reasons", [("metadata_only",), ("not_scanned", "low_quality"), ("truncated", "truncated"), ("dull",)]
)
def test_only_reasons_that_a_stored_picture_has_can_remove_it(reasons):
    with pytest.raises(ValidationError):
        RemovePolicy(undecided=reasons)


def test_reasons_to_remove_are_named_in_any_order_and_need_pdq():
    named = RemovePolicy(undecided=("low_quality", "truncated"))
    assert named.digest == RemovePolicy(undecided=("truncated", "low_quality")).digest != RemovePolicy().digest
    with pytest.raises(ValidationError, match="needs pdq"):
        Policy(remove=named, scan=ScanPolicy(kinds=("sha256",)))
