"""Executions and funding: order, fill, position, trade, account, risk day and events in one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid5

from msgspec.structs import replace

from core import risk
from core.errors import ImpossibleVenueData, RunnerError
from core.ids import AccountId, ClientOrderId
from core.order import Executed, Leg, Order, OrderKind, OrderStatus, transition
from core.position import (
    COST_STEP,
    FLAT,
    ZERO,
    Applied,
    Fill,
    OrderSide,
    Position,
    RoundTrip,
    apply_fill,
    apply_funding,
    carry_funding,
    is_plausible,
)
from core.protection import Protection, protection_of
from core.risk import risk_day
from core.run import margin_of
from schema.ledger.news import alert, reserved_day
from schema.ledger.payloads import fill_payload, opened_payload, plain, trade_payload
from schema.ledger.user_risk import UserRisk
from schema.ops import (
    ENDED_BY_RESTART,
    FillSettled,
    ObserveFill,
    ObserveFunding,
    OpRefused,
    closing_side,
)
from schema.records import Account, OpenPosition, protected
from schema.tx import FillRow, Tx

FUTURE_TOLERANCE = timedelta(minutes=1)
"""A venue's execution time may run this far ahead of ours; further is data that cannot be."""

_EXIT_REASONS = {Leg.EXIT: "signal", Leg.ENTRY: "signal"}


def observe_fill(tx: Tx, op: ObserveFill) -> FillSettled | OpRefused:
    """Locks in their order, repeats recognised before any arithmetic, every rule before any row."""
    op = _without_row(tx, op)
    peeked = _peek(tx, op)
    account = _lock_account(tx, op.account_id)
    days = [risk_day(op.fill.executed_at)]
    if peeked.leg is Leg.ENTRY and peeked.is_terminal:
        days.append(reserved_day(tx, peeked, tx.now()))
    user = UserRisk(tx, peeked.user_id, days=days)
    order = tx.order(peeked.client_order_id) or peeked
    held = tx.position(order.run_id) or _no_position(order, user.now)
    if tx.fill_known(op.account_id, op.symbol, op.fill.trade_id):
        return _settled(held, account, order=order, duplicate=True)
    if op.client_order_id is None and op.venue_leg is Leg.MANUAL:
        ours = _reducing(op.fill, held.position)
        if ours is None:
            return OpRefused(
                sentence=f"fill {op.fill.trade_id} is somebody else's: it closes nothing of ours"
            )
        op, order = replace(op, fill=ours), replace(order, quantity=ours.quantity)
    outdated = _outdated(op, order, held.position)
    if outdated is not None:
        return OpRefused(sentence=outdated, stale=True)
    try:
        _check(op, order, user.now)
        change = transition(order, Executed(op.fill.quantity, op.fill.price))
        applied = apply_fill(held.position, op.fill)
    except ImpossibleVenueData as error:
        return _refuse(tx, order, str(error))
    filled = change.order
    reserve_again = change.reserve_again and not _leg_reserved(tx, order)
    if change.reserve_again and not reserve_again:
        filled = replace(filled, reserved=False)
    if op.client_order_id is None:
        tx.insert_order(filled, why={})
    else:
        tx.save_order(filled)
    after = _protected(held, applied.position, order, flipped=_flipped(held.position, applied), at=user.now)
    row = FillRow(
        account_id=op.account_id,
        symbol=op.symbol,
        run_id=order.run_id,
        user_id=order.user_id,
        client_order_id=order.client_order_id,
        fill=op.fill,
        realised=applied.realised,
    )
    account = _book(tx, row, account, held, after)
    if reserve_again:
        user.state = risk.reserve_again(user.state, reserved_day(tx, order, user.now))
    _charge(user, applied, executed_at=op.fill.executed_at)
    payload = fill_payload(filled, op.fill, realised=applied.realised, open_quantity=after.position.quantity)
    tx.append_event(
        user_id=order.user_id, run_id=order.run_id, type="order_fill", at=user.now, payload=payload
    )
    if applied.round_trip is not None:
        _close_trade(tx, held, applied.round_trip, order.leg, at=user.now)
    if not after.position.is_flat:
        if held.position.is_flat or _flipped(held.position, applied):
            _tell_trade(tx, "trade.created", after, at=user.now)
        if order.leg is Leg.ENTRY and filled.status is OrderStatus.FILLED is not order.status:
            _tell_trade(tx, "trade.filled", after, at=user.now)
    user.save(tx)
    settled = _settled(after, account, order=filled, duplicate=False)
    return replace(settled, round_trip=applied.round_trip, pause=user.pause)


