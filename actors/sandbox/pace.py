"""Which strategies are known to answer quickly. All others give way from their first moment, those not yet seen too."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from actors.sandbox.rank import Rank

QUICK_S: Final = 0.006
MAX_KNOWN: Final = 10_000
"""Who was not evaluated for longest is forgotten."""


class Pace:
    """By content, from any thread; the last evaluation counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._quick: OrderedDict[str, None] = OrderedDict()

    def rank(self, content: str) -> Rank:
        with self._lock:
            return Rank.UNTIL_SLOW if content in self._quick else Rank.LAST

    def learn(self, content: str, used_s: float) -> None:
        """`used_s`: what it took of its limit, whether it answered or not."""
        with self._lock:
            self._quick.pop(content, None)
            if used_s > QUICK_S:
                return
            self._quick[content] = None
            if len(self._quick) > MAX_KNOWN:
                self._quick.popitem(last=False)
