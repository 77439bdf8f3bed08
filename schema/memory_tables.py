"""The memory store's tables, shared by the store and its transactions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from core.candles import Candle
from core.definition import StrategyDefinition
from core.external_signal import ExternalSignal
from core.ids import AccountId, ClientOrderId, RunId, StrategyId, UserId
from core.market import Series
from core.order import Leg, Order
from core.risk import RiskLimits
from core.strategy_warning import StrategyWarning, WarningKind
from schema.memory_rows import AccountRow, RunRow, UserRow
from schema.records import Event, TickPlace, TickSource, Trade
from schema.tx import FillRow


class Tables:
    """Append-only history and rows by key. A user's row is made when first asked for."""

    def __init__(self, limits: RiskLimits) -> None:
        self.default_limits = limits
        self.strategies: dict[StrategyId, StrategyDefinition] = {}
        self.archived: dict[StrategyId, None] = {}
        self.accounts: dict[AccountId, AccountRow] = {}
        self.users: dict[UserId, UserRow] = {}
        self.runs: dict[RunId, RunRow] = {}
        self.runs_of: dict[tuple[AccountId, str], list[RunRow]] = {}
        # Cancelled, to be archived as soon as they are flat without open orders.
        self.ending: dict[RunId, None] = {}
        self.orders: dict[ClientOrderId, Order] = {}
        self.whys: dict[ClientOrderId, Mapping[str, Any]] = {}
        self.legs: dict[tuple[RunId, datetime, Leg], list[ClientOrderId]] = {}
        self.fills: dict[tuple[AccountId, str, str], FillRow] = {}
        self.trades: list[Trade] = []
        self.simulated: dict[UUID, None] = {}
        self.candles: dict[Series, dict[int, Candle]] = {}
        self.events: list[Event] = []
        self.lost_triggers: dict[TickPlace, dict[tuple[TickSource, str], datetime]] = {}
        # Signals from outside by strategy and key, and those that runs are owed yet.
        self.external: dict[StrategyId, dict[str, ExternalSignal]] = {}
        self.owed: dict[RunId, dict[datetime, ExternalSignal]] = {}
        self.warnings: dict[tuple[StrategyId, int, WarningKind], StrategyWarning] = {}
        self.fence = 0
        self.changes = 0
        """Changes of runs there have been; each row has the number of its last."""
        self.kill_switch = False
        self.kill_switch_reason: str | None = None

    def note_change(self, row: RunRow) -> None:
        row.changed = self.changes
        self.changes += 1

    def user(self, user_id: UserId) -> UserRow:
        row = self.users.get(user_id)
        if row is None:
            row = self.users[user_id] = UserRow(self.default_limits)
        return row
