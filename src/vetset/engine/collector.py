"""How often Python looks for garbage in a process of vetset's own, that is, in the command and in its workers.

Loading makes some hundred thousand objects that stay. By its own thresholds Python looks through them a few hundred
times meanwhile, which is 0.1 s of a short command's 1.5. Whoever uses vetset as a library decides that for themselves.
"""

import gc

_THRESHOLDS = (10_000, 20, 50)
"""New objects before the youngest are looked through, and how often that before older ones are: 700, 10 and 10 by
Python's own. The garbage that may wait for it is a few megabytes."""


def collect_rarely() -> None:
    """Look for garbage less often from now on, in this process."""
    gc.set_threshold(*_THRESHOLDS)
