"""What strategies saw: the true candles, closed, in order, without a hole, up to the slot; and once each (I10, I20)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import numpy as np

from actors.simulation.checks.findings import Findings
from actors.simulation.market import SimulatedMarket
from actors.windows import Windows
from core.candles import CandleView, Gap, NotYet, TooFew
from core.clock import Clock
from core.market import Series
from core.timeframe import to_ms
from schema.records import ExecutionRow


class CandleCheck:
    def __init__(self, findings: Findings, clock: Clock, market: SimulatedMarket) -> None:
        self._findings = findings
        self._clock = clock
        self._market = market

    def seen(self, series: Series, slot: datetime, view: CandleView) -> None:
        """A strategy is about to decide on `view`."""
        close_ms = to_ms(slot)
        true = self._market.between(
            series.symbol, series.timeframe, close_ms - len(view) * series.timeframe.ms, close_ms
        )
        same = np.array_equal(view.data, true.data, equal_nan=True)
        self._findings.unless(
            same, "I10", f"{series.symbol} {series.timeframe} at {slot}: the window is not the market's"
        )
        self._findings.unless(
            slot <= self._clock.now(), "I10", f"{series.symbol} at {slot}: decided before the candle closed"
        )


class CheckedWindows(Windows):
    """A process's windows; every view that a strategy gets is looked at."""

    def __init__(self, seen: Callable[[Series, datetime, CandleView], None]) -> None:
        super().__init__()
        self._seen = seen

    def view(
        self, series: Series, slot: datetime, lookback: int, min_candles: int
    ) -> CandleView | NotYet | TooFew | Gap:
        view = super().view(series, slot, lookback, min_candles)
        if isinstance(view, CandleView):
            self._seen(series, slot, view)
        return view


class EvaluationCheck:
    """One evaluation per key and slot in a process; a restarted evaluator has forgotten what it did."""

    def __init__(self, findings: Findings, restarts: Callable[[str], int]) -> None:
        """`restarts`: how often the evaluator of a process has been restarted so far."""
        self._findings = findings
        self._restarts = restarts
        self._rows: dict[tuple[str, str, datetime], list[ExecutionRow]] = {}

    def executed(self, process: str, row: ExecutionRow) -> None:
        """A row written twice, because its first answer was lost, is one evaluation."""
        rows = self._rows.setdefault((process, row.evaluation_key, row.slot), [])
        if any(row is known for known in rows):
            return
        rows.append(row)
        self._findings.unless(
            len(rows) == 1 or len(rows) <= 1 + self._restarts(process),
            "I20",
            f"{row.evaluation_key} at {row.slot} was evaluated {len(rows)} times by {process}",
        )
