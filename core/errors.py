"""Errors and reason codes of the core.

RunnerError            one clear sentence for whoever caused it; never a secret
├── SettingsError      settings that cannot be used, all named together
├── IllegalTransition  a change of state the tables do not allow, caused by us
├── ImpossibleVenueData numbers no venue can truthfully report (invariants §7)
└── Conflict           the row has moved on: compare-and-set failed
"""

from __future__ import annotations

from enum import StrEnum


class RunnerError(Exception):
    """A refusal that reads as one sentence."""


class SettingsError(RunnerError):
    """One or several settings cannot be used."""


class IllegalTransition(RunnerError):
    """The state tables do not allow this change; nothing was changed."""


class ImpossibleVenueData(RunnerError):
    """Venue data that cannot be; it has entered no arithmetic."""


class Conflict(RunnerError):
    """The row changed since it was read, or a uniqueness rule refuses it."""


class Reason(StrEnum):
    """Stable codes beside the prose: why a tick, an intent or an order went no further."""

    PAUSED = "paused"
    DAILY_LOSS = "daily_loss"
    CONSECUTIVE_LOSSES = "consecutive_losses"
    MAX_TRADES = "max_trades"
    COOLDOWN = "cooldown"
    KILL_SWITCH = "kill_switch"
    NOT_ACTIVE = "not_active"
    LEASE_LOST = "lease_lost"
    LATE_ENTRY = "late_entry"
    LATE_EXIT = "late_exit"
    UNKNOWN_ORDER = "unknown_order"
    OPEN_LEG = "open_leg"
    NO_CANDLES = "no_candles"
    CANDLE_GAP = "candle_gap"
    MARKET_DATA = "market_data"
    TOO_FEW_CANDLES = "too_few_candles"
    STRATEGY_ERROR = "strategy_error"
    DIRECTION = "direction"
    ALREADY_OPEN = "already_open"
    NOTHING_TO_EXIT = "nothing_to_exit"
    EXIT_TOO_LARGE = "exit_too_large"
    SYMBOL_NOT_ALLOWED = "symbol_not_allowed"
    LEVERAGE_TOO_HIGH = "leverage_too_high"
    BELOW_MIN_QUANTITY = "below_min_quantity"
    BELOW_MIN_NOTIONAL = "below_min_notional"
    OFF_GRID = "off_grid"
    NO_FREE_MARGIN = "no_free_margin"
    NO_STOP = "no_stop"
    DRIFT = "drift"
    NO_RULES = "no_rules"
    ADAPTER_ERROR = "adapter_error"
    RATE_LIMITED = "rate_limited"
    REJECTED = "rejected"
    NOT_FILLED = "not_filled"
    HALTED = "halted"
    INTERRUPTED = "interrupted"
    STORE_UNAVAILABLE = "store_unavailable"
    MANUAL_ONLY = "manual_only"
    RUNNER_DISABLED = "runner_disabled"
    BREAKER = "breaker"
    QUEUE_FULL = "queue_full"
    DOWN = "down"
    SETTINGS_CHANGED = "settings_changed"
    HOST_BUSY = "host_busy"
    SANDBOX_AWAY = "sandbox_away"
    EXPIRED = "expired"
    OUTSIDE_COLLAR = "outside_collar"
