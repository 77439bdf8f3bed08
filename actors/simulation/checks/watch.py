"""All checks behind the store and the venue: each commit goes to the log and to the models it concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction

from actors.simulation.checks.candles import CandleCheck, EvaluationCheck
from actors.simulation.checks.events import EventCheck
from actors.simulation.checks.findings import Findings
from actors.simulation.checks.leases import LeaseCheck
from actors.simulation.checks.orders import OrderCheck
from actors.simulation.checks.risk import RiskCheck
from actors.simulation.checks.stops import StopCheck
from actors.simulation.checks.trails import TrailCheck
from actors.simulation.log import EventLog
from actors.simulation.market import SimulatedMarket
from actors.simulation.store import WatchedStore
from core.clock import Clock
from core.errors import Reason
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Leg, Order
from core.risk import RiskLimits
from core.run import Run
from exchanges.base import Execution, News, OrderReport
from exchanges.errors import ExchangeError
from schema.ops import (
    FillSettled,
    IntentCommitted,
    IntentRefused,
    LedgerOp,
    LedgerResult,
    ObserveFill,
    ObserveFunding,
    OrderMoved,
    PositionChecked,
)
from schema.records import Account, Claim, Event, SlotReport, TickRow


class Watch:
    """The `StoreWatch` and `VenueWatch` of a seed."""

    def __init__(
        self,
        *,
        store: WatchedStore,
        clock: Clock,
        log: EventLog,
        market: SimulatedMarket,
        runs: Mapping[RunId, Run],
        accounts: Mapping[AccountId, Account],
        limits: Mapping[UserId, RiskLimits],
        restarts: Callable[[str], int],
    ) -> None:
        self.findings = Findings(clock)
        self.log = log
        self._store = store
        self._clock = clock
        self._events_seen = 0
        steps = {run.id: run.strategy.timeframe.delta for run in runs.values()}
        self.leases = LeaseCheck(self.findings, clock, steps)
        self.orders = OrderCheck(
            self.findings, clock, runs=runs, accounts=accounts, rules=market.rules, holds=self.leases.holds
        )
        self.stops = StopCheck(self.findings, clock, self.orders)
        self.risk = RiskCheck(self.findings, clock, limits)
        self.trails = TrailCheck(self.findings)
        self.events = EventCheck(self.findings)
        self.candles = CandleCheck(self.findings, clock, market)
        self.evaluations = EvaluationCheck(self.findings, restarts)
        self.executed: dict[AccountId, dict[str, Execution]] = {each: {} for each in accounts}
        """Everything that traded at each venue, by trade id."""
        self.booked: set[tuple[AccountId, str, str]] = set()

    # -- slots

    def claimed(self, slot: datetime, ttl_s: float, claims: Sequence[Claim]) -> None:
        if claims:
            self.log.add("claimed", (slot, [(claim.run_id, claim.fence) for claim in claims]))
            self.leases.claimed(slot, ttl_s, claims)
            self.stops.claimed(self._store.caller)

    def acquired(self, run_id: RunId, fence: int, ttl_s: float) -> None:
        self.log.add("acquired", (run_id, fence))
        self.leases.acquired(run_id, fence, ttl_s)

    def released(self, leases: Sequence[tuple[RunId, int]]) -> None:
        for run_id, fence in leases:
            self.leases.released(run_id, fence)

    def reported(self, caller: str, report: SlotReport) -> None:
        for row in report.ticks:
            self._row(row)
            self.leases.released(row.run_id, row.fence)
        for execution in report.executions:
            self.evaluations.executed(caller, execution)
        self._new_events()

    def interrupted(self, rows: Sequence[TickRow]) -> None:
        for row in rows:
            self._row(row)
        self._new_events()

    def _row(self, row: TickRow) -> None:
        stored = self._store.tables.runs[row.run_id].ticks[row.slot]
        if self.leases.row(row.run_id, row.slot) is None:
            self.log.add("tick", (row.run_id, row.slot, row.status, row.signal, row.reason, row.fence))
        self.leases.stored(stored)

    # -- the ledger

    def settled(self, ops: Sequence[LedgerOp], results: Sequence[LedgerResult]) -> None:
        events = self._new_events()
        touched: dict[UserId, set[datetime]] = {}
        for op, result in zip(ops, results, strict=True):
            match result:
                case IntentCommitted():
                    self._intent(result.order, events)
                case IntentRefused():
                    self._refused(result)
                case OrderMoved():
                    self._moved(result, events)
                case FillSettled():
                    self._filled(op, result, events)
                    trailing = result.wanted.trailing
                    best = None if trailing is None else trailing.best
                    self.trails.held(result.run_id, result.position, best)
                    if isinstance(op, ObserveFill):
                        touched.setdefault(result.user_id, set()).add(op.fill.executed_at)
                case PositionChecked():
                    self.log.add("settled", result)
                    self.trails.held(result.run_id, result.held.position, result.held.trail_best)
                case _:
                    self.log.add("settled", result)
            user = _user_of(result)
            if user is not None:
                touched.setdefault(user, set()).add(self._clock.now())
        self.events.settled(ops, results, events)
        for user_id, days in touched.items():
            self.risk.compare(user_id, self._store.risk_state(user_id, sorted(days)))

    def _intent(self, order: Order, events: Sequence[Event]) -> None:
        known = self.orders.orders.get(order.client_order_id)
        if known is not None and known.fence == order.fence:
            return  # told again
        self.log.add("intent", order)
        self.orders.committed(order)
        if order.leg is Leg.ENTRY:
            earlier = [
                each
                for each in self._store.tables.legs.get((order.run_id, order.slot, order.leg), ())
                if each != order.client_order_id
            ]
            for each in earlier:  # its reservation has moved to this attempt
                self.orders.orders[each] = self._store.tables.orders[each]
            self.risk.entered(order)
        self.events.changed("order_submit", order.client_order_id, events)

    def _refused(self, refused: IntentRefused) -> None:
        order = refused.order
        self.log.add("refused", (order.client_order_id, refused.reason))
        if order.leg is Leg.ENTRY:
            leg = (order.run_id, order.slot)
            first = leg not in self.risk.users[order.user_id].legs
            self.risk.refused(order, refused.reason, first=first)

    def _moved(self, moved: OrderMoved, events: Sequence[Event]) -> None:
        order = moved.order
        if not moved.changed:
            return
        self.log.add("order", order)
        self._store_order(order)
        self.events.changed("order_update", order.client_order_id, events)

    def _store_order(self, order: Order) -> None:
        before = self.orders.orders.get(order.client_order_id)
        self.orders.stored(order)
        self.risk.moved(before, order)

    def _filled(self, op: LedgerOp, settled: FillSettled, events: Sequence[Event]) -> None:
        if isinstance(op, ObserveFunding):
            self._funded(op, settled)
            return
        assert isinstance(op, ObserveFill)
        key = (op.account_id, op.symbol, op.fill.trade_id)
        if settled.duplicate:
            self.findings.unless(
                key in self.booked, "I3", f"fill {op.fill.trade_id}: called a repeat, never booked"
            )
            return
        self.findings.unless(key not in self.booked, "I3", f"fill {op.fill.trade_id}: booked twice")
        self.booked.add(key)
        self.log.add("fill", (settled.run_id, op.fill))
        if settled.order is not None:
            self._store_order(settled.order)
        position = self.orders.positions[settled.run_id]
        expected, trip = position.fill(op.fill)
        stored = self._store.tables.fills[key]
        self.risk.filled(settled.user_id, op.fill.executed_at, stored.realised, expected, trip)
        self.findings.unless(
            Fraction(settled.position.quantity) == position.quantity,
            "I7",
            f"run {settled.run_id}: holds {settled.position.quantity}, its fills sum to {float(position.quantity)}",
        )
        self.events.changed("order_fill", op.fill.trade_id, events, field="trade_id")

    def _funded(self, op: ObserveFunding, settled: FillSettled) -> None:
        if settled.duplicate:
            return
        self.log.add("funding", (op.run_id, op.funding_id, op.amount))
        self.orders.positions[op.run_id].fund(Fraction(op.amount))
        self.risk.filled(settled.user_id, op.at, op.amount, Fraction(op.amount), None)

    def permitted(self, caller: str, client_order_id: ClientOrderId, refusal: Reason | None) -> None:
        self.log.add("may send", (client_order_id, refusal))
        if refusal is None:
            self.orders.permitted(caller, client_order_id)

    # -- rows changed by people

    def commanded(self, run: Run) -> None:
        self.log.add("run", (run.id, run.status, run.adapter_errors))
        self._new_events()

    def switched(self, on: bool, account_id: AccountId | None) -> None:
        self.log.add("switch", (on, account_id))
        self.orders.switched(on, account_id)
        self._new_events()

    def limited(self, user_id: UserId, limits: RiskLimits) -> None:
        self.log.add("limits", (user_id, limits))
        self.risk.limited(user_id, limits)

    # -- the venue

    def sending(self, order: Order, process: str) -> None:
        self.log.add("sent", (order.client_order_id, process))
        self.orders.sending(order, process)

    def arrived(self, order: Order, outcome: OrderReport | ExchangeError) -> None:
        said = outcome if isinstance(outcome, OrderReport) else str(outcome)
        self.log.add("venue", (order.client_order_id, said))
        self.orders.arrived(order, outcome)

    def news(self, account_id: AccountId, news: News) -> None:
        self.log.add("news", news)
        if isinstance(news, Execution):
            self.executed[account_id][news.trade_id] = news

    def _new_events(self) -> Sequence[Event]:
        events = self._store.events_since(self._events_seen)
        if events:
            self._events_seen += len(events)
            self.events.appended(events)
            for event in events:
                self.log.add("event", (event.run_id, event.user_id, event.seq, event.type, event.payload))
        return events


def _user_of(result: LedgerResult) -> UserId | None:
    if isinstance(result, IntentCommitted | IntentRefused | OrderMoved):
        return result.order.user_id
    return getattr(result, "user_id", None)
