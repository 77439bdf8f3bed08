"""Telling thousands of runs of a slot so that none of them makes an order wait.

Runs whose strategy gave a signal hear at once. The others hear in portions, each sent by way of the timer: what the
runs told so far, the ledger and the connections have to do comes in between. Part of the Evaluator, in its own turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime

import msgspec

from actors.messages import ClaimedTick, Evaluation, TickDue
from actors.runtime.behaviour import Context
from schema.records import ExecutionStatus

PORTION = 100
"""Runs told at a time, about a millisecond of their work."""


class NextPortion(msgspec.Struct, frozen=True):
    """Time to tell more runs that have nothing to trade."""


class Portions:
    __slots__ = ("_ctx", "_held", "_left", "_slot")

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._held: deque[tuple[Sequence[ClaimedTick], Evaluation]] = deque()
        self._slot: datetime | None = None
        self._left = PORTION

    def tell(self, ticks: Sequence[ClaimedTick], evaluation: Evaluation) -> None:
        if evaluation.slot != self._slot:
            self._slot, self._left = evaluation.slot, PORTION
        if evaluation.status is ExecutionStatus.SUCCESS:
            self._tell(ticks, evaluation)
        elif len(ticks) <= self._left and not self._held:
            self._left -= len(ticks)
            self._tell(ticks, evaluation)
        else:
            if not self._held:
                self._ctx.after(0.0, NextPortion())
            self._held.append((ticks, evaluation))

    def next(self) -> None:
        left = PORTION
        while self._held and left > 0:
            ticks, evaluation = self._held.popleft()
            self._tell(ticks[:left], evaluation)
            if len(ticks) > left:
                self._held.appendleft((ticks[left:], evaluation))
            left -= len(ticks)
        self._left = max(0, left)
        if self._held:
            self._ctx.after(0.0, NextPortion())

    def _tell(self, ticks: Sequence[ClaimedTick], evaluation: Evaluation) -> None:
        for tick in ticks:
            self._ctx.tell(tick.run, TickDue(tick=tick, evaluation=evaluation))
