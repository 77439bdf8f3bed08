"""What was known at an instant, folded from events in the order they were written: a run, a position, a user's risk.

An event counts from the moment it was stored, whenever what it tells of happened at a venue. What the events that are
left cannot tell is refused by name, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from core.errors import Reason, RunnerError
from core.ids import ClientOrderId, RunId
from core.order import Leg
from core.position import FLAT, ZERO, Fill, Position, apply_fill, apply_funding, carry_funding
from core.risk import DayRisk, RiskLimits, RiskState, risk_day
from core.run import Run, RunSettings, RunStatus

STATUS: Final = "run.status"
SETTINGS: Final = "run.settings.updated"
FILL: Final = "order_fill"
FUNDING: Final = "funding"
DRIFT: Final = "drift"
SUBMIT: Final = "order_submit"
UPDATE: Final = "order_update"
CLOSED: Final = "trade.closed"
RISK: Final = "risk_block"
LIMITS: Final = "risk.limits.updated"


class Unknowable(RunnerError):
    """`names`: what the records that are left do not tell of that time."""

    def __init__(self, *names: str) -> None:
        super().__init__(f"the records that are left do not tell {', '.join(names)} of that time")
        self.names = names


class Happened(msgspec.Struct, frozen=True, kw_only=True):
    """One stored event."""

    type: str
    at: datetime
    payload: Mapping[str, Any]
    run_id: RunId | None = None


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """The entry whose stop and target a position has, and the entry price they were made at."""

    client_order_id: ClientOrderId
    entry_price: Decimal


class HeldThen(msgspec.Struct, frozen=True, kw_only=True):
    """A position as it was known; `entered_by`: the order that opened it, None where it is flat."""

    position: Position = FLAT
    entered_by: str | None = None
    drift: Decimal = ZERO
    updated_at: datetime | None = None
    guarded: Guard | None = None


def run_at(row: Run, events: Sequence[Happened], at: datetime, *, complete: bool) -> Run:
    """The run's status and settings at `at`, from the row of now and its events of STATUS and SETTINGS, in order.

    `complete`: none of the run's events has been taken out. The row's version, adapter errors and last slot stay those
    of now: no event tells them. Raises Unknowable.
    """
    moves = [event for event in events if event.type == STATUS]
    changes = [event for event in events if event.type == SETTINGS]
    status, reason = _status_at(row, moves, at, complete=complete)
    return replace(
        row,
        status=status,
        status_reason=reason,
        activated_at=_activated_at(row, moves, at, complete=complete),
        settings=_settings_at(row.settings, changes, at),
    )


def position_at(events: Sequence[Happened], at: datetime) -> HeldThen:
    """From events of FILL, FUNDING and DRIFT, in order, beginning where the position was flat."""
    held = HeldThen()
    filled: set[str] = set()
    for event in events:
        if event.at > at:
            break
        said = event.payload
        if event.type == DRIFT:
            held = replace(held, drift=Decimal(said["drift"]))
            continue
        before = held.position
        if event.type == FUNDING:
            book = carry_funding if before.is_flat else apply_funding
            held = replace(held, position=book(before, Decimal(said["amount"])).position)
            continue
        after = apply_fill(before, msgspec.convert(said, Fill, strict=False)).position
        opened = before.is_flat or before.side is not after.side
        opener = said["client_order_id"] if opened else held.entered_by
        held = replace(
            held,
            position=after,
            entered_by=None if after.is_flat else opener,
            guarded=_guard(held, after, said, opened=opened, first=said["client_order_id"] not in filled),
            updated_at=event.at,
        )
        filled.add(said["client_order_id"])
    return held


def risk_at(events: Sequence[Happened], at: datetime, *, complete: bool) -> RiskState:
    """The state with the one day `at` is in, from all the user's events of the types above, in order.

    `complete`: `events` goes back to the user's first. Raises Unknowable.
    """
    known = [event for event in events if event.at <= at]
    day_of = risk_day(at)
    until, reason = _pause_of(known, complete=complete)
    return RiskState(
        days={day_of: DayRisk(pnl=_pnl_of(known, day_of), trades=_trades_of(known, day_of))},
        streak=_streak_of(known, complete=complete),
        last_trade_at=_last_trade_of(known, complete=complete),
        paused_until=until,
        paused_reason=reason,
    )


def limits_at(row: RiskLimits | None, events: Sequence[Happened], at: datetime) -> RiskLimits | None:
    """A user's limits in force; `row`: the user's own now. None: the platform's, whose past is not recorded."""
    changes = [event for event in events if event.type == LIMITS]
    before = [event for event in changes if event.at <= at]
    if before:
        return msgspec.convert(before[-1].payload["after"], RiskLimits, strict=False)
    if changes:
        return msgspec.convert(changes[0].payload["before"], RiskLimits, strict=False)
    return row


def _guard(
    held: HeldThen, after: Position, said: Mapping[str, Any], *, opened: bool, first: bool
) -> Guard | None:
    """As the ledger protects a position: by the entry that opened it, or that was filled for the first time since."""
    if after.is_flat:
        return None
    if said.get("leg") == Leg.ENTRY and (opened or first):
        return Guard(client_order_id=ClientOrderId(said["client_order_id"]), entry_price=after.entry_price)
    return None if opened else held.guarded


