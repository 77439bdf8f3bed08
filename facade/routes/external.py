"""Signals that come from outside, to a strategy of the caller's own."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from core.external_signal import ExternalSignal, SentSignal
from core.ids import StrategyId
from core.signal import Action, BadSignal, read_signal
from core.strategies.external import is_external
from facade.access import Access
from facade.bridge import (
    STORE_TIMEOUT_S,
    Accepted,
    CameTooLate,
    KeyTaken,
    NewSignal,
    NoSuchStrategy,
    Receipt,
    TooFast,
)
from facade.cursor import cursor_text, read_cursor
from facade.endpoint import Call, route
from facade.errors import ApiError, bad_field, not_found, too_many
from facade.moments import sane
from facade.operation import OperationRoute
from facade.routes.strategies import own_strategy
from facade.schemas.external import (
    SendSignal,
    SentAnswer,
    SentSignalsAnswer,
    SentSignalShown,
    SignalFields,
)
from facade.schemas.form import Page

CLOSE: Final = "close"
CLOSES: Final = frozenset({CLOSE, "flat"})
MAX_PRICE: Final = Decimal(10) ** 15
MAX_CONTENT: Final = 10_000
"""The database keeps no more of a signal."""


async def send(call: Call, body: SendSignal) -> SentAnswer:
    """Send a signal to a strategy of kind external; each of its active runs acts upon it through the same gates."""
    sent, strategy_id = sent_signal(body, body.expires_at), await external_strategy(call)
    new = NewSignal(
        id=call.new_id(),
        strategy_id=strategy_id,
        user_id=call.user_id,
        key=body.idempotency_key,
        received_at=call.services.runner.market_now(),
        sent=sent,
    )
    accepted = accepted_signal(await call.bridge.ask(lambda store: store.receive_signal(new)))
    call.services.runner.signal_sent()
    return SentAnswer(signal=signal_shown(accepted.signal), repeated=accepted.repeated)


async def list_sent(call: Call, query: Page) -> SentSignalsAnswer:
    """Signals that were sent to a strategy of kind external."""
    place, limit, user_id = read_cursor(query.cursor), query.limit, call.user_id
    strategy_id, external = await external_strategy(call), call.services.runner.external
    found = await call.bridge.call(
        lambda: external.sent_to(
            strategy_id, user_id, limit=limit + 1, before=None if place is None else place[0]
        ),
        timeout_s=STORE_TIMEOUT_S,
    )
    page = found[:limit]
    return SentSignalsAnswer(
        signals=tuple(signal_shown(each) for each in page),
        next_cursor=cursor_text(page[-1].slot, page[-1].id) if len(found) > limit else None,
    )


async def external_strategy(call: Call) -> StrategyId:
    """The caller's own strategy in the path; 409 for one that evaluates candles."""
    strategy = await own_strategy(call)
    if not is_external(strategy):
        raise ApiError(
            409, f"This strategy is of kind {strategy.kind}; it takes no signals.", code="NOT_EXTERNAL"
        )
    return strategy.id


def accepted_signal(receipt: Receipt) -> Accepted:
    match receipt:
        case Accepted():
            return receipt
        case KeyTaken():
            raise ApiError(
                409,
                "Another signal was sent to this strategy under this idempotencyKey.",
                code="IDEMPOTENCY_KEY_REUSED",
            )
        case CameTooLate():
            raise ApiError(422, "The signal had expired when it came.", code="SIGNAL_EXPIRED")
        case TooFast():
            raise too_many("A strategy takes one signal a second.", 1)
        case NoSuchStrategy():
            raise not_found()


def sent_signal(body: SignalFields, expires_at: datetime | None = None) -> SentSignal:
    closes = body.action.strip().lower() in CLOSES
    try:
        signal = read_signal(
            {
                "action": CLOSE if closes else body.action,
                "stop_loss": body.stop_loss,
                "take_profit": body.take_profit,
                "amount": body.amount,
                "size_factor": body.size_factor,
                "leverage": body.leverage,
                "score": body.score,
                "confidence": body.confidence,
                "reason": body.reason,
            }
        )
    except BadSignal as bad:
        raise ApiError(
            400, str(bad).replace("The strategy answered", "The signal has"), code="BAD_SIGNAL"
        ) from bad
    if signal.action is Action.HOLD:
        raise bad_field("action", "says nothing: hold is no signal")
    lowest, highest = _price("minPrice", body.min_price), _price("maxPrice", body.max_price)
    if lowest is not None and highest is not None and lowest > highest:
        raise bad_field("minPrice", "lies above maxPrice")
    sane("expiresAt", expires_at)
    sent = SentSignal(
        signal=signal, min_price=lowest, max_price=highest, expires_at=expires_at, closes=closes
    )
    if len(sent.content) > MAX_CONTENT:
        raise ApiError(400, "The signal is too long.", code="BAD_SIGNAL")
    return sent


def _price(field: str, price: Decimal | None) -> Decimal | None:
    if price is not None and not (price.is_finite() and 0 < price <= MAX_PRICE):
        raise bad_field(field, f"must lie above 0 and not above {MAX_PRICE:.0e}")
    return price


def signal_shown(signal: ExternalSignal) -> SentSignalShown:
    sent = signal.sent
    return SentSignalShown(
        id=signal.id,
        strategy_id=signal.strategy_id,
        idempotency_key=signal.key,
        action=CLOSE if sent.closes else sent.signal.action.value,
        received_at=signal.received_at,
        slot=signal.slot,
        expires_at=signal.expires_at,
        min_price=sent.min_price,
        max_price=sent.max_price,
        reason=sent.signal.reason,
        runs=signal.runs,
    )


ROUTES: list[OperationRoute] = [
    route("POST", "/api/strategies/{id}/signals", send, Access.USER, status=202, needs_runner=True),
    route("GET", "/api/strategies/{id}/signals", list_sent, Access.USER),
]
