"""Risk of the caller: state, limits, why entries are blocked; for administrators anybody's."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from core.ids import UserId
from core.limit_change import LimitChange
from core.risk import risk_day, shut_until
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, OpRefused, OwnLimits, ResumeUser, RiskView, TooLoose
from facade.decoding import within
from facade.endpoint import Call, route
from facade.errors import ApiError, Detail, not_found
from facade.operation import OperationRoute
from facade.past import risk_then
from facade.schemas.past import RiskThenAnswer
from facade.schemas.risk import LimitFields, OwnRiskAnswer, RiskAsked, SetLimits
from facade.views import limits_shown

SMALLEST_LOSS: Final = Decimal("0.01")
MAX_USDT: Final = 1_000_000_000
MAX_COOLDOWN_S: Final = 31 * 86_400
MAX_PAUSE_MIN: Final = 366 * 1_440
MAX_USER_CHARS: Final = 255
_SAID: Final = {"cooldown_after_trade_s": "cooldownAfterTradeSec"}


async def show(call: Call, query: RiskAsked) -> OwnRiskAnswer | RiskThenAnswer:
    """Risk state, limits, and why entries are blocked; as of another time, what was known then."""
    user_id = _whose(call, query.user_id)
    if query.as_of is not None:
        return await risk_then(call, user_id, query.as_of)
    return await _risk_of(call, user_id)


async def set_limits(call: Call, body: SetLimits) -> OwnRiskAnswer:
    """Tighten the caller's limits; an administrator loosens or tightens anybody's."""
    user_id, limits, by = _whose(call, body.user_id), call.services.runner.limits, call.user_id
    change = limit_change(body)
    try:
        if call.principal.admin:
            await call.bridge.call(
                lambda: limits.set_ceiling(user_id, change, by=by), timeout_s=STORE_TIMEOUT_S
            )
        else:
            await call.bridge.call(lambda: limits.tighten(user_id, change), timeout_s=STORE_TIMEOUT_S)
    except TooLoose as refusal:
        raise ApiError(
            422,
            "Only an administrator can loosen limits beyond the ceiling.",
            code="LIMIT_TOO_LOOSE",
            details=[
                Detail(field=_field(name), message="is looser than the ceiling") for name in refusal.names
            ],
        ) from refusal
    return await _risk_of(call, user_id)


async def resume(call: Call) -> OwnRiskAnswer:
    """End a user's pause now; a day's loss at its limit still blocks."""
    named = call.request.path_params["userId"]
    if not 1 <= len(named) <= MAX_USER_CHARS or not named.isprintable():
        raise not_found()
    user_id = UserId(named)
    settled = await call.bridge.settle(ResumeUser(user_id=user_id, by=call.user_id))
    if isinstance(settled, OpRefused):
        raise ApiError(422, settled.sentence)
    return await _risk_of(call, user_id)


def _whose(call: Call, named: str | None) -> UserId:
    """The caller, or whom an administrator names."""
    if named is None or named == call.user_id:
        return call.user_id
    if not call.principal.admin:
        raise ApiError(403, "Only an administrator can name another user.")
    return UserId(named)


def limit_change(body: LimitFields) -> LimitChange:
    """ApiError 400 with the field for what cannot be."""
    loss, cooldown, pause = body.daily_max_loss_usdt, body.cooldown_after_trade_sec, body.pause_duration_min
    return LimitChange(
        daily_max_loss_usdt=None
        if loss is None
        else within("dailyMaxLossUsdt", loss, SMALLEST_LOSS, MAX_USDT),
        max_trades_per_day=body.max_trades_per_day,
        max_consecutive_losses=body.max_consecutive_losses,
        cooldown_after_trade_s=None
        if cooldown is None
        else within("cooldownAfterTradeSec", cooldown, 0, MAX_COOLDOWN_S),
        pause_duration_min=None if pause is None else within("pauseDurationMin", pause, 1, MAX_PAUSE_MIN),
    )


def _field(name: str) -> str:
    first, *rest = name.split("_")
    return _SAID.get(name, first + "".join(part.capitalize() for part in rest))


async def _risk_of(call: Call, user_id: UserId) -> OwnRiskAnswer:
    limits = call.services.runner.limits
    view = await call.bridge.ask(lambda store: store.risk(user_id))
    own = await call.bridge.call(lambda: limits.of(user_id), timeout_s=STORE_TIMEOUT_S)
    return _answer(view, own, call)


def _answer(view: RiskView, own: OwnLimits, call: Call) -> OwnRiskAnswer:
    now, state = call.services.runner.market_now(), view.state
    day = state.day(now)
    return OwnRiskAnswer(
        user_id=view.user_id,
        day=risk_day(now),
        realized_pnl_usdt=day.pnl,
        trades_count=day.trades,
        consecutive_losses=state.streak,
        last_trade_at=state.last_trade_at,
        is_paused=state.is_paused(now),
        paused_until=state.paused_until,
        paused_reason=state.paused_reason,
        blocked_reason=view.blocked,
        blocked_until=None if view.blocked is None else shut_until(state, view.limits, now, view.blocked),
        limits=limits_shown(own.limits),
        ceiling=limits_shown(own.ceiling),
        own_limits=own.own,
    )


ROUTES: list[OperationRoute] = [
    route("GET", "/api/risk", show, Access.USER),
    route("PUT", "/api/risk", set_limits, Access.USER),
    route("PUT", "/api/risk/limits", set_limits, Access.USER),
    route("POST", "/api/risk/{userId}/resume", resume, Access.ADMIN),
]
