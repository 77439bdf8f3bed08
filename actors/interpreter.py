"""What a live process asks of Python's interpreter: what the garbage collector looks at, and how soon a thread that
has waited for the database runs again.

Ten thousand runs are some 360,000 objects that live as long as the process. A full collection walks all of them with
the interpreter lock held, 0.16 s where nothing else runs, whenever enough new objects have come to live: in the middle
of a slot, as often as not. Once runs have loaded, whatever there is belongs to them; it is set aside (`gc.freeze`), and
collections look at what came later. Reference counts free it all the same where nothing refers to it any more; only a
cycle among what is set aside stays until `end`.
"""

from __future__ import annotations

import gc
import sys

THRESHOLDS = (50_000, 20, 100)
"""Collections by age; with the first, none falls into a slot of ten thousand runs."""
SWITCH_S = 0.001
"""After how long a thread that computes lets a waiting one have its turn. An order is a dozen round trips, and beside
ten thousand holds each may wait so long; Python's 5 ms made the first order a third later, for a tenth less work."""
MANY = 1_000
"""Runs that came later are set aside too once they are so many: what fewer cost is not worth a walk."""


class Interpreter:
    """For a process that is one service at a time: these settings belong to all of it."""

    def __init__(self) -> None:
        self._thresholds = gc.get_threshold()
        self._switch_s = sys.getswitchinterval()
        self._waiting = MANY  # the first that come are set aside, however few

    def begin(self) -> None:
        gc.set_threshold(*THRESHOLDS)
        sys.setswitchinterval(SWITCH_S)

    def loaded(self, runs: int) -> None:
        """So many more runs have their actors' state. What was set aside before is not walked again."""
        self._waiting += runs
        if self._waiting >= MANY:
            self._waiting = 0
            gc.collect()
            gc.freeze()

    def end(self) -> None:
        """The service is over: cycles it leaves behind are found by the next collection."""
        gc.unfreeze()
        gc.set_threshold(*self._thresholds)
        sys.setswitchinterval(self._switch_s)
