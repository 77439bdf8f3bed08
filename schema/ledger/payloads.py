"""What events say: allow-listed plain fields, money as decimal strings, times as ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from core.errors import Reason
from core.ids import StrategyId, UserId
from core.order import Order
from core.position import Fill, RoundTrip
from core.risk import PauseStarted
from core.run import RunSettings
from core.strategy_warning import StrategyWarning
from schema.records import OpenPosition, TickRow

PLATFORM_USER = UserId("platform")
"""Whose events concern the whole installation, like the global kill switch."""

WARNING = "strategy.warning"
"""Type of the events that warn authors."""

Plain = str | int | float | bool | None


def plain(**fields: Plain | Decimal | datetime) -> dict[str, Any]:
    """The fields as JSON values; those that are None are left out."""
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def order_payload(order: Order) -> dict[str, Any]:
    return plain(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id,
        symbol=order.symbol,
        slot=order.slot,
        leg=order.leg.value,
        attempt=order.attempt,
        side=order.side.value,
        kind=order.kind.value,
        quantity=order.quantity,
        price=order.price,
        reference_price=order.reference_price,
        reduce_only=order.reduce_only,
        leverage=order.leverage,
        stop_loss=order.stop_loss,
        take_profit=order.take_profit,
        status=order.status.value,
        filled_quantity=order.filled_quantity,
        reason=order.reason,
        reserved=order.reserved,
    )


def fill_payload(order: Order, fill: Fill, *, realised: Decimal, open_quantity: Decimal) -> dict[str, Any]:
    return plain(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        leg=order.leg.value,
        status=order.status.value,
        trade_id=fill.trade_id,
        side=fill.side.value,
        quantity=fill.quantity,
        price=fill.price,
        commission=fill.commission,
        executed_at=fill.executed_at,
        realised=realised,
        open_quantity=open_quantity,
    )


def opened_payload(held: OpenPosition) -> dict[str, Any]:
    """A round trip that has begun: what is open, at the average price so far."""
    position = held.position
    side = None if position.side is None else position.side.value
    return plain(
        symbol=held.symbol,
        side=side,
        quantity=position.size,
        entry_time=position.opened_at,
        entry_price=position.entry_price,
        leverage=held.leverage,
        stop_loss=held.stop_loss,
        take_profit=held.take_profit,
    )


def trade_payload(symbol: str, trip: RoundTrip, *, exit_reason: str) -> dict[str, Any]:
    return plain(
        symbol=symbol,
        side=trip.side.value,
        quantity=trip.quantity,
        entry_time=trip.entry_time,
        entry_price=trip.entry_price,
        exit_time=trip.exit_time,
        exit_price=trip.exit_price,
        fees=trip.fees,
        funding=trip.funding,
        pnl=trip.pnl,
        exit_reason=exit_reason,
    )


def settings_payload(settings: RunSettings) -> dict[str, Any]:
    return plain(
        direction=settings.direction.value,
        leverage=settings.leverage,
        margin_mode=settings.margin_mode,
        position_mode=settings.position_mode,
        capital=settings.capital,
        size_by=settings.size_by.value,
        order_size_pct=settings.order_size_pct,
        risk_pct=settings.risk_pct,
        take_profit_pct=settings.take_profit_pct,
        stop_loss_pct=settings.stop_loss_pct,
        trailing_callback_pct=settings.trailing_callback_pct,
        trailing_activation_pct=settings.trailing_activation_pct,
        missing_stop=settings.missing_stop.value,
    )


def blocked_payload(order: Order, reason: Reason) -> dict[str, Any]:
    return plain(
        action="blocked",
        reason=reason.value,
        symbol=order.symbol,
        slot=order.slot,
        leg=order.leg.value,
        attempt=order.attempt,
    )


def pause_payload(pause: PauseStarted, request_id: str | None) -> dict[str, Any]:
    return plain(action="paused", reason=pause.reason.value, until=pause.until, request_id=request_id)


def signal_payload(tick: TickRow, symbol: str, strategy_id: StrategyId, strategy: str) -> Mapping[str, Any]:
    """Event `signal`: what the strategy said and what became of the tick."""
    return plain(
        signal=tick.signal,
        symbol=symbol,
        strategy_id=str(strategy_id),
        strategy=strategy,
        score=tick.score,
        said=None if tick.said is None else msgspec.to_builtins(tick.said),
        slot=tick.slot,
        status=tick.status.value,
        reason=tick.reason,
        request_id=tick.request_id,
    )


def switch_payload(*, on: bool, reason: str, account_id: str | None) -> Mapping[str, Any]:
    """Event `risk_block` of a kill switch; without an account it is the whole installation's."""
    return plain(action="kill_switch_on" if on else "kill_switch_off", reason=reason, account_id=account_id)


def _plain(value: Plain | Decimal | datetime) -> Plain:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def warning_payload(warning: StrategyWarning) -> dict[str, Any]:
    about = plain(
        strategy_id=str(warning.strategy_id),
        version=warning.version,
        kind=warning.kind.value,
        slot=warning.slot,
    )
    return about | dict(warning.detail)
