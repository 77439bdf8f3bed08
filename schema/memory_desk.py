"""The desk's operations on the memory store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from core.definition import StrategyDefinition
from core.errors import Conflict, RunnerError
from core.ids import AccountId, RunId, StrategyId
from core.run import Run, RunStatus
from schema.ledger.desk import archive_if_ended
from schema.memory_rows import AccountRow, RunRow
from schema.memory_tx import MemoryTx
from schema.records import Account


class MemoryDeskTx(MemoryTx):
    """`DeskTx`. Whether a run was made by subscribing is asked by nobody here."""

    def create_strategy(self, definition: StrategyDefinition) -> None:
        if definition.id in self._tables.strategies:
            raise Conflict(f"there is a strategy {definition.id} already")
        self.undo.set_item(self._tables.strategies, definition.id, definition)

    def create_account(self, account: Account) -> None:
        if account.id in self._tables.accounts:
            raise Conflict(f"there is an account {account.id} already")
        self.undo.set_item(self._tables.accounts, account.id, AccountRow(account))

    def create_run(self, run: Run, *, subscribed: bool) -> None:
        tables = self._tables
        if run.id in tables.runs:
            raise Conflict(f"there is a run {run.id} already")
        if run.strategy.id not in tables.strategies:
            raise RunnerError(f"there is no strategy {run.strategy.id}")
        account = None if run.account_id is None else self._account(run.account_id)
        if account is not None and account.account.user_id != run.user_id:
            raise RunnerError(f"account {run.account_id} is not {run.user_id}'s")
        row = RunRow(run, tables.user(run.user_id), account)
        if run.account_id is not None:
            self._take_place(row, run.account_id, run.strategy.symbol)
        self.undo.set_item(tables.runs, run.id, row)
        tables.note_change(row)

    def lock_strategy(self, strategy_id: StrategyId) -> StrategyDefinition | None:
        archived = strategy_id in self._tables.archived
        return None if archived else self._tables.strategies.get(strategy_id)

    def lock_runs_of(self, strategy_id: StrategyId) -> list[Run]:
        of_it = (row for row in self._tables.runs.values() if row.run.strategy.id == strategy_id)
        unarchived = [row.current() for row in of_it if row.run.status is not RunStatus.ARCHIVED]
        return sorted(unarchived, key=lambda run: run.id)

    def save_revision(self, definition: StrategyDefinition) -> None:
        self.undo.set_item(self._tables.strategies, definition.id, definition)

    def follow_revision(self, run_ids: Sequence[RunId], symbol: str) -> None:
        tables = self._tables
        for run_id in run_ids:
            row = tables.runs[run_id]
            run = row.current()
            if symbol != run.strategy.symbol and run.account_id is not None:
                self._leave_place(row, run.account_id, run.strategy.symbol)
                self._take_place(row, run.account_id, symbol)
            latest = tables.strategies[run.strategy.id]
            self.undo.set_attribute(row, "run", replace(run, strategy=latest, version=run.version + 1))
            tables.note_change(row)

    def archive_strategy(self, strategy_id: StrategyId) -> None:
        self.undo.set_item(self._tables.archived, strategy_id, None)

    def save_run_settings(self, run: Run) -> None:
        row = self._tables.runs[run.id]
        saved = replace(row.current(), settings=run.settings, version=row.run.version + 1)
        self.undo.set_attribute(row, "run", saved)
        self._tables.note_change(row)

    def tell_runs(self, runs: Sequence[Run], kind: str, *, at: datetime, payload: Mapping[str, Any]) -> None:
        for run in runs:
            self.append_event(user_id=run.user_id, run_id=run.id, type=kind, at=at, payload=payload)

    def set_ending(self, run_id: RunId) -> bool:
        if run_id in self._tables.ending:
            return False
        self.undo.set_item(self._tables.ending, run_id, None)
        return True

    def archive_ended(self) -> list[RunId]:
        cancelled = [run_id for run_id in sorted(self._tables.ending) if not self._is_archived(run_id)]
        return [run_id for run_id in cancelled if archive_if_ended(self, run_id)]

    def _is_archived(self, run_id: RunId) -> bool:
        return self._tables.runs[run_id].run.status is RunStatus.ARCHIVED

    def _account(self, account_id: AccountId) -> AccountRow:
        row = self._tables.accounts.get(account_id)
        if row is None:
            raise RunnerError(f"there is no account {account_id}")
        return row

    def _take_place(self, row: RunRow, account_id: AccountId, symbol: str) -> None:
        """One run per account and symbol that is not archived (decision 13)."""
        others = self._tables.runs_of.setdefault((account_id, symbol), [])
        if any(other.run.status is not RunStatus.ARCHIVED for other in others):
            raise Conflict(f"a run trades {symbol} on account {account_id} already")
        self.undo.append(others, row)

    def _leave_place(self, row: RunRow, account_id: AccountId, symbol: str) -> None:
        others = self._tables.runs_of[account_id, symbol]
        self.undo.set_item(
            self._tables.runs_of, (account_id, symbol), [each for each in others if each is not row]
        )
