"""The names older deployments gave their tables and columns; docs/importing.md has the same as a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from core.errors import RunnerError

DEFINITION_TABLES: Final = ("strategy_definitions", "trading_strategies", "user_strategies", "strategies")
RUN_TABLES: Final = (
    *("bots", "user_bots", "trading_bots", "bot_deployments", "deployments", "strategy_deployments"),
    *("subscriptions", "strategy_subscriptions", "user_strategy_subscriptions", "user_subscriptions"),
)

ALIASES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "id": ("id", "bot_id", "deployment_id", "subscription_id", "uuid"),
        "user": ("user_id", "owner_id", "subscriber_id", "created_by", "profile_id", "user"),
        "strategy": ("strategy_id", "strategy_definition_id", "definition_id"),
        "name": ("name", "bot_name", "strategy_name", "title", "label"),
        "template": ("strategy_template", "strategy_type", "template", "template_name", "strategy", "type"),
        "params": ("strategy_params", "params", "parameters", "strategy_config", "config", "settings"),
        "symbol": ("symbol", "trading_pair", "pair", "ticker", "instrument"),
        "timeframe": ("timeframe", "interval", "resolution", "candle_interval"),
        "status": ("status", "state", "bot_status"),
        "active": ("is_active", "active", "is_running", "running", "enabled"),
        "deleted": ("deleted_at", "archived_at", "is_deleted"),
        "capital": (
            *("initial_capital_usdt", "initial_capital", "capital_usdt", "capital", "paper_bankroll_usd"),
            *("bankroll", "budget_usdt", "allocated_capital"),
        ),
        "order_size_pct": ("order_size_pct", "order_size_percent", "position_size_pct", "size_pct"),
        "risk_pct": ("risk_pct", "risk_percent", "risk_per_trade_pct"),
        "take_profit_pct": ("take_profit_pct", "take_profit_percent", "tp_pct"),
        "stop_loss_pct": ("stop_loss_pct", "stop_loss_percent", "sl_pct"),
        "take_profit": ("take_profit", "take_profit_price"),
        "stop_loss": ("stop_loss", "stop_loss_price"),
        "leverage": ("leverage",),
        "direction": ("direction", "trade_direction", "position_side"),
        "margin_mode": ("margin_mode", "margin_type"),
        "position_mode": ("position_mode",),
        "connection": ("exchange_connection_id", "connection_id", "api_key_id", "exchange_account_id"),
    }
)
"""What the importer reads, and the columns it takes for it; the first that is there counts."""


class UnknownLayout(RunnerError):
    """A database in which no table is one that can be read."""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table and, for each thing the importer reads, the column it stands in."""

    name: str
    columns: Mapping[str, str]


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """`runs`: a row, a user's bot or subscription. `definitions`: what subscriptions point to.

    Without a table of runs the rows of `definitions` are the bots.
    """

    definitions: Table | None
    runs: tuple[Table, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        return self.runs if self.definitions is None else (self.definitions, *self.runs)


def layout_of(tables: Mapping[str, Iterable[str]]) -> Layout:
    """What of these tables (name → columns) can be read. Raises UnknownLayout, naming what was looked for."""
    known = {name: Table(name=name, columns=columns_of(columns)) for name, columns in tables.items()}
    definitions = next(
        (known[name] for name in DEFINITION_TABLES if name in known and _defines(known[name])), None
    )
    runs = tuple(
        known[name]
        for name in RUN_TABLES
        if name in known and _is_of_users(known[name], points=definitions is not None)
    )
    if not runs and (definitions is None or "user" not in definitions.columns):
        raise UnknownLayout(_refusal(tables))
    return Layout(definitions=definitions, runs=runs)


def columns_of(columns: Iterable[str]) -> dict[str, str]:
    """For each thing the importer reads that is among these columns or keys: the one it stands in."""
    by_spelling = {snake(column): column for column in reversed(list(columns))}
    return {
        meaning: by_spelling[found]
        for meaning, aliases in ALIASES.items()
        if (found := next((alias for alias in aliases if alias in by_spelling), None)) is not None
    }


def snake(name: str) -> str:
    """`orderSizePct` as `order_size_pct`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _defines(table: Table) -> bool:
    return {"id", "template"} <= table.columns.keys() and _has_market(table)


def _is_of_users(table: Table, *, points: bool) -> bool:
    own = "template" in table.columns and _has_market(table)
    pointing = points and "strategy" in table.columns
    return {"id", "user"} <= table.columns.keys() and (own or pointing)


def _has_market(table: Table) -> bool:
    """Symbol and timeframe as columns, or a column of JSON that may hold them."""
    return {"symbol", "timeframe"} <= table.columns.keys() or "params" in table.columns


def _refusal(tables: Mapping[str, Iterable[str]]) -> str:
    wanted = {meaning: " or ".join(ALIASES[meaning]) for meaning in ("id", "user", "template", "strategy")}
    there = ", ".join(sorted(tables)[:20]) or "none"
    return (
        f"No table here is one of an older deployment. Looked for bots ({', '.join(RUN_TABLES)}) with {wanted['id']}; "
        f"{wanted['user']}; {wanted['template']}, symbol and timeframe (or {wanted['strategy']}), and for definitions "
        f"({', '.join(DEFINITION_TABLES)}). Tables there are: {there}."
    )
