"""Which faults there are and how often: one draw per call from the seed, nothing while faults have ceased."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

T = TypeVar("T")


class StoreFault(StrEnum):
    DOWN = "down"
    """Not executed, and said so."""
    ANSWER_LOST = "answer lost"
    """Executed; nobody knows."""


class PlaceFault(StrEnum):
    REFUSED = "refused"
    """Nothing left the process."""
    LIMITED = "limited"
    REJECTED = "rejected"
    REQUEST_LOST = "request lost"
    REPLY_LOST = "reply lost"
    REQUEST_LATE = "request late"
    """It arrives seconds later, perhaps beyond the receive window."""
    REPLY_SLOW = "reply slow"
    """It arrives at once; the answer comes after everybody's patience."""


class ReadFault(StrEnum):
    UNREACHABLE = "unreachable"
    SLOW = "slow"


class ProtectFault(StrEnum):
    UNREACHABLE = "unreachable"
    PASSED = "passed"
    """The market is beyond the stop already: it will never be taken."""


class FeedFault(StrEnum):
    LATE = "late"
    HOLE = "hole"
    """A candle in the middle is missing, and there when asked again."""
    REPEATED = "repeated"
    """Candles told before come again in front."""
    ERROR = "error"
    SLOW = "slow"


class Happening(StrEnum):
    """What befalls a process, an actor or the rows, rather than a single call."""

    ACTOR = "actor fails"
    KILL = "process killed"
    FREEZE = "process frozen"
    STOP = "process stopped"
    STORE_OUTAGE = "store out of reach"
    VENUE_OUTAGE = "venue out of reach"
    TRIGGER = "triggers repeated"
    RUN_COMMAND = "run commanded"
    KILL_SWITCH = "kill switch"
    LIMITS = "limits changed"
    BY_HAND = "position closed by hand"


STORE: Final[Mapping[str, float]] = {
    "claim": 0.02,
    "settle": 0.02,
    "report": 0.02,
    "may_send": 0.02,
    "acquire": 0.03,
    "run_starts": 0.02,
}
STORE_OTHERS: Final = 0.001
STORE_SLOW: Final = 0.002
TURN_SLOW: Final = 0.02
LONGEST_TURN_S: Final = 3.0
PLACE: Final[Mapping[PlaceFault, float]] = {
    PlaceFault.REFUSED: 0.04,
    PlaceFault.LIMITED: 0.02,
    PlaceFault.REJECTED: 0.02,
    PlaceFault.REQUEST_LOST: 0.04,
    PlaceFault.REPLY_LOST: 0.06,
    PlaceFault.REQUEST_LATE: 0.03,
    PlaceFault.REPLY_SLOW: 0.04,
}
READ: Final[Mapping[ReadFault, float]] = {ReadFault.UNREACHABLE: 0.1, ReadFault.SLOW: 0.05}
PROTECT: Final[Mapping[ProtectFault, float]] = {ProtectFault.UNREACHABLE: 0.2, ProtectFault.PASSED: 0.02}
FEED: Final[Mapping[FeedFault, float]] = {
    FeedFault.LATE: 0.06,
    FeedFault.HOLE: 0.01,
    FeedFault.REPEATED: 0.05,
    FeedFault.ERROR: 0.02,
    FeedFault.SLOW: 0.01,
}
NEWS_LATE: Final = 0.1
NEWS_TWICE: Final = 0.15
HAPPENINGS: Final[Mapping[Happening, float]] = {
    Happening.ACTOR: 0.22,
    Happening.KILL: 0.14,
    Happening.FREEZE: 0.12,
    Happening.STOP: 0.05,
    Happening.STORE_OUTAGE: 0.05,
    Happening.VENUE_OUTAGE: 0.04,
    Happening.TRIGGER: 0.14,
    Happening.RUN_COMMAND: 0.14,
    Happening.KILL_SWITCH: 0.05,
    Happening.LIMITS: 0.03,
    Happening.BY_HAND: 0.02,
}
BETWEEN_HAPPENINGS_S: Final = 600.0


class Faults:
    """Draws from the seed's own source; `on` False: none from now on."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.on = True

    def store(self, method: str) -> StoreFault | None:
        if not self.on or self.rng.random() >= STORE.get(method, STORE_OTHERS):
            return None
        return StoreFault.DOWN if self.rng.random() < 0.5 else StoreFault.ANSWER_LOST

    def store_delay_s(self) -> float:
        """How long a call waits for a connection; nearly always not at all."""
        if not self.on or self.rng.random() >= STORE_SLOW:
            return 0.0
        return self.between(0.1, 8.0)

    def turn_s(self) -> float:
        """How long an order waits for its turn at the venue; nearly always not at all."""
        if not self.on or self.rng.random() >= TURN_SLOW:
            return 0.0
        return self.between(0.1, LONGEST_TURN_S)

    def place(self) -> PlaceFault | None:
        return self._drawn(PLACE)

    def read(self) -> ReadFault | None:
        return self._drawn(READ)

    def protect(self) -> ProtectFault | None:
        return self._drawn(PROTECT)

    def feed(self) -> FeedFault | None:
        return self._drawn(FEED)

    def happening(self) -> Happening | None:
        return self._drawn(HAPPENINGS)

    def news_delays_s(self) -> Sequence[float]:
        """After how many seconds a piece of news is told: once, or twice, soon or late."""
        if not self.on:
            return (0.05,)
        first = self.between(1.0, 60.0) if self.rng.random() < NEWS_LATE else self.between(0.01, 1.0)
        if self.rng.random() < NEWS_TWICE:
            return first, self.between(0.01, 30.0)
        return (first,)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def one_of(self, choices: Sequence[T]) -> T:
        return choices[int(self.rng.random() * len(choices))]

    def _drawn(self, chances: Mapping[T, float]) -> T | None:
        if not self.on:
            return None
        point = self.rng.random()
        for kind, chance in chances.items():
            if point < chance:
                return kind
            point -= chance
        return None
