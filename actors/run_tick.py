"""A tick at work in a StrategyRun, the words the actor says to itself, and what a tick leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from actors.messages import AdapterFailed, AdapterRecovered, ClaimedTick, EvaluateSlot, Evaluation, TickDue
from core.clock import Clock
from core.errors import Reason
from core.lease import Lease
from core.market import SymbolRules
from core.order import Order
from core.position import Position
from core.published_signal import Said
from core.risk import verdicts
from core.run import Run
from core.signal import Action, Signal
from core.sizing import Money
from core.strategies.external import is_external
from core.tick import Facts, Working
from schema.ops import REQUEST_ID
from schema.records import Account, TickRow, TickStatus

OUTDATED = frozenset(
    {
        Reason.ALREADY_OPEN,
        Reason.NOTHING_TO_EXIT,
        Reason.EXIT_TOO_LARGE,
        Reason.OPEN_LEG,
        Reason.UNKNOWN_ORDER,
    }
)
"""Refusals that say that the rows hold another position, or another open order, than was believed here."""

_HOLD = Action.HOLD


class LoadAgain(msgspec.Struct, frozen=True):
    """The wait after a failed load is over."""


class ReconcileDue(msgspec.Struct, frozen=True):
    """Time to ask again about orders whose fate is open."""


class AttemptDue(msgspec.Struct, frozen=True):
    """The wait before the next attempt of the leg at work is over."""

    fence: int


class TrustOver(msgspec.Struct, frozen=True):
    """Trust in the lease with this fence has run out."""

    fence: int


class Tick(msgspec.Struct, kw_only=True):
    """The tick at work; `working` is None until a leg is proposed."""

    due: ClaimedTick
    evaluation: Evaluation
    blocked: Reason | None = None
    working: Working | None = None
    owed: bool = False
    """An exit taken up again after its tick: it has no tick row of its own."""


def asked_anew(tick: ClaimedTick, run: Run, position: Position) -> EvaluateSlot | None:
    """The evaluation the run's tick needs: it had none, or one of another version than the run follows by now.

    It says what the run holds, for strategies that look at it.

    None where the slot is no close of that version's timeframe.
    """
    strategy, slot = run.strategy, tick.claim.slot
    if strategy.timeframe.floor(slot) != slot:
        return None
    mine = msgspec.structs.replace(tick, strategy_version=strategy.version)
    held = None if position.is_flat else position
    return EvaluateSlot(definition=strategy, slot=slot, ticks=(mine,), position_told=True, position=held)


def bars_entry(due: TickDue, run: Run) -> Reason | None:
    """Why a signal from outside may close what is held and open nothing: price or symbol are others than meant."""
    evaluation = due.evaluation
    if evaluation is None or not is_external(run.strategy):
        return None
    if due.tick.strategy_version != run.strategy.version:
        return Reason.SETTINGS_CHANGED
    return evaluation.bars_entry


def seen_from(evaluation: Evaluation, position: Position) -> Evaluation:
    """What closes whichever side is held closes this one."""
    if not evaluation.closes or evaluation.signal is None or position.quantity >= 0:
        return evaluation
    signal = msgspec.structs.replace(evaluation.signal, action=Action.EXIT_SHORT)
    return msgspec.structs.replace(evaluation, signal=signal)


def order_at_work(tick: Tick | None) -> Order | None:
    """The latest order of the leg the tick works on, as last heard of."""
    return None if tick is None or tick.working is None else tick.working.order


def facts_of(
    tick: Tick,
    *,
    run: Run,
    position: Position,
    account: Account | None,
    money_from_claim: bool,
    rules: SymbolRules,
    now: datetime,
) -> Facts:
    """What the next step may look at. Money comes from the claim unless the account was read after it."""
    signal, price = tick.evaluation.signal, tick.evaluation.price
    assert signal is not None
    assert price is not None
    claim = tick.due.claim
    assert account is not None
    free = claim.balance - claim.used_margin if money_from_claim else account.free_margin
    return Facts(
        run=run,
        position=position,
        money=Money(
            free_margin=free,
            taker_fee_pct=account.taker_fee_pct,
            slippage_pct=account.slippage_pct,
            max_leverage=account.max_leverage,
            max_notional=account.max_notional,
        ),
        rules=rules,
        price=price,
        signal=signal,
        slot=claim.slot,
        now=now,
        blocked=tick.blocked,
        expires_at=tick.evaluation.expires_at,
    )


def tick_row(
    due: ClaimedTick,
    *,
    status: TickStatus,
    reason: str | None,
    evaluation: Evaluation | None,
    clock: Clock,
    worker: str,
) -> TickRow:
    """The one row of a run in a slot, finished now."""
    claim = due.claim
    signal = None if evaluation is None else evaluation.signal
    return TickRow(
        run_id=claim.run_id,
        user_id=claim.user_id,
        slot=claim.slot,
        status=status,
        signal=None if signal is None else signal.action._value_,  # `value` is a property, four times as slow
        score=None if signal is None else signal.score,
        said=None
        if evaluation is None or signal is None or signal.action is _HOLD
        else _said(evaluation, signal),
        reason=None if reason is None else str(reason),
        source=due.ask.source,
        asked_at=due.ask.at,
        request_id=due.ask.request_id,
        scheduled_at=claim.slot,
        finished_at=clock.now(),
        latency_ms=max(0.0, clock.monotonic() - due.closed_at_s) * 1_000,
        worker=worker,
        fence=claim.fence,
        evaluation=None if evaluation is None else evaluation.id,
    )


def _said(evaluation: Evaluation, signal: Signal) -> Said:
    return Said(
        price=evaluation.price if signal.price is None else signal.price,
        size_factor=signal.size_factor,
        leverage=signal.leverage,
        confidence=signal.confidence,
        reason=signal.reason,
    )


def lease_of(tick: Tick, worker: str) -> Lease:
    """The lease the tick decides under."""
    claim = tick.due.claim
    return Lease(
        run_id=claim.run_id, owner=worker, fence=claim.fence, trusted_until_s=tick.due.trusted_until_s
    )


def adapter_news(tick: Tick, working: Working, run: Run | None) -> AdapterFailed | AdapterRecovered | None:
    """What a tick that ends says about the run's connection: at most one failure (invariants §5).

    A tick the venue was not asked in, or did not take an order in, leaves the counter as it is.
    """
    claim = tick.due.claim
    if working.venue_failure is not None:
        detail = working.order.reason if working.order is not None else None
        return AdapterFailed(
            run_id=claim.run_id,
            slot=claim.slot,
            kind=working.venue_failure,
            detail=detail or working.venue_failure,
        )
    if working.venue_answered and run is not None and run.adapter_errors:
        return AdapterRecovered(run_id=claim.run_id)
    return None


def why(tick: Tick) -> Mapping[str, Any]:
    """What is stored beside an order so that "why did it trade" is one query."""
    signal = tick.evaluation.signal
    assert signal is not None
    request_id = tick.due.ask.request_id
    return {
        **({} if request_id is None else {REQUEST_ID: request_id}),
        "signal": signal.action.value,
        "reason": signal.reason,
        "score": signal.score,
        "indicators": dict(signal.indicators),
        "gate": "open" if tick.blocked is None else str(tick.blocked),
        "gates": {} if tick.owed else _gates(tick.due),
        "source": tick.due.ask.source.value,
    }


def _gates(due: ClaimedTick) -> Mapping[str, str]:
    """What each gate said of the claim; an exit passes those of risk all the same."""
    claim = due.claim
    switch = {Reason.KILL_SWITCH.value: "shut" if claim.kill_switch else "open"}
    return switch | verdicts(claim.risk, claim.limits, due.gated_at or claim.slot)
