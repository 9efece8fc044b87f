"""What the documentation shows as an example is accepted as it stands there."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from vetset.model.policy import Policy
from vetset.signal.preparation import Preparation

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def block(page, language):
    text = (ROOT / "docs" / page).read_text()
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


def test_the_policy_page_shows_every_default():
    assert Policy.model_validate(tomllib.loads(block("policy.md", "toml"))) == Policy()
    shown = tomllib.loads(block("policy.md", "toml"))
    assert {name: set(part) if isinstance(part, dict) else part for name, part in shown.items()} == {
        name: set(part) if isinstance(part, dict) else part
        for name, part in Policy().model_dump(mode="json", exclude_none=True).items()
    }


def test_the_description_of_a_model_is_accepted():
    assert Preparation.model_validate(json.loads(block("embeddings.md", "json"))).dimension == 768


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
