"""What an engine promises: one outcome for every item, whatever happens to the workers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from vetset.model.errors import EngineError, VetsetError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """The task returned.

    Attributes:
        index: position of the item in the sequence given to `map`.
        value: what the task returned.
    """

    index: int
    value: Result


@dataclass(frozen=True, slots=True)
class Failed:
    """The task raised, or its worker died.

    Attributes:
        index: position of the item in the sequence given to `map`.
        error: vetset's own error, or an `EngineError` that names only the class of a foreign one (its text might
            repeat data).
        lost: whether it was not the task that said so: its worker died, or was ended for taking too long.
    """

    index: int
    error: VetsetError
    lost: bool = False


class Engine(Protocol):
    """Runs one task over many items."""

    def map(self, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Result] | Failed]:
        """Yield exactly one outcome for each item, in any order, as they come.

        Args:
            task: a function of module level; with the items and the results it must be picklable.
            items: what to run it on.

        Raises:
            EngineError: workers cannot be started at all.
        """
        ...


def one_each(engine: Engine, task: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Done[Result] | Failed]:
    """What an engine yields, held to its promise: nobody would miss what is neither done nor failed.

    Raises:
        EngineError: an item has no outcome, or several.
    """
    left = set(range(len(items)))
    for outcome in engine.map(task, items):
        if outcome.index not in left:
            raise _not_one_each("more than one for an item, or one for none")
        left.remove(outcome.index)
        yield outcome
    if left:
        raise _not_one_each(f"none for {len(left)} of {len(items)}")


def _not_one_each(seen: str) -> EngineError:
    return EngineError(
        "the engine does not say what became of every item",
        expected="exactly one outcome for each",
        seen=seen,
        todo="Run it again; if it says so again, mend the engine or take another.",
    )
