"""What must hold before a run may be activated: switch off, symbol and leverage allowed, money linked."""

from __future__ import annotations

from core.config import Settings
from core.errors import Reason
from core.key_rights import SENTENCES, problem_of
from core.leverage import largest_notional, leverage_problem
from core.run import Run, TradingMode
from facade.bridge import Account, AccountKind, Connection, Keys, Store
from facade.endpoint import Call
from facade.errors import ApiError, refused


def preflight(
    store: Store, run: Run, settings: Settings, keys: Keys | None, *, new_account: Account | None = None
) -> None:
    """Raises the first refusal: 423 for the global switch, 422 for the rest.

    `new_account`: the run's, where it is still to be created. `keys`: where this process has master keys; without
    them it trades on no connection, and another answers for that.
    """
    _platform_open(store)
    symbol_allowed(run.strategy.symbol, settings)
    within_leverage(run.settings.leverage, settings.max_leverage)
    if run.trading_mode is TradingMode.SIGNALS:
        return
    account = new_account
    if account is None and run.account_id is not None:
        account = store.account(run.account_id)
    if account is None or account.user_id != run.user_id:
        raise ApiError(422, "The run has neither portfolio nor exchange connection.", code="NO_PORTFOLIO")
    _account_open(account)
    within_leverage(run.settings.leverage, account.max_leverage)
    if account.kind is AccountKind.CONNECTION and keys is not None:
        _may_trade(keys.connections.get(account.id))


def switches_off(store: Store, run: Run) -> None:
    """A switch blocks exits too; past it only an operator has positions closed (invariants)."""
    _platform_open(store)
    account = store.account(run.account_id) if run.account_id is not None else None
    if account is not None:
        _account_open(account)


def _platform_open(store: Store) -> None:
    platform = store.platform()
    if platform.kill_switch:
        raise refused(
            Reason.KILL_SWITCH, f"The kill switch is on: {platform.kill_switch_reason or 'no reason given'}."
        )


def _account_open(account: Account) -> None:
    if account.kill_switch:
        raise ApiError(422, f"The kill switch of {account.name} is on.", code="ACCOUNT_KILL_SWITCH")


async def answers_alike(call: Call, run: Run) -> None:
    """Code that was seen to answer differently for the same candles does not go live; its next version may."""
    if run.trading_mode is not TradingMode.LIVE:
        return
    strategy = run.strategy
    if await call.bridge.read(lambda reads: reads.answers_differently(strategy.id, strategy.version)):
        raise ApiError(
            422,
            "The strategy answers differently for the same candles; it does not go live.",
            code="NOT_DETERMINISTIC",
        )


async def within_tiers(call: Call, run: Run) -> None:
    """What only the venue knows: whether it carries the run's leverage at the size of its positions.

    A venue that does not answer now refuses the leverage itself, before the run's first entry.
    """
    keys, account_id, symbol = call.services.keys, run.account_id, run.strategy.symbol
    if keys is None or account_id is None or run.trading_mode is not TradingMode.LIVE:
        return
    connection = await call.bridge.ask(lambda store: keys.connections.get(account_id))
    tiers = None if connection is None else await keys.leverage_tiers(connection, symbol)
    if connection is None or tiers is None:
        return
    notional = largest_notional(run.settings, connection.max_notional)
    problem = leverage_problem(run.settings.leverage, notional, tiers)
    if problem is not None:
        raise refused(
            Reason.LEVERAGE_TOO_HIGH, f"{connection.venue.capitalize()} does not carry {symbol}: {problem}."
        )


def symbol_allowed(symbol: str, settings: Settings) -> None:
    if symbol not in settings.symbol_whitelist:
        allowed = ", ".join(settings.symbol_whitelist)
        raise refused(
            Reason.SYMBOL_NOT_ALLOWED, f"{symbol} is not among the symbols allowed here: {allowed}."
        )


def within_leverage(leverage: int, allowed: int) -> None:
    if leverage > allowed:
        raise refused(
            Reason.LEVERAGE_TOO_HIGH, f"A leverage of {leverage} is above the {allowed} allowed here."
        )


def _may_trade(connection: Connection | None) -> None:
    """What the venue last said of the key still stands: a run stopped for it does not begin again (I19)."""
    if connection is None or connection.rights is None:
        raise ApiError(422, "The exchange connection has no tested keys.", code="CONNECTION_NOT_TESTED")
    problem = problem_of(connection.rights)
    if problem is not None:
        raise ApiError(422, SENTENCES[problem], code=problem.upper())
