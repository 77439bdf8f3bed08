"""Claims and leases on PostgreSQL: a thousand runs a statement, decided by the lease rows (invariants §3)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core.errors import Reason, RunnerError
from core.ids import RunId, UserId
from core.position import ZERO
from core.risk import DayRisk, RiskLimits, RiskState
from core.run import RunStatus
from core.schedule import fires
from schema.pg_database import SQL, Connection, Months
from schema.pg_journal import close_abandoned
from schema.pg_rows import as_type, changed, many, value
from schema.records import Ask, Claim, RunLease
from schema.store import LONG_AGO_S, MAX_CLAIM_BATCH

_ACTIVE = RunStatus.ACTIVE
_CALM = RiskState()


def claim(
    connection: Connection,
    run_ids: Sequence[RunId],
    *,
    slot: datetime,
    owner: str,
    ttl_s: float,
    ask: Ask | None,
    months: Months,
    default_limits: RiskLimits,
) -> list[Claim]:
    """A slot that was cut off is closed before a later one of its run is claimed."""
    if len(run_ids) > MAX_CLAIM_BATCH:
        raise RunnerError(f"{len(run_ids)} runs are more than one claim takes ({MAX_CLAIM_BATCH})")
    if not run_ids:
        return []
    named = {"run_ids": list(run_ids), "slot": slot, "owner": owner, "ttl_s": ttl_s}
    named |= (
        {"source": None, "asked_at": None} if ask is None else {"source": str(ask.source), "asked_at": ask.at}
    )
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(SQL["claim_runs"], named).fetchall()
        if len(rows) < len(run_ids):
            won = {row[0] for row in rows}
            left = [run_id for run_id in run_ids if run_id not in won]
            if closed := close_abandoned(connection, months, left, slot):
                rows += cursor.execute(SQL["claim_runs"], named | {"run_ids": closed}).fetchall()
    risks = _Risks(default_limits)
    return [_claim(row, slot, risks) for row in rows]


def acquire(connection: Connection, run_id: RunId, *, owner: str, ttl_s: float) -> int | None:
    fence = value(connection, "acquire_lease", {"run_id": run_id, "owner": owner, "ttl_s": ttl_s})
    return None if fence is None else int(fence)


def renew(connection: Connection, run_id: RunId, *, fence: int, ttl_s: float) -> bool:
    return changed(connection, "renew_lease", {"run_id": run_id, "fence": fence, "ttl_s": ttl_s}) == 1


def release(connection: Connection, leases: Sequence[tuple[RunId, int]]) -> None:
    if leases:
        run_ids, fences = zip(*leases, strict=True)
        changed(connection, "release_leases", {"run_ids": list(run_ids), "fences": list(fences)})


def free_leases(connection: Connection) -> None:
    changed(connection, "free_leases", {})


def leases(connection: Connection) -> list[RunLease]:
    return [as_type(RunLease)(row) for row in many(connection, "leases", {"long_ago_s": LONG_AGO_S})]


def pending(connection: Connection, slot: datetime) -> int:
    rows = many(connection, "pending_runs", {"slot": slot})
    return sum(row["runs"] for row in rows if fires(row["schedule"], slot))


class _Risks:
    """States and limits of the users in one answer, each made once: a thousand runs may be one user's."""

    def __init__(self, default_limits: RiskLimits) -> None:
        self._default_limits = default_limits
        self._known: dict[UserId, tuple[RiskState, RiskLimits]] = {}

    def of(self, user_id: UserId, columns: tuple[Any, ...]) -> tuple[RiskState, RiskLimits]:
        known = self._known.get(user_id)
        if known is None:
            known = self._known[user_id] = (_state(columns), self._limits(columns))
        return known

    def _limits(self, columns: tuple[Any, ...]) -> RiskLimits:
        loss, trades, losses, cooldown, pause = columns[7:]
        if loss is None:
            return self._default_limits
        return RiskLimits(
            daily_max_loss_usdt=loss,
            max_trades_per_day=trades,
            max_consecutive_losses=losses,
            cooldown_after_trade_s=cooldown,
            pause_duration_min=pause,
        )


def _state(columns: tuple[Any, ...]) -> RiskState:
    today, pnl, trades, streak, last_trade_at, paused_until, paused_reason = columns[:7]
    if streak is None:
        return _CALM
    return RiskState(
        days={} if pnl is None else {today: DayRisk(pnl=pnl, trades=trades)},
        streak=streak,
        last_trade_at=last_trade_at,
        paused_until=paused_until,
        paused_reason=None if paused_reason is None else Reason(paused_reason),
    )


def _claim(row: tuple[Any, ...], slot: datetime, risks: _Risks) -> Claim:
    run_id, user_id, fence, previous_fence, previous, activated_at, version = row[:7]
    switched_off, balance, used_margin = row[7:10]
    state, limits = risks.of(user_id, row[10:])
    return Claim(
        run_id=run_id,
        user_id=user_id,
        slot=slot,
        fence=fence,
        previous_fence=previous_fence,
        previous_slot=previous,
        activated_at=activated_at,
        run_version=version,
        status=_ACTIVE,
        kill_switch=switched_off,
        risk=state,
        limits=limits,
        balance=balance or ZERO,
        used_margin=used_margin or ZERO,
    )