def observe_funding(tx: Tx, op: ObserveFunding) -> FillSettled | OpRefused:
    """FILL δ on its day, into the round trip and the account (decision 23).

    A position that has closed since `at` takes it into its next round trip; one that was flat by then takes none.
    """
    run = tx.lock_run(op.run_id)
    if run is None or run.account_id != op.account_id:
        raise RunnerError(f"funding {op.funding_id}: run {op.run_id} does not trade on this account")
    account = _lock_account(tx, op.account_id)
    user = UserRisk(tx, run.user_id, days=[risk_day(op.at)])
    held = tx.position(op.run_id)
    if held is None:
        raise RunnerError(f"funding {op.funding_id}: run {op.run_id} never had a position")
    not_held = held.position.is_flat and held.updated_at < op.at
    if not_held or tx.fill_known(op.account_id, op.symbol, funding_key(op)):
        return _settled(held, account, order=None, duplicate=True)
    if not is_plausible(op.amount) or op.at > user.now + FUTURE_TOLERANCE:
        sentence = f"funding {op.funding_id} of {op.amount} at {op.at.isoformat()} cannot be"
        payload = plain(source="venue", detail=sentence)
        tx.append_event(user_id=run.user_id, run_id=run.id, type="error", at=user.now, payload=payload)
        return OpRefused(sentence=sentence, impossible=True)
    book = carry_funding if held.position.is_flat else apply_funding
    applied = book(held.position, op.amount)
    # A flat one keeps its time: it says until when something was held.
    at = held.updated_at if held.position.is_flat else user.now
    after = replace(held, position=applied.position, updated_at=at)
    account = _book(tx, _funding_row(op, held), account, held, after)
    _charge(user, applied, executed_at=op.at)
    payload = plain(symbol=op.symbol, funding_id=op.funding_id, amount=op.amount, paid_at=op.at)
    tx.append_event(user_id=run.user_id, run_id=run.id, type="funding", at=user.now, payload=payload)
    user.save(tx)
    return replace(_settled(after, account, order=None, duplicate=False), pause=user.pause)


def exit_reason(leg: Leg) -> str:
    """Why a trade ended, told from the leg whose fill ended it."""
    return _EXIT_REASONS.get(leg, leg.value)


def _without_row(tx: Tx, op: ObserveFill) -> ObserveFill:
    """An id that looks like ours and has no row, as after a restore from a backup, is somebody else's order to us:
    what it closed of our position is adopted, what it opened shows as drift and keeps entries away."""
    if op.client_order_id is None or op.run_id is None or tx.peek_order(op.client_order_id) is not None:
        return op
    return replace(op, client_order_id=None, venue_leg=Leg.MANUAL)


