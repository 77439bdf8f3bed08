"""ExchangeGateway: routes to one Connection per exchange connection or paper portfolio, started when first needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from actors.connection import Connection
from actors.messages import (
    AccountsHere,
    AccountsWanted,
    FlattenHere,
    FlattenWanted,
    OrdersExpected,
    ReadAgain,
    ReconcileRun,
    Record,
    SubmitOrder,
    SyncVenue,
    VenueSynced,
    account_name,
    run_name,
)
from actors.runtime.behaviour import Context
from actors.runtime.ref import ShellRef
from actors.runtime.spec import ChildSpec, Intensity, StopMode, Supervision
from actors.runtime.supervisor import Supervisor
from core.backoff import Backoff
from core.breaker import Trailing, process_most
from core.errors import Reason
from core.ids import AccountId
from core.order import NotPlaced
from core.order_queue import RESERVED, closes
from schema.ops import ObserveOrder

QUEUE_LIMIT = 1_000
"""Messages one connection may have waiting; orders beyond it are not placed.

Of these places entries leave `RESERVED` free. Where even they are taken, by whatever else an account is told,
orders that close go ahead of ordinary mail.
"""
BACKOFF = Backoff(min_s=0.2, max_s=10.0, random_factor=0.2)

TRY_AGAIN_S = 60.0
"""After a connection failed too often: how long until it is started once more."""

MakeConnection = Callable[[Context, AccountId], Connection]


class Revive(msgspec.Struct, frozen=True):
    """The wait after a connection gave up is over."""

    child_id: str


Asked = SubmitOrder | SyncVenue | ReconcileRun


class ExchangeGateway(Supervisor):
    def __init__(self, ctx: Context, *, make_connection: MakeConnection) -> None:
        intensity = Intensity(max_restarts=5, window_s=60.0, per_child=True)
        super().__init__(ctx, (), Supervision(intensity=intensity, stop_together=True))
        self._make_connection = make_connection
        self._accounts: set[AccountId] = set()
        # Accounts that are being left, and what was asked of each meanwhile: it begins anew for that.
        self._leaving: dict[AccountId, list[Asked]] = {}
        # The breaker of the process: beyond `_most` orders a minute nothing leaves it (decision 25).
        self._orders = Trailing()
        self._most = process_most(0.0)

    def started(self) -> None:
        self.ctx.tell("runs", AccountsWanted())  # after a restart; at first nobody is there to hear it

    def handle(self, message: object) -> None:
        match message:
            case SubmitOrder():
                self._submit(message)
            case OrdersExpected():
                self._most = process_most(message.a_minute)
            case SyncVenue() | ReconcileRun():
                self._ask(message)
            case ReadAgain():
                if message.account_id in self._accounts:
                    self.ctx.tell(account_name(message.account_id), message)
            case FlattenWanted():
                if message.flatten.account_id in self._accounts:
                    self.ctx.tell("flattener", FlattenHere(flatten=message.flatten))
            case AccountsHere():
                self._leave_others(message.account_ids)
            case Revive():
                if any(message.child_id == account_name(each) for each in self._accounts):
                    self.restart_child(message.child_id)
            case _:
                raise TypeError(f"gateway cannot handle {type(message).__name__}")

    def _ask(self, message: SyncVenue | ReconcileRun) -> None:
        account_id = message.run.account_id
        if account_id is not None and self._is_held(account_id, message):
            return
        if account_id is None or not self._account(account_id).offer(message):
            self._answer_without(message)

    def _is_held(self, account_id: AccountId, message: Asked) -> bool:
        """Mail of an account that is being left would end with it, and whoever asked would wait in vain."""
        held = self._leaving.get(account_id)
        if held is None or len(held) >= QUEUE_LIMIT:
            return False
        held.append(message)
        return True

    def _submit(self, submit: SubmitOrder) -> None:
        account_id = submit.order.account_id
        if self._is_held(account_id, submit):
            return
        if account_id in self._leaving:
            self._refuse(submit, Reason.QUEUE_FULL, failure=None)
            return
        now = self.ctx.clock.now()
        if self._orders.count(now) >= self._most:
            detail = f"more than {self._most} orders within a minute; none leaves until there are fewer"
            self.ctx.system.reports.alert(self.ctx.name, "breaker", detail)
            self._refuse(submit, "breaker", failure=None)
            return
        self._orders.add(now)
        ref = self._account(account_id)
        if not ref.is_alive():
            self._refuse(submit, "the connection is away", failure="connection")
        elif not _took(ref, submit):
            self._refuse(submit, Reason.QUEUE_FULL, failure=None)

    def child_gave_up(self, child_id: str, error: BaseException) -> None:
        """A connection that keeps failing is tried again later; meanwhile its orders are not placed."""
        self.ctx.after(TRY_AGAIN_S, Revive(child_id))

    def _account(self, account_id: AccountId) -> ShellRef:
        if account_id not in self._accounts:
            self._accounts.add(account_id)
            self.start_child(self._spec(account_id))
        return self.ctx.ref(account_name(account_id))

    def _leave_others(self, here: frozenset[AccountId]) -> None:
        """Another process follows these now; what two did on one paper account would contradict each other."""
        for account_id in sorted(self._accounts - here - self._leaving.keys()):
            self._leaving[account_id] = []
            left = partial(self._left, account_id)
            self.terminate_child(account_name(account_id), StopMode.DRAIN, then=left)

    def _left(self, account_id: AccountId) -> None:
        if account_id in self._accounts:
            self._accounts.discard(account_id)
            self.delete_child(account_name(account_id))
        for message in self._leaving.pop(account_id, ()):
            self.handle(message)

    def _spec(self, account_id: AccountId) -> ChildSpec:
        make = self._make_connection
        return ChildSpec(
            id=account_name(account_id),
            factory=lambda ctx: make(ctx, account_id),
            backoff=BACKOFF,
            dispatcher="loop",
            mailbox_capacity=QUEUE_LIMIT,
        )

    def _refuse(self, submit: SubmitOrder, why: str, *, failure: str | None) -> None:
        """Nothing left this process, so the order was not placed."""
        order = submit.order
        event = NotPlaced(why)
        op = ObserveOrder(client_order_id=order.client_order_id, event=event, no_further_attempt=False)
        record = Record(user_id=order.user_id, op=op, reply_to=run_name(order.run_id), failure=failure)
        self.ctx.tell("risk_ledger", record)

    def _answer_without(self, message: SyncVenue | ReconcileRun) -> None:
        """A signals run has no venue: there is nothing to wait for."""
        if isinstance(message, SyncVenue):
            self.ctx.tell(run_name(message.run.id), VenueSynced(slot=message.slot))


def _took(ref: ShellRef, submit: SubmitOrder) -> bool:
    room = ref.room()
    if not closes(submit.order):
        return room > RESERVED and ref.offer(submit)
    return ref.offer(submit) if room else ref.signal(submit)
