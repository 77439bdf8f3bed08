"""After a calm stretch: the venue's truth is the store's, nothing is owed, every run ticks (I3, I4, I7 and §7)."""

from __future__ import annotations

from datetime import datetime

from actors.simulation.checks.watch import Watch
from actors.simulation.population import Population
from actors.simulation.store import WatchedStore
from actors.simulation.venue import SimulatedVenue, at_once
from core.position import ZERO
from core.run import Run, RunStatus, margin_of
from core.strategies.external import is_external
from schema.records import AccountKind, TickStatus


class EndingCheck:
    def __init__(self, watch: Watch, store: WatchedStore, venue: SimulatedVenue, people: Population) -> None:
        self._watch = watch
        self._findings = watch.findings
        self._store = store
        self._venue = venue
        self._people = people

    def settled(self) -> None:
        """Nothing is under way at this moment between store and venue."""
        self._orders()
        self._accounts()
        self._users()

    def _orders(self) -> None:
        for order in self._store.open_orders():
            self._findings.broken(
                "I4", f"order {order.client_order_id} is still {order.status} after the calm"
            )

    def _accounts(self) -> None:
        unless = self._findings.unless
        fills = self._store.tables.fills
        for account in self._people.accounts:
            row = self._store.account(account.id)
            assert row is not None
            booked = sum((fill.realised for fill in fills.values() if fill.account_id == account.id), ZERO)
            unless(
                row.balance == account.balance + booked,
                "I7",
                f"account {account.id}: balance {row.balance}, its fills make {account.balance + booked}",
            )
            held = {each.symbol: each for each in self._store.open_positions(account_id=account.id)}
            margin = sum((margin_of(p.position.open_cost, p.leverage) for p in held.values()), ZERO)
            unless(
                row.used_margin == margin,
                "I7",
                f"account {account.id}: margin {row.used_margin}, not {margin}",
            )
            if account.kind is not AccountKind.CONNECTION:
                continue
            engine = self._venue.engines[account.id]
            there = {each.symbol: each.quantity for each in at_once(engine.positions())}
            here = {symbol: each.position.quantity for symbol, each in held.items()}
            unless(there == here, "I3", f"account {account.id}: the venue holds {there}, the store {here}")
            for position in at_once(engine.positions()):
                ours = held.get(position.symbol)
                wanted = (ours is not None and ours.stop_loss is not None, ours and ours.trail_pct)
                stands = (position.stop_loss is not None, position.trail)
                unless(
                    wanted == stands,
                    "protection",
                    f"account {account.id}: stops {stands} stand for {position.symbol}, wanted: {wanted}",
                )
            missing = [
                trade_id
                for trade_id, execution in self._watch.executed[account.id].items()
                if (account.id, execution.symbol, trade_id) not in fills
            ]
            unless(not missing, "I3", f"account {account.id}: fills {missing[:3]} were lost")
            balance = at_once(engine.balance()).balance
            unless(
                balance == row.balance,
                "I3",
                f"account {account.id}: {balance} at the venue, {row.balance} here",
            )

    def _users(self) -> None:
        """Every trade counted is an entry leg that filled: what was reserved for nothing has been given back."""
        for user, model in self._watch.risk.users.items():
            for day, trades in model.trades.items():
                self._findings.unless(
                    trades == model.counting(day),
                    "I7",
                    f"{user}: {trades} trades stand on {day}, {model.counting(day)} legs filled",
                )

    def all_ticked(self, first: datetime, last: datetime) -> None:
        """No run is orphaned: each slot of the stretch has its row, and it was not interrupted."""
        for run in self._store.runs(statuses=(RunStatus.ACTIVE,)):
            for slot in self._slots(run, first, last):
                row = self._watch.leases.row(run.id, slot)
                bad = row is None or row.status is TickStatus.MISSED or row.reason == "interrupted"
                said = "no row" if row is None else f"{row.status}, {row.reason}"
                self._findings.unless(not bad, "I1", f"run {run.id}: slot {slot} of the calm has {said}")

    def _slots(self, run: Run, first: datetime, last: datetime) -> list[datetime]:
        """Its closes, or what it was sent."""
        if is_external(run.strategy):
            sent = self._store.tables.external.get(run.strategy.id, {}).values()
            return [signal.slot for signal in sent if first < signal.slot <= last]
        step = run.strategy.timeframe
        slot = step.next_close(first)
        return [slot + step.delta * number for number in range((last - slot) // step.delta + 1)]
