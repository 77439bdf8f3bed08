"""From a strategy and what is asked of it to what is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from actors.backtest import BacktestRequest
from actors.backtest_result import declared_by
from actors.sandbox.host import Limits
from bin.strategy_file import StrategyFile
from core.risk import RiskLimits
from core.run import RunSettings
from core.strategy import strategy_parameters
from core.symbols import parse_symbol
from core.timeframe import Timeframe
from exchanges.paper.terms import Terms


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says beside the strategy and how its run trades."""

    symbol: str
    timeframe: str
    parameters: Mapping[str, str]
    span: tuple[datetime | None, datetime | None]
    limits: RiskLimits | None
    taker_fee_pct: Decimal
    slippage_pct: Decimal
    sandbox: Limits


def request_of(
    strategy: StrategyFile, asked: Asked, settings: RunSettings, *, partly: bool = False
) -> BacktestRequest:
    """With all parameters of the strategy, checked; `partly`: those given, as others follow. Raises RunnerError."""
    start, end = asked.span
    request = BacktestRequest(
        template=strategy.template,
        kind=strategy.kind,
        source=strategy.text,
        symbol=parse_symbol(asked.symbol),
        timeframe=Timeframe.parse(asked.timeframe),
        parameters={**strategy.parameters, **asked.parameters},
        start=start,
        end=end,
        settings=settings,
        limits=asked.limits,
        taker_fee_pct=asked.taker_fee_pct,
        maker_fee_pct=min(asked.taker_fee_pct, Terms().maker_fee_pct),
        slippage_pct=asked.slippage_pct,
        sandbox=asked.sandbox,
    )
    if partly:
        return request
    parameters = strategy_parameters(declared_by(request), request.parameters)
    return msgspec.structs.replace(request, parameters=dict(parameters))
