"""What Python's garbage collector looks at in a live process.

Ten thousand runs are some 600,000 objects that live as long as the process. A full collection walks all of them with
the interpreter lock held, 0.2 s and more, whenever enough new objects have come to live: in the middle of a slot, as
often as not. Once runs have loaded, whatever there is belongs to them; it is set aside (`gc.freeze`), and
collections look at what came later. Reference counts free it all the same where nothing refers to it any more; only a
cycle among what is set aside stays until `end`.
"""

from __future__ import annotations

import gc

THRESHOLDS = (50_000, 20, 100)
"""Collections by age. A slot of ten thousand runs makes about as many objects as the first allows between two."""
MANY = 1_000
"""Runs that came later are set aside too once they are so many: what fewer cost is not worth a walk."""


class Heap:
    """For a process that is one service at a time: the collector belongs to all of it."""

    def __init__(self) -> None:
        self._before = gc.get_threshold()
        self._waiting = MANY  # the first that come are set aside, however few

    def begin(self) -> None:
        gc.set_threshold(*THRESHOLDS)

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
        gc.set_threshold(*self._before)
