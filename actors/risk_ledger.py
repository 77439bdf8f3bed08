"""RiskLedger: the only writer of orders, fills, positions, trades and risk days (decisions 9, 10).

Operations queue per user. A user's are settled in order, one transaction of his under way at a time; while one
is, others gather, so that the intents of a slot share transactions. Without the store nobody gets approval
(I18): proposals are refused, news of the venue is kept and tried again.
"""

from __future__ import annotations

from collections import deque

import msgspec
from msgspec.structs import replace

from actors.live.news import PositionSettled
from actors.messages import Barrier, Record, Recorded, SettleAsked, account_name
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.reply import Reply
from actors.tally import Tally
from core.backoff import Backoff
from core.errors import Reason
from core.ids import UserId
from schema.ops import (
    ExpirePause,
    FillSettled,
    IntentRefused,
    LedgerOp,
    LedgerResult,
    ObserveFill,
    ObserveFunding,
    OpRefused,
    ProposeIntent,
    RiskSettled,
)
from schema.records import AccountKind
from schema.store import Store, StoreUnavailable

MAX_BATCH = 256
MAX_PER_USER = 5_000
"""Operations of one user that may wait; proposals beyond are refused, nothing else is."""

RETRY = Backoff(min_s=0.2, max_s=5.0)


class Pending(msgspec.Struct, frozen=True):
    """An operation in the queue; `reply` is set when somebody outside asked for it.

    `again`: it may have been committed before, and nobody was told.
    """

    record: Record
    reply: Reply | None = None
    again: bool = False


class Settled(msgspec.Struct, frozen=True):
    pending: tuple[Pending, ...]
    results: list[LedgerResult]


class SettleFailed(msgspec.Struct, frozen=True):
    pending: tuple[Pending, ...]
    error: Exception


class Retry(msgspec.Struct, frozen=True):
    """The wait after a failed transaction is over."""


class PauseOver(msgspec.Struct, frozen=True):
    user_id: UserId


class PauseSweep(msgspec.Struct, frozen=True):
    """Time to look for pauses that ran out."""


class PausesFound(msgspec.Struct, frozen=True):
    """Pauses that ran out while nobody looked."""

    users: list[UserId]