def _peek(tx: Tx, op: ObserveFill) -> Order:
    """Our order, or the one that adopts what the venue did to a run's position."""
    if op.client_order_id is not None:
        order = tx.peek_order(op.client_order_id)
        if order is None:
            raise RunnerError(f"fill {op.fill.trade_id}: there is no order {op.client_order_id}")
        return order
    if op.run_id is None or op.venue_leg is None:
        raise RunnerError(f"fill {op.fill.trade_id}: it names neither an order nor a run and what was done")
    run = tx.lock_run(op.run_id)
    if run is None or run.account_id != op.account_id:
        raise RunnerError(f"fill {op.fill.trade_id}: run {op.run_id} does not trade on this account")
    held = tx.position(op.run_id)
    earlier = tx.attempts(op.run_id, op.fill.executed_at, op.venue_leg)
    return Order(
        client_order_id=adopted_id(op),
        run_id=run.id,
        user_id=run.user_id,
        account_id=op.account_id,
        symbol=op.symbol,
        slot=op.fill.executed_at,
        leg=op.venue_leg,
        attempt=len(earlier) + 1,
        side=op.fill.side,
        kind=OrderKind.MARKET,
        quantity=op.fill.quantity,
        reference_price=op.fill.price,
        reduce_only=True,
        leverage=held.leverage if held else run.settings.leverage,
        created_at=tx.now(),
        status=OrderStatus.SUBMITTED,
    )


def adopted_id(op: ObserveFill) -> ClientOrderId:
    """34 characters, a function of the execution; no id of ours starts like this with that length."""
    return ClientOrderId(f"a-{uuid5(op.account_id, f'{op.symbol}/{op.fill.trade_id}').hex}")


def _lock_account(tx: Tx, account_id: AccountId) -> Account:
    account = tx.lock_account(account_id, write=True)
    if account is None:
        raise RunnerError(f"there is no account {account_id}")
    return account


def _no_position(order: Order, now: datetime) -> OpenPosition:
    return OpenPosition(
        run_id=order.run_id,
        user_id=order.user_id,
        account_id=order.account_id,
        symbol=order.symbol,
        leverage=order.leverage,
        position=FLAT,
        updated_at=now,
    )


def _check(op: ObserveFill, order: Order, now: datetime) -> None:
    fill = op.fill
    if (order.account_id, order.symbol, order.side) != (op.account_id, op.symbol, fill.side):
        raise ImpossibleVenueData(
            f"fill {fill.trade_id}: {fill.side} {op.symbol} for a {order.side} order in {order.symbol}"
        )
    if fill.executed_at > now + FUTURE_TOLERANCE:
        raise ImpossibleVenueData(
            f"fill {fill.trade_id}: executed in the future, {fill.executed_at.isoformat()}"
        )


def _outdated(op: ObserveFill, order: Order, position: Position) -> str | None:
    """Why a paper account's fill cannot stand: the rows are its truth, and another process has moved them on.

    A restart ended what nobody had answered (decision 28); a stop or target ends the very position it was set for.
    """
    if order.is_terminal and order.reason == ENDED_BY_RESTART:
        return f"fill {op.fill.trade_id}: order {order.client_order_id} was ended by a restart"
    if op.opened_at is None:
        return None
    same = position.opened_at == op.opened_at and position.size == op.fill.quantity
    if same and not position.is_flat and op.fill.side is closing_side(position):
        return None
    return f"fill {op.fill.trade_id}: the position it would end is not there any more"


def _reducing(fill: Fill, position: Position) -> Fill | None:
    """What a foreign trade on the account took off our position. The rest of it is not ours: it shows as drift."""
    if position.is_flat or fill.side is not closing_side(position) or not fill.quantity.is_finite():
        return None
    if fill.quantity <= position.size:
        return fill
    share = (fill.commission * position.size / fill.quantity).quantize(COST_STEP)
    return replace(fill, quantity=position.size, commission=share)


def _refuse(tx: Tx, order: Order, sentence: str) -> OpRefused:
    if tx.peek_order(order.client_order_id) is not None:
        alert(tx, order, sentence)
    else:
        payload = plain(source="venue", detail=sentence)
        tx.append_event(
            user_id=order.user_id, run_id=order.run_id, type="error", at=tx.now(), payload=payload
        )
    return OpRefused(sentence=sentence, impossible=True)


