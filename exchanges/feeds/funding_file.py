"""Reads settled funding rates: `funding_time, symbol, funding_rate`, or the archive's own columns."""

from __future__ import annotations

import csv
import io
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

from core.timeframe import from_ms
from exchanges.feeds.base import FundingRate
from exchanges.feeds.candle_file import CandleFileError, content

# The largest rate a venue has capped funding at is a few percent; a whole is no rate.
_MAX_RATE: Final = Decimal(1)
_TIME: Final = ("funding_time", "calc_time")
_RATE: Final = ("funding_rate", "last_funding_rate")


def read_funding_file(path: Path) -> tuple[FundingRate, ...]:
    """Rates oldest first. Raises CandleFileError naming the line that is none."""
    reader = csv.DictReader(io.StringIO(content(path).decode("utf-8", "replace")))
    names = reader.fieldnames or ()
    at_name = next((name for name in _TIME if name in names), None)
    rate_name = next((name for name in _RATE if name in names), None)
    if at_name is None or rate_name is None:
        raise CandleFileError(path, "the header lacks funding_time or funding_rate", 1)
    rates: list[FundingRate] = []
    for line, row in enumerate(reader, start=2):
        try:
            rate = FundingRate(at=from_ms(int(row[at_name])), rate=Decimal(row[rate_name]))
        except (TypeError, ValueError, OverflowError, InvalidOperation) as error:
            raise CandleFileError(path, "it is no time and rate", line) from error
        if not rate.rate.is_finite() or abs(rate.rate) >= _MAX_RATE:
            raise CandleFileError(path, f"a funding rate cannot be {rate.rate}", line)
        if rates and rate.at <= rates[-1].at:
            raise CandleFileError(path, "its time is not after the one before", line)
        rates.append(rate)
    return tuple(rates)