class RiskLedger(Behaviour):
    __slots__ = (
        "_alone",
        "_attempt",
        "_busy",
        "_draining",
        "_max_in_flight",
        "_queues",
        "_store",
        "_sweep_s",
        "_tally",
        "_under_way",
        "_waiting_to_retry",
    )

    def __init__(
        self, ctx: Context, *, store: Store, tally: Tally, sweep_s: float, max_in_flight: int = 2
    ) -> None:
        """`sweep_s`: how often pauses that ran out elsewhere are looked for, process seconds; 0 never."""
        super().__init__(ctx)
        self._store = store
        self._tally = tally
        self._sweep_s = sweep_s
        self._max_in_flight = max_in_flight
        self._queues: dict[UserId, deque[Pending | Barrier]] = {}
        self._busy: set[UserId] = set()
        self._attempt = 0
        self._waiting_to_retry = False
        self._under_way: list[tuple[Pending, ...]] = []
        # Operations still to be settled one by one, to find the one that a whole transaction failed on.
        self._alone = 0
        self._draining = False

    def draining(self) -> None:
        """What was observed is settled before the end (I16)."""
        self._draining = True
        self._end_if_idle()

    def restarting(self, error: BaseException | None) -> None:
        """News are not lost with this incarnation: they go back into the mail, ahead of what came later."""
        waiting: list[Pending | Barrier] = [each for taken in self._under_way for each in taken]
        for queue in self._queues.values():
            waiting.extend(queue)
        for each in waiting:
            if isinstance(each, Barrier):
                self.ctx.self_ref.signal(each)
            elif each.reply is not None:
                each.reply.fail(RuntimeError("the risk ledger was restarted"))
            elif isinstance(each.record.op, ProposeIntent):
                self._refuse(each)
            else:
                self.ctx.self_ref.signal(each.record)

    def started(self) -> None:
        self._look_for_pauses()
        if self._sweep_s:
            self.ctx.after(self._sweep_s, PauseSweep(), every=self._sweep_s)

    def _look_for_pauses(self) -> None:
        """Timers cover the pauses this process started; these are other processes' and an earlier life's."""
        self.ctx.call(self._store.expired_pauses, PausesFound, lambda _: PausesFound([]))

    def receive(self, message: object) -> None:
        match message:
            case Record():
                self._enqueue(Pending(message))
            case SettleAsked():
                record = Record(user_id=message.user_id, op=message.op)
                self._enqueue(Pending(record, self.ctx.reply_later()))
            case Barrier():
                self._barrier(message)
            case Settled():
                self._settled(message)
            case SettleFailed():
                self._failed(message)
            case Retry():
                self._waiting_to_retry = False
                self._start()
            case PauseOver():
                self._expire(message.user_id)
            case PauseSweep():
                self._look_for_pauses()
            case PausesFound():
                for user in message.users:
                    self._expire(user)
            case _:
                raise TypeError(f"risk_ledger cannot handle {type(message).__name__}")

    def _enqueue(self, pending: Pending) -> None:
        queue = self._queues.setdefault(pending.record.user_id, deque())
        if len(queue) >= MAX_PER_USER and isinstance(pending.record.op, ProposeIntent):
            self._refuse(pending)
            return
        queue.append(pending)
        self._start()

    def _barrier(self, barrier: Barrier) -> None:
        if barrier.user_id in self._queues or barrier.user_id in self._busy:
            self._queues.setdefault(barrier.user_id, deque()).append(barrier)
        else:
            self.ctx.tell(barrier.reply_to, barrier.answer)

    def _start(self) -> None:
        while len(self._under_way) < self._max_in_flight and not self._waiting_to_retry:
            taken = self._take(1 if self._alone else MAX_BATCH)
            if not taken:
                break
            self._alone = max(0, self._alone - 1)
            self._under_way.append(taken)
            self._settle(taken)
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._draining and not self._under_way and not self._queues:
            self.ctx.stop()

    def _settle(self, taken: tuple[Pending, ...]) -> None:
        ops = [pending.record.op for pending in taken]
        self.ctx.call(
            lambda: self._store.settle(ops),
            lambda results: Settled(taken, results),
            lambda error: SettleFailed(taken, error),
        )

    def _take(self, most: int) -> tuple[Pending, ...]:
        """The next operations of users without a transaction under way, users in id order (decision 10)."""
        taken: list[Pending] = []
        for user in sorted(user for user in self._queues if user not in self._busy):
            queue = self._queues[user]
            mine = 0
            while queue and len(taken) < most:
                head = queue[0]
                if isinstance(head, Barrier):
                    if mine:
                        break  # it answers once what was taken before it is settled
                    queue.popleft()
                    self.ctx.tell(head.reply_to, head.answer)
                    continue
                taken.append(head)
                queue.popleft()
                mine += 1
            if mine:
                self._busy.add(user)
            if not queue:
                del self._queues[user]
            if len(taken) >= most:
                break
        return tuple(taken)

    def _settled(self, done: Settled) -> None:
        self._attempt = 0
        self._finish(done.pending)
        for pending, result in zip(done.pending, done.results, strict=True):
            self._watch_pause(result)
            self._answer(pending, result)
            self._tally.settled(result)
        self._start()

    def _failed(self, failed: SettleFailed) -> None:
        """Nobody knows whether it committed. Proposals are refused: one that did commit is an intent nobody
        sends, and reconciliation finds it. News is put back in front: told twice it changes nothing."""
        self._finish(failed.pending)
        unreachable = isinstance(failed.error, StoreUnavailable)
        kept: dict[UserId, list[Pending]] = {}
        for pending in failed.pending:
            if isinstance(pending.record.op, ProposeIntent):
                self._refuse(pending)
            elif pending.reply is not None:
                pending.reply.fail(failed.error)
            elif not unreachable and len(failed.pending) == 1:
                # A fault of ours with this one operation: its run is halted, the others go on (I20).
                sentence = f"{type(failed.error).__name__}: {failed.error}"
                self._answer(pending, OpRefused(sentence=sentence, impossible=True))
            else:
                kept.setdefault(pending.record.user_id, []).append(replace(pending, again=True))
        for user, again in kept.items():
            self._queues.setdefault(user, deque()).extendleft(reversed(again))
        if not unreachable:
            self._alone = sum(len(again) for again in kept.values())
        self._waiting_to_retry = True
        self.ctx.after(RETRY.delay_s(self._attempt, 0.0), Retry())
        self._attempt += 1

    def _finish(self, pending: tuple[Pending, ...]) -> None:
        self._under_way.remove(pending)
        self._busy.difference_update(each.record.user_id for each in pending)

    def _refuse(self, pending: Pending) -> None:
        assert isinstance(pending.record.op, ProposeIntent)
        refused = IntentRefused(order=pending.record.op.order, reason=Reason.STORE_UNAVAILABLE)
        self._answer(pending, refused)

    def _answer(self, pending: Pending, result: LedgerResult) -> None:
        record = pending.record
        if pending.reply is not None:
            pending.reply.set(result)
        if record.reply_to is not None:
            answer = Recorded(op=record.op, result=result, failure=record.failure)
            self.ctx.tell(record.reply_to, answer)
        if isinstance(result, FillSettled) and (pending.again or not result.duplicate):
            self._tell_connection(record.op, result)

    def _tell_connection(self, op: LedgerOp, settled: FillSettled) -> None:
        """A live account protects what is open, whether its run has an actor or not."""
        if settled.account.kind is not AccountKind.CONNECTION:
            return
        if isinstance(op, ObserveFill | ObserveFunding):
            news = PositionSettled(
                settled.run_id, settled.user_id, op.symbol, settled.position, settled.wanted
            )
            self.ctx.tell(account_name(settled.account.id), news)

    def _watch_pause(self, result: LedgerResult) -> None:
        pause, user = None, None
        if isinstance(result, FillSettled | RiskSettled):
            pause, user = result.pause, result.user_id
        elif isinstance(result, IntentRefused):
            pause, user = result.pause, result.order.user_id
        if pause is not None and user is not None:
            self.ctx.at(pause.until, PauseOver(user))

    def _expire(self, user: UserId) -> None:
        self._enqueue(Pending(Record(user_id=user, op=ExpirePause(user_id=user))))
