"""Built-in strategies that look at their own candles alone, and so have an array form."""

from __future__ import annotations

from core.strategies import TEMPLATES
from core.strategy import SeriesStrategy

ARRAY_TEMPLATES = {
    name: strategy for name, strategy in TEMPLATES.items() if isinstance(strategy, SeriesStrategy)
}
