"""Closes at market what could not be protected: reduce-only, each attempt under the run's lease, until flat.

The intent is committed as any other is (I2): leg `repair`, of the slot in which the position was opened. The kill
switch blocks it too, and it goes on once that is off. Part of a Connection, in its turns.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from actors.live.known import VenueKnowledge
from actors.live.news import CloseDue, CloseLease, Released
from actors.live.protector import Guarded
from actors.messages import Record
from actors.runtime.behaviour import Context
from core.ids import MAX_ATTEMPTS, AccountId, OrderKey, RunId, client_order_id
from core.order import Leg, Order, OrderKind
from schema.ops import IntentCommitted, IntentRefused, ProposeIntent, closing_side
from schema.store import Store

TRY_EVERY_S = 3.0
"""Longer than an order needs to fill at market and be settled, so that attempts do not overlap."""
LEASE_EVERY_S = 0.5
"""While a tick holds the run's lease, as that of the entry does when its stop is refused: nothing overlaps."""
_NEVER = datetime.max.replace(tzinfo=UTC)


class Closer:
    """`send` takes a committed order."""

    __slots__ = (
        "_account_id",
        "_attempts",
        "_ctx",
        "_knowledge",
        "_lease_s",
        "_leases",
        "_owner",
        "_send",
        "_store",
    )

    def __init__(
        self,
        ctx: Context,
        account_id: AccountId,
        store: Store,
        *,
        owner: str,
        lease_s: float,
        knowledge: VenueKnowledge,
        send: Callable[[Order], None],
    ) -> None:
        self._ctx = ctx
        self._account_id = account_id
        self._store = store
        self._owner = owner
        self._lease_s = lease_s
        self._knowledge = knowledge
        self._send = send
        self._attempts: dict[str, int] = {}
        self._leases: dict[str, tuple[RunId, int]] = {}

    def begin(self, symbol: str) -> None:
        if symbol not in self._attempts:
            self._attempts[symbol] = 0
            self._ctx.self_ref.tell(CloseDue(symbol))

    def due(self, symbol: str, guarded: Guarded | None) -> None:
        if guarded is None or guarded.position.is_flat or not guarded.closing:
            self._attempts.pop(symbol, None)
            self._give_back(symbol)
            return
        self._give_back(symbol)
        store, run_id, owner, ttl_s = self._store, guarded.run_id, self._owner, self._lease_s
        self._ctx.call(
            lambda: store.acquire(run_id, owner=owner, ttl_s=ttl_s),
            lambda fence: CloseLease(symbol, run_id, fence),
            lambda _: CloseLease(symbol, run_id, None),
        )

    def leased(self, lease: CloseLease, guarded: Guarded | None) -> None:
        """One chain a symbol: each answer has the next attempt come due."""
        self._ctx.after(LEASE_EVERY_S if lease.fence is None else TRY_EVERY_S, CloseDue(lease.symbol))
        if lease.fence is None:
            return
        if guarded is None or guarded.run_id != lease.run_id:  # closed meanwhile
            self._release(lease.run_id, lease.fence)
            return
        rules = self._knowledge.rules(self._account_id, lease.symbol)
        quantity = Decimal(0) if rules is None else rules.quantity(guarded.position.size)
        attempt = self._attempts.get(lease.symbol, 0) + 1
        if not guarded.closing or not quantity or attempt > MAX_ATTEMPTS:
            self._release(guarded.run_id, lease.fence)
            return
        self._attempts[lease.symbol] = attempt
        self._leases[lease.symbol] = (guarded.run_id, lease.fence)
        order = self._order(lease.symbol, guarded, quantity, attempt=attempt, fence=lease.fence)
        ahead = self._knowledge.ahead(self._account_id)
        propose = ProposeIntent(
            order=order, deadline=_NEVER, why={"reason": "unprotected"}, venue_ahead=ahead
        )
        self._ctx.tell("risk_ledger", Record(user_id=guarded.user_id, op=propose, reply_to=self._ctx.name))

    def answered(self, result: IntentCommitted | IntentRefused) -> None:
        if isinstance(result, IntentCommitted):
            self._send(result.order)

    def _give_back(self, symbol: str) -> None:
        lease = self._leases.pop(symbol, None)
        if lease is not None:
            self._release(*lease)

    def _release(self, run_id: RunId, fence: int) -> None:
        store = self._store
        self._ctx.call(lambda: store.release([(run_id, fence)]), lambda _: Released(), lambda _: Released())

    def _order(self, symbol: str, guarded: Guarded, quantity: Decimal, *, attempt: int, fence: int) -> Order:
        position = guarded.position
        assert position.opened_at is not None
        slot = position.opened_at.replace(microsecond=0)
        key = OrderKey(run_id=guarded.run_id, slot=slot, leg=Leg.REPAIR, attempt=attempt)
        return Order(
            client_order_id=client_order_id(key),
            run_id=guarded.run_id,
            user_id=guarded.user_id,
            account_id=self._account_id,
            symbol=symbol,
            slot=slot,
            leg=Leg.REPAIR,
            attempt=attempt,
            side=closing_side(position),
            kind=OrderKind.MARKET,
            quantity=quantity,
            reference_price=position.entry_price,
            reduce_only=True,
            fence=fence,
        )
