"""Watching over code while it runs live: what it prints is kept for its author, who is warned of what goes wrong.

Part of the Evaluator, in its turns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from actors.journal import JournalBuffer
from actors.messages import EvaluateSlot
from actors.runtime.behaviour import Context
from actors.sandbox.frames import Fault
from actors.sandbox.judge import AskCode, CodeTask, NoVerdict, Verdict
from core.definition import StrategyDefinition
from core.ids import StrategyId
from core.signal import Signal
from core.strategy_warning import Share, StrategyWarning, TimeLimitWatch, WarningKind, difference
from schema.records import Printed

MAX_WATCHED: Final = 20_000
"""Versions whose last evaluations are remembered; who was not evaluated for longest goes first."""


_NO_TIME: Final = frozenset({Fault.TIMEOUT, Fault.MEMORY, Fault.DIED})
_AWAY: Final = Verdict(nothing=NoVerdict.AWAY)


class Shadows(msgspec.Struct, frozen=True, kw_only=True):
    """What evaluates again, and how many of a hundred evaluations."""

    again: AskCode
    share_pct: float


class Shadowed(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation was repeated."""

    definition: StrategyDefinition
    slot: datetime
    first: Signal
    again: Verdict


class StrategyWatch:
    def __init__(self, ctx: Context, journal: JournalBuffer, shadows: Shadows | None) -> None:
        self._ctx = ctx
        self._journal = journal
        self._shadows = shadows
        self._limits: OrderedDict[tuple[StrategyId, int], TimeLimitWatch] = OrderedDict()
        self._shares: OrderedDict[str, Share] = OrderedDict()

    def shadowed(self, told: Shadowed) -> None:
        """An answer that never came, or only for want of time or room, says nothing about the code."""
        again = told.again
        if again.nothing is not None or (again.failed is not None and again.failed.fault in _NO_TIME):
            return
        differs = difference(told.first, again.signal or again.sentence)
        if differs:
            self._warn(told.definition, told.slot, WarningKind.NOT_DETERMINISTIC, differs)

    def judged(
        self,
        requests: Sequence[EvaluateSlot],
        key: tuple[str, datetime],
        verdict: Verdict,
        task: CodeTask,
    ) -> None:
        """Behind the verdict's way to its runs, which none of this may hold up."""
        for definition in {each.definition.id: each.definition for each in requests}.values():
            if verdict.log:
                self._journal.printed(
                    Printed(
                        strategy_id=definition.id,
                        user_id=definition.owner_id,
                        evaluation_key=key[0],
                        slot=key[1],
                        printed=verdict.log,
                    )
                )
            self._took(definition, key[1], verdict)
        if verdict.signal is not None:
            self._shadow(requests[0].definition, verdict.signal, task)

    def _shadow(self, definition: StrategyDefinition, first: Signal, task: CodeTask) -> None:
        shadows, content = self._shadows, task.strategy.content
        if shadows is None or not shadows.share_pct:
            return
        share = self._shares.get(content)
        if share is None:
            share = self._shares[content] = Share()
            if len(self._shares) > MAX_WATCHED:
                self._shares.popitem(last=False)
        self._shares.move_to_end(content)
        if not share.next(shadows.share_pct):
            return

        def told(again: Verdict) -> Shadowed:
            return Shadowed(definition=definition, slot=task.context.slot, first=first, again=again)

        shadows.again(self._ctx, task, told, lambda _: told(_AWAY))

    def _took(self, definition: StrategyDefinition, slot: datetime, verdict: Verdict) -> None:
        used_ms, limit_ms = verdict.used_ms, verdict.limit_ms
        if used_ms is None or limit_ms is None:
            return
        version = (definition.id, definition.version)
        watch = self._limits.get(version)
        if watch is None:
            watch = self._limits[version] = TimeLimitWatch()
            if len(self._limits) > MAX_WATCHED:
                self._limits.popitem(last=False)
        self._limits.move_to_end(version)
        if watch.took(used_ms, limit_ms):
            self._warn(
                definition,
                slot,
                WarningKind.NEAR_TIME_LIMIT,
                {"used_ms": round(used_ms, 3), "limit_ms": limit_ms},
            )

    def _warn(
        self, definition: StrategyDefinition, slot: datetime, kind: WarningKind, detail: dict[str, object]
    ) -> None:
        self._journal.warned(
            StrategyWarning(
                strategy_id=definition.id,
                version=definition.version,
                user_id=definition.owner_id,
                kind=kind,
                slot=slot,
                detail={"strategy": definition.name, **detail},
            )
        )
