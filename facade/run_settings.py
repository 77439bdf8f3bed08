"""What a request says about how a run trades, as settings: checked, and over what stays."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from core.position import ZERO
from core.protection import (
    CALLBACK_STEP_PCT,
    LEAST_CALLBACK_PCT,
    MOST_ACTIVATION_PCT,
    MOST_CALLBACK_PCT,
    is_callback,
)
from core.run import RunSettings, SizeBy
from facade.decoding import within
from facade.errors import bad_field
from facade.schemas.trading import TradingFields

T = TypeVar("T")

MAX_CAPITAL: Final = 1_000_000_000
SMALLEST: Final = Decimal("0.0001")


def settings_of(
    body: TradingFields,
    base: RunSettings,
    *,
    capital: Decimal | UnsetType = UNSET,
    capital_field: str = "capital",
    risk_pct: Decimal | UnsetType | None = UNSET,
) -> RunSettings:
    """`base` with what the request says. ApiError 400 with the field for what cannot be.

    `risk_pct`: an entry loses that share of the capital when its stop is touched; None sizes by `order_size_pct`.
    """
    settings = replace(
        base,
        direction=_or(body.direction, base.direction),
        leverage=_or(body.leverage, base.leverage),
        margin_mode=_or(body.margin_mode, base.margin_mode),
        position_mode=_or(body.position_mode, base.position_mode),
        order_size_pct=_or(_checked("orderSizePct", body.order_size_pct, 100), base.order_size_pct),
        capital=_or(_checked(capital_field, capital, MAX_CAPITAL), base.capital),
        take_profit_pct=_or(_checked("takeProfitPct", body.take_profit_pct, 1_000), base.take_profit_pct),
        stop_loss_pct=_or(_checked("stopLossPct", body.stop_loss_pct, 100), base.stop_loss_pct),
        trailing_callback_pct=_callback(body, base),
        trailing_activation_pct=_activation(body, base),
        missing_stop=_or(body.missing_stop, base.missing_stop),
    )
    if not isinstance(risk_pct, UnsetType):
        _checked("riskPct", risk_pct, 100)
        by = SizeBy.PERCENT if risk_pct is None else SizeBy.RISK
        settings = replace(settings, risk_pct=risk_pct, size_by=by)
    if settings.size_by is SizeBy.RISK and settings.stop_loss_pct is None:
        raise bad_field("riskPct", "needs stopLossPct: the size follows from the distance to the stop")
    return settings


def _callback(body: TradingFields, base: RunSettings) -> Decimal | None:
    percent = _or(body.trailing_callback_pct, base.trailing_callback_pct)
    if percent is not None and not is_callback(percent):
        bounds = f"{LEAST_CALLBACK_PCT} to {MOST_CALLBACK_PCT} in steps of {CALLBACK_STEP_PCT}"
        raise bad_field("trailingCallbackPct", f"must lie in {bounds}")
    return percent


def _activation(body: TradingFields, base: RunSettings) -> Decimal:
    percent = body.trailing_activation_pct
    trails = _or(body.trailing_callback_pct, base.trailing_callback_pct) is not None
    if isinstance(percent, UnsetType):
        return base.trailing_activation_pct if trails else ZERO
    if not trails:
        raise bad_field(
            "trailingActivationPct", "says when a trailing stop begins: it needs trailingCallbackPct"
        )
    return within("trailingActivationPct", percent, 0, MOST_ACTIVATION_PCT)


def _or(value: T | UnsetType, default: T) -> T:
    return default if isinstance(value, UnsetType) else value


def _checked(field: str, value: T, most: int) -> T:
    if isinstance(value, Decimal):
        within(field, value, SMALLEST, most)
    return value
