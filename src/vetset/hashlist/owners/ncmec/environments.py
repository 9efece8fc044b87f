"""Where NCMEC keeps its lists: each environment has its own address, credentials and content.

Addresses are those of the public client in facebook/threatexchange (python-threatexchange 1.2.17), which knows the same
seven environments with a test twin each.
"""

from dataclasses import dataclass
from types import MappingProxyType

from vetset.model.errors import UsageError
from vetset.model.hashlist import Category


@dataclass(frozen=True, slots=True)
class Environment:
    """One of NCMEC's lists.

    Attributes:
        name: the word for it; what an audit records as the list's environment.
        base: address under which `/v2/…` lies.
        category: what its entries are about. *Exploitative* is by NCMEC's words not child abuse material.
        generated: all of it was made by models.
        test: made-up entries for trying a client out.
    """

    name: str
    base: str
    category: Category
    generated: bool = False
    test: bool = False


def _pair(
    name: str, base: str, twin: str, category: Category = Category.CHILD_ABUSE, *, generated: bool = False
) -> list[Environment]:
    return [
        Environment(name, f"https://{base}", category, generated),
        Environment(f"test_{name}", f"https://{twin}", category, generated, test=True),
    ]


_EXPLOITATIVE = Category.EXPLOITATIVE
_NCMEC, _TWIN = "hashsharing.ncmec.org", "hashsharing-test.ncmec.org"
ENVIRONMENTS = MappingProxyType(
    {
        environment.name: environment
        for environment in [
            *_pair("Industry", "report.cybertip.org/hashsharing", "exttest.cybertip.org/hashsharing"),
            *_pair(
                "Industry_Exploitative",
                "report.cybertip.org/exploitative-hashsharing",
                "exttest.cybertip.org/exploitative-hashsharing",
                _EXPLOITATIVE,
            ),
            *_pair("LawEnforcement", "lesp.ncmec.org/csam-hashsharing", "betalesp.ncmec.org/csam-hashsharing"),
            *_pair("NGO", f"{_NCMEC}/npo", f"{_TWIN}/npo"),
            *_pair("Exploitative", f"{_NCMEC}/exploitative", f"{_TWIN}/exploitative", _EXPLOITATIVE),
            *_pair("NGO_Generative_AI", f"{_NCMEC}/generative-ai-csam", f"{_TWIN}/generative-ai-csam", generated=True),
            *_pair(
                "NGO_Generative_AI_Exploitative",
                f"{_NCMEC}/generative-ai-exploitative",
                f"{_TWIN}/generative-ai-exploitative",
                _EXPLOITATIVE,
                generated=True,
            ),
        ]
    }
)
"""By name."""


def environment(name: str) -> Environment:
    """The environment of this name.

    Raises:
        UsageError: there is none.
    """
    if name not in ENVIRONMENTS:
        raise UsageError("there is no such environment of NCMEC's", expected=f"one of: {', '.join(ENVIRONMENTS)}")
    return ENVIRONMENTS[name]
