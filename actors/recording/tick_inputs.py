"""What each run's latest tick was decided on, kept during a replay for the report of a difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from actors.messages import run_name
from actors.recording.canonical import text
from actors.recording.entries import TurnEntry
from core.ids import RunId
from schema.memory import MemoryStore


class About(msgspec.Struct, frozen=True, kw_only=True):
    slot: str | None = None
    user_id: str | None = None
    strategy: str | None = None
    inputs: Mapping[str, Any] = {}


class TickInputs:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._due: dict[str, msgspec.Raw] = {}
        self._candles: dict[tuple[str, str], Any] = {}

    def note(self, entry: TurnEntry) -> None:
        """A turn begins."""
        if entry.type == "TickDue":
            self._due[entry.actor] = entry.message
        elif entry.type == "Fetched":
            fetched = msgspec.json.decode(entry.message)
            series = fetched["series"]
            self._candles[series["symbol"], series["timeframe"]] = fetched["columns"]

    def of(self, run_id: str | None) -> About:
        """Its row, position and risk state as they stand, the tick it was last told of, the newest candles."""
        try:
            state = self._store.run_state(RunId(UUID(run_id))) if run_id is not None else None
        except ValueError:
            state = None
        if state is None:
            return About()
        run = state.run
        due = self._due.get(run_name(run.id))
        tick = None if due is None else msgspec.json.decode(due)
        claim = {} if tick is None else tick["tick"]["claim"]
        risk = self._store.risk(run.user_id)
        return About(
            slot=claim.get("slot"),
            user_id=run.user_id,
            strategy=f"{run.strategy.template} {run.strategy.symbol} {run.strategy.timeframe}",
            inputs={
                "candles fetched last": self._candles.get(
                    (run.strategy.symbol, run.strategy.timeframe.value)
                ),
                "evaluation": None if tick is None else tick["evaluation"],
                "kill switch": claim.get("kill_switch"),
                "risk at the claim": claim.get("risk"),
                "limits": _plain(risk.limits),
                "risk now": _plain(risk.state),
                "gate now": _plain(risk.blocked),
                "position": _plain(state.position),
                "open orders": _plain(state.open_orders),
            },
        )


def _plain(value: object) -> Any:
    return msgspec.json.decode(text(value))
