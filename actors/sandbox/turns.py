"""Whose evaluation is next: owners take turns, and who takes long holds nobody up who does not."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, Generic, TypeVar

LONG_S: Final = 0.1
"""What is at work for this long has one of the places beside the others."""

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """`places` for anybody, as many again beside those that are held for long: for owners who hold none of these.

    For one thread at a time.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._queues: OrderedDict[str, deque[Item]] = OrderedDict()
        self._at_work: dict[int, tuple[str, float]] = {}
        self._given = 0
        self.waiting = 0

    @property
    def at_work(self) -> int:
        return len(self._at_work)

    def waiting_of(self, owner: str) -> int:
        return len(self._queues.get(owner, ()))

    def put(self, owner: str, item: Item) -> None:
        self._queues.setdefault(owner, deque()).append(item)
        self.waiting += 1

    def take(self, now_s: float) -> tuple[int, Item] | None:
        """The next one and the number of its place, which is held until it is `done`."""
        owner = self._next_owner(now_s)
        if owner is None:
            return None
        queue = self._queues.pop(owner)
        item = queue.popleft()
        self.waiting -= 1
        if queue:
            self._queues[owner] = queue
        self._given += 1
        self._at_work[self._given] = (owner, now_s)
        return self._given, item

    def done(self, place: int) -> None:
        del self._at_work[place]

    def changes_in_s(self, now_s: float) -> float | None:
        """How long until a place more is there though none is done; None: it takes one that is done, or put."""
        left = [since_s + LONG_S - now_s for _, since_s in self._at_work.values() if now_s < since_s + LONG_S]
        return min(left) if self.waiting and left else None

    def clear(self) -> list[Item]:
        left = [each for queue in self._queues.values() for each in queue]
        self._queues.clear()
        self.waiting = 0
        return left

    def _next_owner(self, now_s: float) -> str | None:
        if len(self._at_work) < self._places:
            return next(iter(self._queues), None)
        long = [owner for owner, since_s in self._at_work.values() if now_s >= since_s + LONG_S]
        if len(self._at_work) >= 2 * self._places or len(self._at_work) - len(long) >= self._places:
            return None
        return next((owner for owner in self._queues if owner not in long), None)
