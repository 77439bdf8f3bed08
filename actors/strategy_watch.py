"""Watching over code while it runs live: what it prints is kept for its author, who is warned of what goes wrong.

Part of the Evaluator, in its turns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from actors.journal import JournalBuffer
from actors.messages import EvaluateSlot
from actors.runtime.behaviour import Context
from actors.sandbox.judge import Verdict
from core.definition import StrategyDefinition
from core.ids import StrategyId
from core.strategy_warning import StrategyWarning, TimeLimitWatch, WarningKind
from schema.records import Printed

MAX_WATCHED: Final = 20_000
"""Versions whose last evaluations are remembered; who was not evaluated for longest goes first."""


class StrategyWatch:
    def __init__(self, ctx: Context, journal: JournalBuffer) -> None:
        self._ctx = ctx
        self._journal = journal
        self._limits: OrderedDict[tuple[StrategyId, int], TimeLimitWatch] = OrderedDict()

    def judged(self, requests: Sequence[EvaluateSlot], key: tuple[str, datetime], verdict: Verdict) -> None:
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
