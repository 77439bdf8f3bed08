"""Changes of a run's status, each with its event in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from core.errors import RunnerError
from core.ids import RunId
from core.run import Run, RunCommand, RunStatus, after_adapter_error, transition
from schema.ledger.payloads import plain
from schema.tx import Tx

ADAPTER = "adapter"
"""`source` of the event `error` that counts as an adapter error; `Tx.adapter_causes` reads these back."""


def command_run(tx: Tx, run_id: RunId, command: RunCommand, by: str, reason: str | None) -> Run:
    """The run after `command`. Raises IllegalTransition, the row unchanged; same state: no event."""
    run = _lock(tx, run_id)
    held = tx.position(run_id)
    flat = held is None or held.position.is_flat
    change = transition(run, command, flat=flat, open_orders=tx.has_open_orders(run_id))
    if not change.changed:
        return run
    return _move(tx, replace(run, adapter_errors=change.adapter_errors), change.status, by=by, reason=reason)


def adapter_failed(tx: Tx, run_id: RunId, *, slot: datetime, kind: str, detail: str) -> Run:
    """Counter + 1 with event `error`, once per slot; the third pauses an active run, causes named."""
    run = _lock(tx, run_id)
    causes = tx.adapter_causes(run_id)
    if any(cause["slot"] == slot.isoformat() for cause in causes):
        return run
    verdict = after_adapter_error(run)
    counted = replace(run, adapter_errors=verdict.adapter_errors)
    cause = plain(source=ADAPTER, slot=slot, kind=kind, detail=detail, adapter_errors=counted.adapter_errors)
    tx.append_event(user_id=run.user_id, run_id=run.id, type="error", at=tx.now(), payload=cause)
    if not verdict.auto_pause:
        return _save(tx, counted)
    reason = f"{verdict.adapter_errors} adapter errors in a row, the last: {kind}"
    named = [cause, *causes][:3]
    return _move(tx, counted, RunStatus.AUTO_PAUSED, by="policy", reason=reason, causes=named)


def adapter_recovered(tx: Tx, run_id: RunId) -> Run:
    """Counter back to 0; a run paused meanwhile keeps its count until it is resumed."""
    run = _lock(tx, run_id)
    if run.adapter_errors == 0 or run.status is not RunStatus.ACTIVE:
        return run
    return _save(tx, replace(run, adapter_errors=0))


def _lock(tx: Tx, run_id: RunId) -> Run:
    run = tx.lock_run(run_id)
    if run is None:
        raise RunnerError(f"there is no run {run_id}")
    return run


def _move(
    tx: Tx,
    run: Run,
    status: RunStatus,
    *,
    by: str,
    reason: str | None,
    causes: Sequence[Mapping[str, Any]] = (),
) -> Run:
    now = tx.now()
    activated_at = now if status is RunStatus.ACTIVE else run.activated_at
    moved = replace(run, status=status, status_reason=reason, activated_at=activated_at)
    payload = plain(status=status.value, before=run.status.value, by=by, reason=reason)
    if causes:
        payload["causes"] = [dict(cause) for cause in causes]
    saved = _save(tx, moved)
    tx.append_event(user_id=run.user_id, run_id=run.id, type="run.status", at=now, payload=payload)
    return saved


def _save(tx: Tx, run: Run) -> Run:
    """The run as its row now says: saving bumps the version."""
    tx.save_run_status(run)
    return replace(run, version=run.version + 1)
