"""How often Python looks for garbage in a process of vetset's own, that is, in the command and in its workers.

Loading makes nearly a hundred thousand objects that stay. By its own thresholds Python looks for garbage 268 times
while `vetset open` runs, 0.2 s of 1.7 on one machine; by these it does so 26 times, in half of that. Whoever uses
vetset as a library decides that for themselves.
"""

import gc

_THRESHOLDS = (10_000, 20, 50)
"""New objects before the youngest are looked through, and how often that before older ones are: 700, 10 and 10 by
Python's own."""


def collect_rarely() -> None:
    """Look for garbage less often from now on, in this process."""
    gc.set_threshold(*_THRESHOLDS)
