"""What connections have learnt of their venues, for the runs that trade there: clock and symbol filters by account.

Written by an account's own actor, read by runs; each entry is replaced whole, so readers need no lock. Bounded by the
accounts and symbols this process trades.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from core.ids import AccountId
from core.market import SymbolRules
from core.run import Run, TradingMode

_NOTHING = timedelta(0)
_LIVE = TradingMode.LIVE  # looked up once: an enum's member costs more than the comparison it is for


class RuleBook:
    """The filters a run's orders must pass: its live venue's own once they are read, else those everybody shares."""

    __slots__ = ("_knowledge", "_shared")

    def __init__(self, shared: Mapping[str, SymbolRules], knowledge: VenueKnowledge) -> None:
        self._shared = shared
        self._knowledge = knowledge

    def of(self, run: Run) -> SymbolRules | None:
        """None: the venue's are not read yet, so nothing can be ordered."""
        if run.trading_mode is _LIVE:
            return self._knowledge.rules(run.account_id, run.strategy.symbol)
        return self._shared[run.strategy.symbol]


class VenueKnowledge:
    __slots__ = ("_ahead", "_rules")

    def __init__(self) -> None:
        self._ahead: dict[AccountId, timedelta] = {}
        self._rules: dict[tuple[AccountId, str], SymbolRules] = {}

    def ahead(self, account_id: AccountId | None) -> timedelta:
        """How far the venue's clock runs ahead of market time; nothing where no venue has a clock of its own."""
        return _NOTHING if account_id is None else self._ahead.get(account_id, _NOTHING)

    def rules(self, account_id: AccountId | None, symbol: str) -> SymbolRules | None:
        """The venue's filters; None: not read yet."""
        return None if account_id is None else self._rules.get((account_id, symbol))

    def learn_clock(self, account_id: AccountId, ahead: timedelta) -> None:
        self._ahead[account_id] = ahead

    def learn_rules(self, account_id: AccountId, rules: SymbolRules) -> None:
        self._rules[account_id, rules.symbol] = rules
