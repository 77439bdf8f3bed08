"""What was found broken: at most a few sentences, the first being the one that counts."""

from __future__ import annotations

import msgspec

from core.clock import Clock

MOST = 20


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """An invariant broken at a virtual time."""

    invariant: str
    at: str
    sentence: str


class Findings:
    """Where the checks say what they found."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.found: list[Finding] = []

    def broken(self, invariant: str, sentence: str) -> None:
        if len(self.found) < MOST:
            at = f"{self._clock.now():%Y-%m-%d %H:%M:%S.%f}"
            self.found.append(Finding(invariant=invariant, at=at, sentence=sentence))

    def unless(self, holds: bool, invariant: str, sentence: str) -> None:
        if not holds:
            self.broken(invariant, sentence)
