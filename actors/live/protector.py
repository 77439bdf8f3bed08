"""Protection of an account's open positions: the stops they want stand at the venue, or they are closed.

A missing stop, one that stays or one that trails, is tried again for `REPAIR_S`; then the position is closed at market,
reduce-only (decision 22). A run whose policy is `MissingStop.CLOSE` does not wait: its position is closed once the stop
is seen to be missing or could not be placed at the first attempt. Part of a Connection, in its turns.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

import msgspec

from actors.live.news import PositionSettled, ProtectAgain, ProtectFailed, ProtectionStands, Swept
from actors.messages import Record
from actors.runtime.behaviour import Context
from core.backoff import Backoff
from core.ids import AccountId, RunId, UserId
from core.order import Leg
from core.position import FLAT, Position
from core.protection import Protection
from core.run import MissingStop
from exchanges.base import LiveExchange, ProtectionMoved, VenuePosition
from exchanges.errors import ExchangeError, Refusal, Rejected
from schema.ops import ObserveProtection

REPAIR_S = 10.0
"""How long a position may want its stop, process seconds, before it is closed."""
TIMEOUT_S = 8.0
"""One attempt: shorter than the bound, so that what hangs is noticed within it."""
RETRY = Backoff(min_s=0.5, max_s=4.0)
NOTHING = Protection()
MISSING = "missing"
"""Why a position is closed whose stop somebody took away."""


class Guarded(msgspec.Struct, kw_only=True):
    """One symbol of the account. `bare_since_s`: since when it has wanted a stop it has not (process time).

    `outdated`: what is being asked for may be of a smaller position than there is by now.
    """

    run_id: RunId
    user_id: UserId
    position: Position
    wanted: Protection = NOTHING
    standing: Protection | None = None
    bare_since_s: float | None = None
    bare_since: datetime | None = None
    attempts: int = 0
    asking: bool = False
    outdated: bool = False
    closing: bool = False


class Protector:
    """`policy`: a run's. `close` has a symbol's position closed at market."""

    __slots__ = ("_account_id", "_close", "_ctx", "_exchange", "_guarded", "_policy")

    def __init__(
        self,
        ctx: Context,
        account_id: AccountId,
        exchange: LiveExchange,
        *,
        policy: Callable[[RunId], MissingStop],
        close: Callable[[str], None],
    ) -> None:
        self._ctx = ctx
        self._account_id = account_id
        self._exchange = exchange
        self._policy = policy
        self._close = close
        self._guarded: dict[str, Guarded] = {}

    def guarded(self, symbol: str) -> Guarded | None:
        return self._guarded.get(symbol)

    def settled(self, news: PositionSettled) -> None:
        """The rows have moved: what they want must stand."""
        guarded = self._guarded.get(news.symbol)
        if guarded is None:
            if news.position.is_flat:
                return
            guarded = self._guarded[news.symbol] = Guarded(
                run_id=news.run_id, user_id=news.user_id, position=news.position
            )
        reopened = guarded.position.side is not news.position.side
        grew = (
            news.position.size > guarded.position.size
        )  # where a stop is of a quantity, it is of too small a one
        guarded.run_id, guarded.user_id, guarded.position = news.run_id, news.user_id, news.position
        wanted = NOTHING if news.position.is_flat else news.wanted
        if wanted == guarded.wanted and not reopened and not grew and guarded.standing is not None:
            return
        guarded.wanted, guarded.standing, guarded.attempts = wanted, None, 0
        if reopened:
            guarded.closing = False
        self._bare(guarded)
        self._ask(news.symbol, guarded)

    def known_open(self) -> frozenset[str]:
        return frozenset(symbol for symbol, each in self._guarded.items() if not each.position.is_flat)

    def forget(self, symbol: str) -> None:
        """Closed elsewhere, and its stop taken away there: nothing is asked of the venue, which may hold the next."""
        del self._guarded[symbol]

    def sweep(self, symbol: str, run_id: RunId, user_id: UserId) -> None:
        """Nothing is open, here and there: what an earlier process left standing goes, before it closes another's."""
        if symbol in self._guarded:
            return  # what stands there is being seen to
        self._guarded[symbol] = Guarded(run_id=run_id, user_id=user_id, position=FLAT, asking=True)
        exchange = self._exchange

        async def sweep() -> Swept:
            return Swept(symbol, await exchange.sweep(symbol))

        self._ctx.run(
            sweep(),
            lambda swept: swept,
            lambda error: ProtectFailed(symbol, NOTHING, error),
            timeout_s=TIMEOUT_S,
        )

    def doubts(self, news: ProtectionMoved) -> bool:
        """Whether what the venue tells is not what is known to stand for an open position."""
        guarded = self._guarded.get(news.symbol)
        if guarded is None or guarded.position.is_flat:
            return False
        known = guarded.standing
        if known is None:
            return True
        if news.leg is Leg.TRAILING_STOP:
            return known.trailing is not None
        return news.price != (known.stop_loss if news.leg is Leg.STOP_LOSS else known.take_profit)

    def seen(self, there: VenuePosition) -> None:
        """What the venue was just seen to hold for an open position."""
        symbol = there.symbol
        guarded = self._guarded.get(symbol)
        if guarded is None or guarded.asking or guarded.standing is None:
            return
        known, trail = guarded.standing, _measure(guarded.standing)
        if (known.stop_loss, known.take_profit, trail) == (there.stop_loss, there.take_profit, there.trail):
            return
        # Cancelled or changed by somebody else, or expired.
        trailing = None if there.trail is None or known.trailing is None else known.trailing
        if trailing is not None:
            trailing = msgspec.structs.replace(trailing, measure=there.trail)
        guarded.standing = Protection(
            stop_loss=there.stop_loss, take_profit=there.take_profit, trailing=trailing
        )
        wanted, missing = guarded.wanted, guarded.standing
        bare = (wanted.stop_loss is not None and missing.stop_loss is None) or (
            wanted.trailing is not None and trailing is None
        )
        if bare and self._bound_s(guarded) == 0.0:
            self._give_up(symbol, guarded, MISSING)
        else:
            self._tell(symbol, guarded)
        guarded.standing, guarded.attempts = None, 0
        self._bare(guarded)
        self._ask(symbol, guarded)

    def handle(self, news: ProtectionStands | Swept | ProtectFailed | ProtectAgain) -> None:
        guarded = self._guarded.get(news.symbol)
        if guarded is None:
            return
        match news:
            case ProtectAgain():
                if guarded.standing is None and not guarded.asking:
                    self._ask(news.symbol, guarded)
            case ProtectionStands():
                self._stands(guarded, news)
            case Swept():
                self._swept(guarded, news)
            case ProtectFailed():
                self._failed(guarded, news)

    def _bare(self, guarded: Guarded) -> None:
        if not guarded.wanted.limits_loss:
            guarded.bare_since_s = guarded.bare_since = None
        elif guarded.bare_since_s is None:
            guarded.bare_since_s = self._ctx.clock.monotonic()
            guarded.bare_since = self._ctx.clock.now()

    def _ask(self, symbol: str, guarded: Guarded) -> None:
        if guarded.asking:
            guarded.outdated = True
            return  # its answer is for what was wanted then, and has the new wish asked for
        guarded.asking, guarded.outdated = True, False
        wanted = guarded.wanted
        self._ctx.run(
            self._exchange.protect(symbol, wanted),
            lambda standing: ProtectionStands(symbol, wanted, standing),
            lambda error: ProtectFailed(symbol, wanted, error),
            timeout_s=TIMEOUT_S,
        )

    def _stands(self, guarded: Guarded, news: ProtectionStands) -> None:
        guarded.asking = False
        if news.wanted != guarded.wanted or guarded.outdated:
            self._ask(news.symbol, guarded)
            return
        wanted, stands = guarded.wanted, news.standing
        if (wanted.stop_loss is not None and stands.stop_loss is None) or (
            wanted.trailing is not None and stands.trailing is None
        ):
            self._failed(guarded, ProtectFailed(news.symbol, news.wanted, LookupError("no stop stands")))
            return
        guarded.standing, guarded.attempts = news.standing, 0
        self._tell(news.symbol, guarded)
        guarded.bare_since_s = guarded.bare_since = None
        if guarded.position.is_flat:
            del self._guarded[news.symbol]

    def _swept(self, guarded: Guarded, news: Swept) -> None:
        guarded.asking = False
        if guarded.outdated:
            self._ask(news.symbol, guarded)  # opened meanwhile
            return
        if news.any_stood:
            self._tell(news.symbol, guarded)
        del self._guarded[news.symbol]

    def _failed(self, guarded: Guarded, news: ProtectFailed) -> None:
        guarded.asking = False
        if news.wanted != guarded.wanted:
            self._ask(news.symbol, guarded)
            return
        passed = isinstance(news.error, Rejected) and news.error.refusal is Refusal.WOULD_TRIGGER
        bare_s = self._ctx.clock.monotonic() - (guarded.bare_since_s or self._ctx.clock.monotonic())
        bound_s = self._bound_s(guarded)
        if guarded.wanted.limits_loss and (passed or bare_s >= bound_s):
            self._give_up(news.symbol, guarded, _cause(news.error))
            if passed:
                return  # it would never stand; closing goes on until flat
        delay_s = RETRY.delay_s(guarded.attempts, 0.0)
        guarded.attempts += 1
        if guarded.bare_since_s is not None and not guarded.closing:
            delay_s = min(delay_s, max(0.0, bound_s - bare_s))
        self._ctx.after(delay_s, ProtectAgain(news.symbol))

    def _bound_s(self, guarded: Guarded) -> float:
        return 0.0 if self._policy(guarded.run_id) is MissingStop.CLOSE else REPAIR_S

    def _give_up(self, symbol: str, guarded: Guarded, cause: str) -> None:
        """Closing goes on until flat, also where the stop stands again meanwhile."""
        if guarded.closing:
            return
        guarded.closing = True
        self._tell(symbol, guarded, failure=cause)
        self._close(symbol)

    def _tell(self, symbol: str, guarded: Guarded, failure: str | None = None) -> None:
        standing = guarded.standing or NOTHING
        since = guarded.bare_since
        op = ObserveProtection(
            account_id=self._account_id,
            symbol=symbol,
            run_id=guarded.run_id,
            stop_loss=standing.stop_loss,
            take_profit=standing.take_profit,
            trail=_measure(standing),
            unprotected_s=0.0 if since is None else (self._ctx.clock.now() - since).total_seconds(),
            failure=failure,
        )
        self._ctx.tell("risk_ledger", Record(user_id=guarded.user_id, op=op))


def _measure(standing: Protection) -> Decimal | None:
    return None if standing.trailing is None else standing.trailing.measure


def _cause(error: Exception) -> str:
    if isinstance(error, Rejected):
        return error.refusal.value
    return error.kind.value if isinstance(error, ExchangeError) else type(error).__name__