def _status_at(
    row: Run, moves: Sequence[Happened], at: datetime, *, complete: bool
) -> tuple[RunStatus, str | None]:
    last, following = _around(moves, at)
    if last is not None:
        return RunStatus(last.payload["status"]), last.payload.get("reason")
    if following is None:
        return row.status, row.status_reason
    if not complete:
        raise Unknowable("errorMessage")
    return RunStatus(following.payload["before"]), None


def _activated_at(row: Run, moves: Sequence[Happened], at: datetime, *, complete: bool) -> datetime | None:
    last, following = _around([each for each in moves if each.payload["status"] == RunStatus.ACTIVE], at)
    if last is not None:
        return last.at
    if following is None:
        return row.activated_at
    if not complete:
        raise Unknowable("activatedAt")
    return None


def _settings_at(row: RunSettings, changes: Sequence[Happened], at: datetime) -> RunSettings:
    last, following = _around(changes, at)
    if last is None and following is None:
        return row
    if last is None:
        assert following is not None
        said = following.payload.get("before")
        if said is None:  # events of versions that did not write it
            raise Unknowable("settings")
    else:
        said = last.payload
    told = {name: said[name] for name in RunSettings.__struct_fields__ if name in said}
    # Of earlier versions' events this one, which nothing has ever changed, is missing.
    told.setdefault("position_mode", row.position_mode)
    return msgspec.convert(told, RunSettings, strict=False)


def _around(events: Sequence[Happened], at: datetime) -> tuple[Happened | None, Happened | None]:
    """The last event that was stored by `at`, and the first that was not."""
    last = following = None
    for event in events:
        if event.at > at:
            following = event
            break
        last = event
    return last, following


def _pnl_of(known: Sequence[Happened], day_of: date) -> Decimal:
    total = ZERO
    for event in known:
        said = event.payload
        if event.type == FILL and risk_day(datetime.fromisoformat(said["executed_at"])) == day_of:
            total += Decimal(said["realised"])
        elif event.type == FUNDING and risk_day(datetime.fromisoformat(said["paid_at"])) == day_of:
            total += Decimal(said["amount"])
        elif _is_simulated(event) and risk_day(event.at) == day_of:
            total += Decimal(said["pnl"])
    return total


def _trades_of(known: Sequence[Happened], day_of: date) -> int:
    """Entry legs reserved on the day and not released; each leg by the order that holds its reservation."""
    legs: dict[tuple[RunId | None, str], str | None] = {}
    orders: dict[str, tuple[RunId | None, str]] = {}
    simulated = 0
    for event in known:
        said = event.payload
        if _is_simulated(event):
            simulated += risk_day(event.at) == day_of
        if event.type not in (SUBMIT, UPDATE, FILL) or said.get("leg") != Leg.ENTRY:
            continue
        order_id = said["client_order_id"]
        if event.type == SUBMIT:
            leg = orders[order_id] = event.run_id, said["slot"]
            if leg in legs or (_reserves(event) and risk_day(event.at) == day_of):
                legs[leg] = order_id
            continue
        of = orders.get(order_id)
        if of is None or of not in legs:
            continue
        if event.type == FILL and legs[of] is None:
            legs[of] = order_id
        elif event.type == UPDATE and not said["reserved"] and legs[of] == order_id:
            legs[of] = None
    return simulated + sum(holder is not None for holder in legs.values())


def _streak_of(known: Sequence[Happened], *, complete: bool) -> int:
    streak = 0 if complete else None
    for event in known:
        said = event.payload
        if event.type == CLOSED:
            if Decimal(said["pnl"]) >= 0:
                streak = 0
            elif streak is not None:
                streak += 1
        elif event.type == RISK and said["action"] in ("expired", "resumed"):
            # The pause that ended says what it left of the streak; of earlier versions it does not.
            streak = said.get("streak")
    if streak is None:
        raise Unknowable("consecutiveLosses")
    return streak


def _last_trade_of(known: Sequence[Happened], *, complete: bool) -> datetime | None:
    for event in reversed(known):
        if _is_simulated(event) or (event.type == SUBMIT and _reserves(event)):
            return event.at
    if not complete:
        raise Unknowable("lastTradeAt")
    return None


def _pause_of(known: Sequence[Happened], *, complete: bool) -> tuple[datetime | None, Reason | None]:
    for event in reversed(known):
        if event.type != RISK or event.run_id is not None:
            continue
        match event.payload["action"]:
            case "paused":
                return datetime.fromisoformat(event.payload["until"]), Reason(event.payload["reason"])
            case "expired" | "resumed":
                return None, None
    if not complete:
        raise Unknowable("pausedUntil")
    return None, None


def _reserves(event: Happened) -> bool:
    """RESERVE comes with a leg's first attempt; later ones carry it on (decision 20)."""
    return bool(event.payload.get("reserved")) and event.payload["attempt"] == 1


def _is_simulated(event: Happened) -> bool:
    return event.type == CLOSED and bool(event.payload.get("simulated"))
