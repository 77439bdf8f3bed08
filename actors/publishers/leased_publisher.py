"""LeasedPublisher: what every publisher to one receiver does, whatever it tells: passes, waiting, and giving way.

One process at a time tells a receiver, by a lease. One pass is under way at a time; what a pass did not get told is
told in a later one, the later the oftener it failed.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Final

import msgspec

from actors.runtime.behaviour import Behaviour, Context
from core.backoff import Backoff

PASS_S: Final = 0.5
TELL_S: Final = 10.0
"""Bound of one pass at a receiver; well below the lease it is told under."""
RETRY: Final = Backoff(min_s=PASS_S, max_s=5.0)


class Pass(msgspec.Struct, frozen=True):
    """Look for what is to be told."""


class Noted(msgspec.Struct, frozen=True):
    """What was written, or could not be: then the same is taken again, and the receiver knows it."""

    more: bool


class Left(msgspec.Struct, frozen=True):
    """Another process may take over."""


class LeasedPublisher(Behaviour):
    """A pass begins with `look`, goes on with messages of its own and ends with `note` or `over`."""

    __slots__ = ("_busy", "_draining", "_failures", "_leave", "_not_before_s")

    def __init__(self, ctx: Context, *, leave: Callable[[], None]) -> None:
        """`leave` gives the lease back; it blocks."""
        super().__init__(ctx)
        self._leave = leave
        self._busy = self._draining = False
        self._failures = 0
        self._not_before_s = float("-inf")

    @abstractmethod
    def look(self) -> None:
        """Begin a pass."""

    @abstractmethod
    def goes_on(self, message: object) -> None:
        """Of the pass under way."""

    def started(self) -> None:
        self.ctx.after(0.0, Pass())
        self.ctx.after(PASS_S, Pass(), every=PASS_S)

    def draining(self) -> None:
        self._draining = True
        if not self._busy:
            self._give_way()

    def receive(self, message: object) -> None:
        match message:
            case Pass():
                self._begin()
            case Noted():
                self.over(more=message.more)
            case Left():
                self.ctx.stop()
            case _:
                self.goes_on(message)

    def told(self, error: str | None) -> None:
        """The receiver was asked; `error`: why it has not got everything."""
        if error is None:
            self._failures = 0
        else:
            self._not_before_s = self.ctx.clock.monotonic() + RETRY.delay_s(self._failures, 0.0)
            self._failures += 1

    def note(self, write: Callable[[], bool]) -> None:
        """End the pass once `write` has noted how far it came; it blocks, and answers whether more is known of."""
        self.ctx.call(lambda: Noted(write()), lambda noted: noted, lambda _: Noted(False))

    def over(self, *, more: bool) -> None:
        self._busy = False
        if self._draining:
            self._give_way()
        elif more:
            self._begin()

    def _begin(self) -> None:
        if self._busy or self._draining or self.ctx.clock.monotonic() < self._not_before_s:
            return
        self._busy = True
        self.look()

    def _give_way(self) -> None:
        self.ctx.call(self._leave, lambda _: Left(), lambda _: Left())
