"""A user's risk row inside a transaction, and the operations that touch nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from core import risk
from core.errors import RunnerError
from core.ids import UserId
from core.position import is_plausible
from core.risk import PauseStarted, RiskChange, risk_day
from schema.ledger.payloads import pause_payload, plain
from schema.ops import ExpirePause, ResumeUser, RiskSettled, SimulateTrade
from schema.tx import Tx


class UserRisk:
    """The row locked and loaded, a pause that has run out expired; written once, at the end, with its events.

    Expiring first matters: a streak still standing at its limit would hide the next loss that reaches it.
    `now` is read under the lock, so that waiting for it cannot let a deadline or midnight slip by.
    """

    def __init__(
        self, tx: Tx, user_id: UserId, *, days: Iterable[date] = (), request_id: str | None = None
    ) -> None:
        """`request_id`: of the request that all this is because of."""
        self.user_id = user_id
        self.request_id = request_id
        wanted = {*days, risk_day(tx.now())}
        loaded = tx.lock_risk(user_id, sorted(wanted))
        self.now = tx.now()
        if risk_day(self.now) not in wanted:  # midnight passed while waiting for the lock
            loaded = tx.lock_risk(user_id, sorted({*wanted, risk_day(self.now)}))
        self.limits = tx.limits(user_id)
        self._before = loaded
        self.state = risk.expire(loaded, self.limits, self.now)
        self._expired = self.state != loaded
        self.pause: PauseStarted | None = None

    def take(self, change: RiskChange) -> None:
        """A change that may pause; several in one operation are one pause."""
        self.state = change.state
        self.pause = risk.merge_pauses(self.pause, change.pause)

    def save(self, tx: Tx) -> None:
        if self.state == self._before:
            return
        tx.save_risk(self.user_id, self._before, self.state, now=self.now)
        if self._expired:
            # What this operation leaves of the streak: a round trip of the same operation is told before it.
            expired = plain(action="expired", until=self._before.paused_until, streak=self.state.streak)
            tx.append_event(
                user_id=self.user_id, run_id=None, type="risk_block", at=self.now, payload=expired
            )
        if self.pause is not None:
            tx.append_event(
                user_id=self.user_id,
                run_id=None,
                type="risk_block",
                at=self.now,
                payload=pause_payload(self.pause, self.request_id),
            )


def simulate_trade(tx: Tx, op: SimulateTrade) -> RiskSettled:
    if not is_plausible(op.delta):
        raise RunnerError(f"a trade cannot have made {op.delta} USDT")
    user = UserRisk(tx, op.user_id, request_id=op.request_id)
    if op.id is not None and not tx.note_simulated(op.id, op.user_id):
        return _settled(user)
    user.take(risk.simulate(user.state, user.limits, delta=op.delta, now=user.now))
    closed = plain(simulated=True, pnl=op.delta, request_id=op.request_id)
    tx.append_event(user_id=op.user_id, run_id=None, type="trade.closed", at=user.now, payload=closed)
    user.save(tx)
    return _settled(user)


def expire_pause(tx: Tx, op: ExpirePause) -> RiskSettled:
    return _settled(end_old_pause(tx, op.user_id))


def resume_user(tx: Tx, op: ResumeUser) -> RiskSettled:
    user = UserRisk(tx, op.user_id)
    until = user.state.paused_until
    user.state = risk.resume(user.state, user.limits)
    user.save(tx)
    if until is not None:
        resumed = plain(
            action="resumed", by=op.by, until=until, streak=user.state.streak, request_id=op.request_id
        )
        tx.append_event(user_id=op.user_id, run_id=None, type="risk_block", at=user.now, payload=resumed)
    return _settled(user)


def end_old_pause(tx: Tx, user_id: UserId) -> UserRisk:
    """Also before other limits are put: a pause that has run out ends by those it ran under, whoever comes first."""
    user = UserRisk(tx, user_id)
    user.save(tx)
    return user


def _settled(user: UserRisk) -> RiskSettled:
    return RiskSettled(user_id=user.user_id, state=user.state, limits=user.limits, pause=user.pause)
