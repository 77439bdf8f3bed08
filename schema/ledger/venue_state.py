"""What a live venue holds beside what our fills say: drift of a position, and the protection that stands.

Seen again and again; only what has changed is written and told (I17).
"""

from __future__ import annotations

from msgspec.structs import replace

from core.errors import RunnerError
from core.ids import AccountId, RunId
from core.position import FLAT, is_plausible
from core.run import Run
from schema.ledger.payloads import plain
from schema.ops import (
    BalanceChecked,
    ObserveBalance,
    ObservePosition,
    ObserveProtection,
    ObserveTrail,
    PositionChecked,
)
from schema.records import AccountKind, OpenPosition
from schema.tx import Tx


def observe_position(tx: Tx, op: ObservePosition) -> PositionChecked:
    if not op.quantity.is_finite():
        raise RunnerError(f"run {op.run_id}: the venue holds {op.quantity} of {op.symbol}, which cannot be")
    run, held = _held(tx, op.run_id, op.account_id, op.symbol)
    drift = op.quantity - held.position.quantity
    if drift == held.drift:
        return PositionChecked(run_id=run.id, held=held, changed=False)
    after = replace(held, drift=drift)
    tx.save_position(after)
    payload = plain(symbol=op.symbol, venue=op.quantity, ours=held.position.quantity, drift=drift)
    tx.append_event(user_id=run.user_id, run_id=run.id, type="drift", at=tx.now(), payload=payload)
    return PositionChecked(run_id=run.id, held=after, changed=True)


def observe_balance(tx: Tx, op: ObserveBalance) -> BalanceChecked:
    """Deposits, withdrawals and what was booked before we looked; the equity curve shows the step."""
    account = tx.lock_account(op.account_id, write=True)
    if account is None or account.user_id != op.user_id or account.kind is not AccountKind.CONNECTION:
        raise RunnerError(f"account {op.account_id} is no connection of {op.user_id}")
    if not is_plausible(op.balance):
        raise RunnerError(f"account {op.account_id}: its venue says {op.balance} USDT, which cannot be")
    if op.balance == account.balance:
        return BalanceChecked(account=account, changed=False)
    after = replace(account, balance=op.balance)
    tx.save_account_money(after, at=tx.now())
    return BalanceChecked(account=after, changed=True)


def observe_protection(tx: Tx, op: ObserveProtection) -> PositionChecked:
    run, held = _held(tx, op.run_id, op.account_id, op.symbol)
    after = replace(held, standing_stop=op.stop_loss, standing_target=op.take_profit, standing_trail=op.trail)
    if after == held and op.failure is None:
        return PositionChecked(run_id=run.id, held=held, changed=False)
    if after != held:
        tx.save_position(after)
    payload = plain(
        symbol=op.symbol,
        stop_loss=op.stop_loss,
        take_profit=op.take_profit,
        trail=op.trail,
        unprotected_s=round(op.unprotected_s, 3),
        failure=op.failure,
    )
    tx.append_event(user_id=run.user_id, run_id=run.id, type="protection", at=tx.now(), payload=payload)
    return PositionChecked(run_id=run.id, held=after, changed=True)


def observe_trail(tx: Tx, op: ObserveTrail) -> PositionChecked:
    """The candles up to `at` are checked with it: an account rebuilt from this row goes on after them."""
    run, held = _held(tx, op.run_id, op.account_id, op.symbol)
    position, best = held.position, held.trail_best
    moved = best is None or (op.best - best) * position.quantity > 0
    same = not position.is_flat and position.opened_at == op.opened_at and held.trail_pct is not None
    if not same or not moved:
        return PositionChecked(run_id=run.id, held=held, changed=False)
    if not is_plausible(op.best):
        raise RunnerError(f"run {op.run_id}: a best price of {op.best} cannot be")
    after = replace(held, trail_best=op.best, updated_at=max(held.updated_at, op.at))
    tx.save_position(after)
    return PositionChecked(run_id=run.id, held=after, changed=True)


def _held(tx: Tx, run_id: RunId, account_id: AccountId, symbol: str) -> tuple[Run, OpenPosition]:
    """The run and its position locked; a run that never traded has a flat one."""
    run = tx.lock_run(run_id)
    if run is None or run.account_id != account_id:
        raise RunnerError(f"run {run_id} does not trade on account {account_id}")
    held = tx.position(run_id)
    if held is not None:
        return run, held
    flat = OpenPosition(
        run_id=run.id,
        user_id=run.user_id,
        account_id=account_id,
        symbol=symbol,
        leverage=run.settings.leverage,
        position=FLAT,
        updated_at=tx.now(),
    )
    return run, flat
