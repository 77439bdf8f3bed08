"""Orders: committed under a lease before they are sent, sent once, resolved, within bounds (I1–I4, I8, I9, I15)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from actors.simulation.checks.findings import Findings
from actors.simulation.checks.position import PlainPosition
from core.clock import Clock
from core.ids import AccountId, ClientOrderId, RunId
from core.market import SymbolRules
from core.order import Leg, Order, OrderStatus
from core.run import Run
from exchanges.base import OrderReport
from schema.records import Account, AccountKind

ENTRY_WINDOW = timedelta(seconds=30)
SILENCE_S = 1.0
"""How long ago the re-read before the first byte may be (I8)."""
RESOLVED_S = 60.0
MOST_OWED_S = 15.0
"""Beside the 60 s: the receive window and the two looks 5 s apart that make an absence final (invariants §4)."""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    at_s: float
    process: str


class OrderCheck:
    """`holds`: whether (run, fence) is the live lease, by the model of leases."""

    def __init__(
        self,
        findings: Findings,
        clock: Clock,
        *,
        runs: Mapping[RunId, Run],
        accounts: Mapping[AccountId, Account],
        rules: Mapping[str, SymbolRules],
        holds: Callable[[RunId, int], bool],
    ) -> None:
        self._findings = findings
        self._clock = clock
        self._runs = runs
        self._accounts = accounts
        self._rules = rules
        self._holds = holds
        self.orders: dict[ClientOrderId, Order] = {}
        self.positions: dict[RunId, PlainPosition] = {run: PlainPosition() for run in runs}
        self.unknown: dict[ClientOrderId, float] = {}
        self._live: dict[tuple[RunId, datetime, Leg], ClientOrderId] = {}
        self._permitted: dict[ClientOrderId, Sent] = {}
        self._sent: dict[ClientOrderId, Sent] = {}
        self.taken: dict[ClientOrderId, int] = {}
        self._entered: dict[tuple[RunId, datetime], ClientOrderId] = {}
        self._off: dict[AccountId | None, float] = {}

    # -- the kill switch

    def switched(self, on: bool, account: AccountId | None) -> None:
        if on:
            self._off.setdefault(account, self._clock.monotonic())
        else:
            self._off.pop(account, None)

    def _off_since(self, account: AccountId) -> float | None:
        return min((self._off[each] for each in (None, account) if each in self._off), default=None)

    # -- commits

    def committed(self, order: Order) -> None:
        """A new intent stands in the store."""
        what, now = f"order {order.client_order_id}", self._clock.now()
        unless = self._findings.unless
        unless(
            self._holds(order.run_id, order.fence),
            "I5",
            f"{what}: committed under fence {order.fence}, not held",
        )
        unless(self._off_since(order.account_id) is None, "I8", f"{what}: committed under the kill switch")
        key = (order.run_id, order.slot, order.leg)
        live = self._live.get(key)
        unless(live is None, "I1", f"{what}: {live} of the same leg is still live")
        unless(
            order.sign_ts is not None and order.fence > 0, "I2", f"{what}: without fence or time of signing"
        )
        unless(order.client_order_id not in self.orders, "I1", f"{what}: its id was used before")
        self._bounds(order, what)
        run = self._runs[order.run_id]
        if order.leg is Leg.ENTRY:
            unless(now <= order.slot + ENTRY_WINDOW, "I9", f"{what}: a late entry for {order.slot}")
            blocking = [
                each
                for each in self.unknown
                if (self.orders[each].account_id, self.orders[each].symbol)
                == (order.account_id, order.symbol)
            ]
            unless(not blocking, "I4", f"{what}: an entry while {blocking} is unknown")
        elif order.attempt == 1 and order.leg is Leg.EXIT:
            limit = order.slot + run.strategy.timeframe.delta
            unless(now <= limit, "I9", f"{what}: a late first exit for {order.slot}")
        self.orders[order.client_order_id] = order
        self._live[key] = order.client_order_id

    def _bounds(self, order: Order, what: str) -> None:
        unless, rules = self._findings.unless, self._rules[order.symbol]
        held = self.positions[order.run_id].quantity
        account, run = self._accounts[order.account_id], self._runs[order.run_id]
        unless(order.symbol == run.strategy.symbol, "I15", f"{what}: {order.symbol} is not the run's symbol")
        unless(
            1 <= order.leverage <= min(account.max_leverage, max(1, run.settings.leverage)),
            "I15",
            f"{what}: leverage {order.leverage}",
        )
        unless(
            order.quantity % rules.market_step_size == 0, "I15", f"{what}: {order.quantity} is no whole step"
        )
        if order.leg is Leg.ENTRY:
            unless(not order.reduce_only and held == 0, "I15", f"{what}: an entry on top of {float(held)}")
        else:
            reduces = held * order.side.sign < 0 and order.quantity <= abs(held)
            unless(
                order.reduce_only and reduces,
                "I15",
                f"{what}: an exit of {order.quantity} from {float(held)}",
            )

    def stored(self, order: Order) -> None:
        """An order's row has changed."""
        before = self.orders.get(order.client_order_id)
        self.orders[order.client_order_id] = order
        if before is not None and before.is_terminal and order.status is not before.status:
            self._findings.broken(
                "I4", f"order {order.client_order_id}: went from {before.status} to {order.status}"
            )
        if order.status is OrderStatus.UNKNOWN:
            self.unknown.setdefault(order.client_order_id, self._clock.monotonic())
        else:
            self.unknown.pop(order.client_order_id, None)
        key = (order.run_id, order.slot, order.leg)
        if order.is_terminal and self._live.get(key) == order.client_order_id:
            del self._live[key]
        self._findings.unless(
            order.filled_quantity <= order.quantity, "I15", f"order {order.client_order_id}: overfilled"
        )

    # -- on the way to the venue

    def permitted(self, process: str, order: ClientOrderId) -> None:
        row = self.orders.get(order)
        self._findings.unless(
            row is not None and self._holds(row.run_id, row.fence),
            "I5",
            f"order {order}: may be sent by {process} under a fence that is not held",
        )
        self._permitted[order] = Sent(at_s=self._clock.monotonic(), process=process)

    def sending(self, order: Order, process: str) -> None:
        """The first byte of an order leaves a process."""
        what, now_s = f"order {order.client_order_id}", self._clock.monotonic()
        unless = self._findings.unless
        row = self.orders.get(order.client_order_id)
        unless(row is not None, "I2", f"{what}: sent without a committed intent")
        if row is not None:
            same = (row.fence, row.sign_ts, row.side, row.quantity, row.symbol) == (
                order.fence,
                order.sign_ts,
                order.side,
                order.quantity,
                order.symbol,
            )
            unless(same, "I2", f"{what}: sent otherwise than committed")
        earlier = self._sent.get(order.client_order_id)
        unless(earlier is None, "I4", f"{what}: sent again by {process} after {earlier and earlier.process}")
        self._sent[order.client_order_id] = Sent(at_s=now_s, process=process)
        asked = self._permitted.get(order.client_order_id)
        unless(
            asked is not None and asked.process == process and now_s - asked.at_s <= SILENCE_S,
            "I8",
            f"{what}: sent by {process} without a re-read in the last second",
        )
        off = self._off_since(order.account_id)
        unless(
            off is None or now_s - off <= SILENCE_S, "I8", f"{what}: sent {SILENCE_S} s after the kill switch"
        )

    def sent_by(self, process: str) -> list[Order]:
        """The rows of what a process has sent."""
        return [self.orders[each] for each, sent in self._sent.items() if sent.process == process]

    def arrived(self, order: Order, outcome: OrderReport | Exception) -> None:
        if isinstance(outcome, OrderReport):
            count = self.taken[order.client_order_id] = self.taken.get(order.client_order_id, 0) + 1
            self._findings.unless(
                count == 1, "I3", f"order {order.client_order_id}: {count} orders at the venue"
            )
            # An exit of which a part filled is followed by another; a paper account's orders end with its actor.
            if order.leg is Leg.ENTRY and self._accounts[order.account_id].kind is AccountKind.CONNECTION:
                first = self._entered.setdefault((order.run_id, order.slot), order.client_order_id)
                if first != order.client_order_id:
                    self._findings.broken(
                        "I4", f"order {order.client_order_id}: {first} had been taken before it"
                    )

    def overdue(self, calm_since_s: float) -> None:
        """Orders of unknown fate for longer than may be, counted from when nothing was in the way of asking."""
        now_s = self._clock.monotonic()
        for order, since_s in self.unknown.items():
            waited_s = now_s - max(since_s, calm_since_s)
            self._findings.unless(
                waited_s <= RESOLVED_S + MOST_OWED_S, "I4", f"order {order}: unknown for {waited_s:.0f} s"
            )