def _leg_reserved(tx: Tx, order: Order) -> bool:
    """Whether another attempt of the leg holds its reservation, so that the leg counts already."""
    return any(attempt.reserved for attempt in tx.attempts(order.run_id, order.slot, order.leg))


def _flipped(before: Position, applied: Applied) -> bool:
    return applied.round_trip is not None and not before.is_flat and not applied.position.is_flat


def _protected(
    held: OpenPosition, position: Position, order: Order, *, flipped: bool, at: datetime
) -> OpenPosition:
    """The position with leverage and protection: an entry brings its own, being flat has none."""
    after = replace(held, position=position, updated_at=at)
    opened = not position.is_flat and (held.position.is_flat or flipped)
    if position.is_flat:
        return protected(after, Protection())
    if order.leg is Leg.ENTRY and (opened or order.filled_quantity == 0):
        after = protected(after, protection_of(order, position.entry_price))
    elif opened:
        after = protected(after, Protection())
    return replace(after, leverage=order.leverage) if opened else after


def _book(tx: Tx, row: FillRow, account: Account, held: OpenPosition, after: OpenPosition) -> Account:
    """Fill, position and money. A fill that slipped in since it was asked for undoes the operation."""
    if not tx.insert_fill(row):
        raise RunnerError(f"fill {row.fill.trade_id} was settled at the same moment")
    tx.save_position(after)
    freed = margin_of(held.position.open_cost, held.leverage)
    bound = margin_of(after.position.open_cost, after.leverage)
    booked = replace(
        account,
        balance=account.balance + row.realised,
        used_margin=account.used_margin + bound - freed,
    )
    if booked != account:
        tx.save_account_money(booked, at=row.fill.executed_at)
    return booked


def _charge(user: UserRisk, applied: Applied, *, executed_at: datetime) -> None:
    if applied.realised:
        user.take(
            risk.fill(user.state, user.limits, delta=applied.realised, executed_at=executed_at, now=user.now)
        )
    if applied.round_trip is not None:
        user.take(risk.round_trip(user.state, user.limits, pnl=applied.round_trip.pnl, now=user.now))


def _close_trade(tx: Tx, held: OpenPosition, trip: RoundTrip, leg: Leg, *, at: datetime) -> None:
    reason = exit_reason(leg)
    tx.insert_trade(held, trip, exit_reason=reason)
    tx.append_event(
        user_id=held.user_id,
        run_id=held.run_id,
        type="trade.closed",
        at=at,
        payload=trade_payload(held.symbol, trip, exit_reason=reason),
    )


def _tell_trade(tx: Tx, type: str, held: OpenPosition, *, at: datetime) -> None:
    """How far the round trip is that `trade.closed` will end."""
    payload = opened_payload(held)
    tx.append_event(user_id=held.user_id, run_id=held.run_id, type=type, at=at, payload=payload)


def funding_key(op: ObserveFunding) -> str:
    """Funding shares the fills' uniqueness; no venue's trade id looks like this."""
    return f"funding:{op.funding_id}"


def _funding_row(op: ObserveFunding, held: OpenPosition) -> FillRow:
    position = held.position
    return FillRow(
        account_id=op.account_id,
        symbol=op.symbol,
        run_id=op.run_id,
        user_id=held.user_id,
        client_order_id=None,
        fill=Fill(
            trade_id=funding_key(op),
            side=OrderSide.BUY if position.quantity > 0 else OrderSide.SELL,
            quantity=position.size,
            price=position.entry_price,
            commission=ZERO,
            executed_at=op.at,
        ),
        realised=op.amount,
    )


def _settled(held: OpenPosition, account: Account, *, order: Order | None, duplicate: bool) -> FillSettled:
    return FillSettled(
        run_id=held.run_id,
        user_id=held.user_id,
        duplicate=duplicate,
        position=held.position,
        account=account,
        order=order,
        wanted=held.protection,
    )
