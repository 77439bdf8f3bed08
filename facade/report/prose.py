"""The sentences of a report: what was assumed, why ticks went no further."""

from __future__ import annotations

from typing import Final

from actors.backtest import BacktestRequest, ReplayPath
from core.errors import Reason
from core.risk import RiskLimits
from core.run import RunSettings
from facade.report.document import RATIOS, plain

REASONS: Final = {
    Reason.PAUSED: "Paused after a loss limit",
    Reason.DAILY_LOSS: "Daily loss limit reached",
    Reason.CONSECUTIVE_LOSSES: "Too many losses in a row",
    Reason.MAX_TRADES: "Trades of the day used up",
    Reason.COOLDOWN: "Cooling down after a trade",
    Reason.DIRECTION: "Not this run's direction",
    Reason.ALREADY_OPEN: "Already in that position",
    Reason.NOTHING_TO_EXIT: "Nothing to exit",
    Reason.TOO_FEW_CANDLES: "Too little history yet",
    Reason.CANDLE_GAP: "Candles missing in the window",
    Reason.NO_FREE_MARGIN: "No free margin",
    Reason.BELOW_MIN_NOTIONAL: "Below the symbol's smallest order",
    Reason.BELOW_MIN_QUANTITY: "Below the symbol's smallest quantity",
    Reason.LEVERAGE_TOO_HIGH: "Leverage above the account's limit",
    Reason.EXPIRED: "Told to nobody in time",
    Reason.OUTSIDE_COLLAR: "Price outside the signal's collar",
    Reason.NOT_FILLED: "Not filled by the candle's volume",
}


def reason_text(reason: str) -> str:
    """A reason code in words; codes without a sentence of their own are spelled out."""
    known = {code.value: text for code, text in REASONS.items()}
    return known.get(reason) or reason.replace("_", " ").capitalize()


def is_generated(origin: str) -> bool:
    """The generator says so in its origin; nothing recorded begins with that word."""
    return origin.startswith("generated")


def path_text(path: str, reason: str | None) -> str:
    """How it was replayed, and why not faster."""
    if path == ReplayPath.FAST:
        return "Replayed by the fast path: every slot that can change anything, the rest counted."
    return f"Replayed slot by slot through the actors: {(reason or 'as asked').rstrip('.')}."


def assumptions(request: BacktestRequest, *, funding_known: bool, path: str) -> list[str]:
    """What the figures rest on, one sentence each."""
    slippage = f", worse by {plain(request.slippage_pct)} % slippage" if request.slippage_pct else ""
    return [
        f"A decision at a candle's close fills at the open of the candle that begins then{slippage}.",
        f"Fees: {plain(request.taker_fee_pct)} % taker, {plain(request.maker_fee_pct)} % maker of the traded value.",
        _funding(funding_known),
        f"Fills take at most {plain(request.participation_pct)} % of a candle's volume; the rest expires.",
        _protection(request.settings),
        _sizing(request.settings),
        _gates(request.limits),
        "PnL, ROI, win rate, profit factor and expectancy count closed trades, net of fees and funding.",
        "Equity and drawdown mark what is open at each candle's close.",
        f"Sharpe and Sortino: {RATIOS}; riskless rate 0.",
        path,
    ]


def _sizing(settings: RunSettings) -> str:
    return (
        f"Every entry uses {plain(settings.order_size_pct)} % of a fixed capital of "
        f"{settings.capital:,f} USDT at leverage {settings.leverage}; profits are not reinvested."
    )


def _funding(known: bool) -> str:
    if known:
        return "Funding is the recorded rate of each settlement."
    return "Funding is not known for these candles and counts as 0; real positions would have paid or received it."


def _protection(settings: RunSettings) -> str:
    target, stop = settings.take_profit_pct, settings.stop_loss_pct
    trailing = settings.trailing_callback_pct
    if target is None and stop is None and trailing is None:
        return "No take-profit or stop-loss beyond what the strategy's signals carry."
    wanted = [
        f"{name} at {plain(percent)} % of the entry price"
        for name, percent in (("take-profit", target), ("stop-loss", stop))
        if percent is not None
    ]
    if trailing is not None:
        since = (
            f"a move of {plain(settings.trailing_activation_pct)} %"
            if settings.trailing_activation_pct
            else "the entry"
        )
        wanted.append(
            f"trailing stop {plain(trailing)} % behind the best price since {since} "
            "(at the worst price of a candle that may have moved and met it)"
        )
    sentence = " and ".join(wanted)
    return (
        f"{sentence[0].upper()}{sentence[1:]}, at the trigger or at the open if the price gaps through it; "
        "when one candle touches both, the worse one counts."
    )


def _gates(limits: RiskLimits | None) -> str:
    if limits is None:
        return "The risk gates were off."
    return (
        f"Risk gates as live: daily loss {plain(limits.daily_max_loss_usdt)} USDT, "
        f"{limits.max_trades_per_day} trades a day, {limits.max_consecutive_losses} losses in a row, "
        f"{plain(limits.cooldown_after_trade_s)} s between trades, pause "
        f"{plain(limits.pause_duration_min)} minutes."
    )
