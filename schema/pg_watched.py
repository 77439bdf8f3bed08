"""Which candles and evaluations users may hear of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from core.ids import RunId, StrategyId, UserId
from core.market import Market, Series
from core.timeframe import Timeframe
from schema.pg_database import Connection
from schema.pg_rows import many

MAX_WATCHED: Final = 20_000
"""Of all readers of a process together; runs beyond are told of what is stored alone."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy that an active run of the user follows, or, `run_id` None, one of their own."""

    user_id: UserId
    run_id: RunId | None
    strategy_id: StrategyId
    series: Series


def watched(connection: Connection, user_ids: Sequence[UserId]) -> list[Watched]:
    named = {"user_ids": list(user_ids), "limit": MAX_WATCHED}
    return [
        Watched(
            user_id=row["user_id"],
            run_id=row["run_id"],
            strategy_id=row["strategy_id"],
            series=Series(
                venue=row["venue"],
                market=Market(row["market"]),
                symbol=row["symbol"],
                timeframe=Timeframe.parse(row["timeframe"]),
            ),
        )
        for row in many(connection, "watched_by", named)
    ]
