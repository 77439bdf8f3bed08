"""How the parts of results are called that are too large for their row."""

from __future__ import annotations

from typing import Final

REPORT: Final = "report.html"
TRADES: Final = "trades.json"
SIGNALS: Final = "signals.json"
EQUITY: Final = "equity.json"
CHART: Final = "chart.json"
