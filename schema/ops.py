"""What the risk ledger asks the store to commit, and what it is told back. One operation, one savepoint.

Every operation is idempotent: told twice it changes nothing the second time. Rules are `core`'s; the store
loads rows, calls them, writes rows and events. `now` is the store's market time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from core.errors import Reason
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Leg, Order, OrderEvent
from core.position import Fill, OrderSide, Position, RoundTrip
from core.protection import Protection
from core.risk import PauseStarted, RiskLimits, RiskState
from schema.records import Account, OpenPosition

ENDED_BY_RESTART = "restart"
"""Reason of orders that a paper account ended when it was rebuilt from its rows."""


REQUEST_ID: Final = "request_id"
"""In an order's `why`."""


class ProposeIntent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Commit an order before the venue hears of it.

    In one transaction, in lock order lease, run, account and switch (share), user risk, order, event counter:
    lease held under `order.fence` and unexpired; run active (an exit with attempt > 1, and a flatten: any
    status); kill switches off (an operator's flatten passes, an owner's does not); now ≤ `deadline`; for entries the
    risk gate (attempt 1: all five, then RESERVE; later attempts: gates 1–2, the reservation moves from the attempt
    before); no order of unknown outcome on (account, symbol) for entries; no other non-terminal order on (run, slot,
    leg); exits reduce-only and at most the run's open quantity. Then the order row and event `order_submit`.
    `why` is stored with the order: signal, indicators, verdict of each gate. `venue_ahead`: how far the venue's
    clock, by which it is signed, runs ahead of market time.
    """

    order: Order
    deadline: datetime
    why: Mapping[str, Any] = {}
    venue_ahead: timedelta = timedelta(0)
    by_operator: bool = False

    @property
    def passes_switch(self) -> bool:
        return self.by_operator and self.order.leg is Leg.FLATTEN

    @property
    def request_id(self) -> str | None:
        """Of the operator's request it comes of."""
        return self.why.get(REQUEST_ID)


class ObserveOrder(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """News of an order's fate (needs no lease). `no_further_attempt` releases what was reserved for nothing."""

    client_order_id: ClientOrderId
    event: OrderEvent
    no_further_attempt: bool = True


class EndLeg(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """No further attempt will be made: RELEASE, if the order is terminal, unfilled and still reserved."""

    client_order_id: ClientOrderId


class ObserveFill(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One execution: order, fill, position, trade, account, risk day and events in one transaction.

    `client_order_id` names our order; None: the venue's own doing on `run_id`'s position (`venue_leg` says
    what), adopted as an order row of its own. Repeats by (account, symbol, trade id) change nothing. The first
    fill of an entry sets the position's stop and target (`core.protection.protection_of`); flat clears them.
        `opened_at`: when the position that the venue ended was opened, where the venue is a paper account.
    """

    account_id: AccountId
    symbol: str
    fill: Fill
    client_order_id: ClientOrderId | None = None
    run_id: RunId | None = None
    venue_leg: Leg | None = None
    opened_at: datetime | None = None


class ObserveFunding(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Funding of a run's position: FILL δ on its day, into the round trip and the account (decision 23).

    `funding_id` deduplicates per (account, symbol). `amount` USDT, negative when paid.
    """

    account_id: AccountId
    symbol: str
    run_id: RunId
    funding_id: str
    amount: Decimal
    at: datetime


class ObservePosition(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the venue holds in a run's symbol, once its executions are settled: event `drift` where that changes.

    `quantity` signed, base units; foreign orders on the account make it differ from the run's own.
    """

    account_id: AccountId
    symbol: str
    run_id: RunId
    quantity: Decimal


class ObserveBalance(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The wallet of a connection as its venue has it, USDT, once all that was executed by then is settled."""

    account_id: AccountId
    user_id: UserId
    balance: Decimal


class ObserveProtection(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The stops and target that stand at the venue for a run's position; event `protection` where that changes.

    `trail`: the trailing stop in the venue's own measure, percent or distance.

    `unprotected_s`: how long the position had been without the stop it wants, market seconds. `failure`: it could not
    be placed; the position is about to be closed.
    """

    account_id: AccountId
    symbol: str
    run_id: RunId
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trail: Decimal | None = None
    unprotected_s: float = 0.0
    failure: str | None = None


class ObserveTrail(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The best price of a paper position's trailing stop, as of the candle that closed at `at`.

    Only of the very position opened at `opened_at`, and only a better one: the stop never loosens.
    """

    account_id: AccountId
    symbol: str
    run_id: RunId
    opened_at: datetime
    best: Decimal
    at: datetime


class SimulateTrade(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """SIMULATE δ on a user's risk day; never gated; admin endpoint. With an `id` it is booked once, however often."""

    user_id: UserId
    delta: Decimal
    id: UUID | None = None
    request_id: str | None = None


class ExpirePause(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """EXPIRE, written once the pause has run out; event `risk_block` with action `expired`."""

    user_id: UserId


class ResumeUser(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An administrator ends a user's pause, as if it had run out now; event `risk_block` with action `resumed`.

    Gate 2 stays: a day's loss is lifted by no resume.
    """

    user_id: UserId
    by: UserId
    request_id: str | None = None


LedgerOp = (
    ProposeIntent
    | ObserveOrder
    | EndLeg
    | ObserveFill
    | ObserveFunding
    | ObserveBalance
    | ObservePosition
    | ObserveProtection
    | ObserveTrail
    | SimulateTrade
    | ExpirePause
    | ResumeUser
)


class IntentCommitted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The order as stored: fence, sign_ts and created_at set."""

    order: Order


class IntentRefused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Nothing was stored but, where the refusal is the risk gate's, event `risk_block` and its pause."""

    order: Order
    reason: Reason
    pause: PauseStarted | None = None


class OrderMoved(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The order after news; `contradiction` is an alert, with the order as it stands."""

    order: Order
    changed: bool
    contradiction: str | None = None


class FillSettled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a fill or funding left behind. `duplicate`: it had been settled before; the rest is as stored."""

    run_id: RunId
    user_id: UserId
    duplicate: bool
    position: Position
    account: Account
    order: Order | None = None
    wanted: Protection = Protection()
    round_trip: RoundTrip | None = None
    pause: PauseStarted | None = None


class PositionChecked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The position after it was compared with the venue; `changed`: news, and an event was written."""

    run_id: RunId
    held: OpenPosition
    changed: bool


class BalanceChecked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The account after its venue was asked; `changed`: money came, went, or was booked there otherwise than here."""

    account: Account
    changed: bool


class RiskSettled(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    user_id: UserId
    state: RiskState
    limits: RiskLimits
    pause: PauseStarted | None = None


class OpRefused(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The operation cannot be: unknown order, impossible venue data. Its savepoint was rolled back.

    `stale`: a paper account said what its row contradicts, because another process has traded on it since.
    """

    sentence: str
    impossible: bool = False
    stale: bool = False


LedgerResult = (
    IntentCommitted
    | IntentRefused
    | OrderMoved
    | FillSettled
    | PositionChecked
    | BalanceChecked
    | RiskSettled
    | OpRefused
)

# Looked up once: an enum's member costs more than the comparison it is for.
_BUY, _SELL = OrderSide.BUY, OrderSide.SELL


def closing_side(position: Position) -> OrderSide:
    """The side of an order that reduces `position`."""
    return _SELL if position.quantity > 0 else _BUY
