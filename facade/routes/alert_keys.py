"""Signals of chart services, which can set no header: the key of a strategy, and alerts that carry it in their body."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Final

import msgspec

from core.alert_key import RANDOM_BYTES, alert_key_of
from core.chart_alert import ChartAlert, is_late, names_of
from core.external_signal import DEADLINE
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, NewSignal, NoSuchStrategy
from facade.endpoint import Call, route
from facade.errors import not_found, too_many
from facade.moments import sane
from facade.operation import JSON, OperationRoute
from facade.routes.external import accepted_signal, external_strategy, sent_signal, signal_shown
from facade.schemas.alert_keys import AlertKeyAnswer, SendAlert
from facade.schemas.external import SentAnswer
from facade.schemas.form import Answer

ALERTS: Final = "/api/alerts"
TEXT: Final = "text/plain"
"""What chart services call a body that is JSON in a box for free text."""
FIRED_AT: Final = "{{timenow}}"
"""The commonest name of the placeholder for when an alert fired."""


async def make(call: Call) -> AlertKeyAnswer:
    """Make the key by which a chart service sends signals to this strategy; it ends the one before.

    Told once: only its digest is kept. Each request makes another, so an Idempotency-Key is passed over here.
    """
    strategy_id, user_id, keys = await external_strategy(call), call.user_id, call.services.runner.alert_keys
    key = alert_key_of(secrets.token_bytes(RANDOM_BYTES))
    since = await call.bridge.call(
        lambda: keys.make(strategy_id, user_id, key.digest), timeout_s=STORE_TIMEOUT_S
    )
    if since is None:
        raise not_found()
    message = {"key": key.reveal(), "action": "buy", "sentAt": FIRED_AT}
    return AlertKeyAnswer(
        strategy_id=strategy_id,
        key=key.reveal(),
        since=since,
        path=ALERTS,
        message=msgspec.json.format(msgspec.json.encode(message)).decode(),
    )


async def end(call: Call) -> Answer:
    """End the strategy's alert key, if there is one: nothing more is taken under it."""
    strategy_id, user_id, keys = await external_strategy(call), call.user_id, call.services.runner.alert_keys
    await call.bridge.call(lambda: keys.end(strategy_id, user_id), timeout_s=STORE_TIMEOUT_S)
    return Answer()


async def send(call: Call, body: SendAlert) -> SentAnswer:
    """Send a signal by an alert key in the body, without a header: as POST /api/strategies/{id}/signals does.

    Chart services set an address and a text: the body's `key` is all there is of authorization, and the body is read
    as JSON whatever its content type. Every key that is nobody's has the same answer, 401.
    """
    runner, digest = call.services.runner, body.key.digest
    keys, now = runner.alert_keys, runner.market_now()
    holder = await call.bridge.call(lambda: keys.holder(digest), timeout_s=STORE_TIMEOUT_S)
    if holder is None:
        raise call.services.gatekeeper.unknown_alert_key(call.request)
    wait_s = call.services.alerts.take(digest.hex())
    if wait_s:
        raise too_many("Too many alerts came under this key within a minute.", wait_s)
    alert, sent = _alert(body), sent_signal(body)
    names = names_of(alert, sent, now)
    new = NewSignal(
        id=call.new_id(),
        strategy_id=holder.strategy_id,
        user_id=holder.user_id,
        key=names.key,
        other_keys=names.other_keys,
        received_at=now,
        sent=sent,
        within=_within(call, body, alert, now),
    )
    receipt = await call.bridge.call(lambda: keys.receive(digest, new), timeout_s=STORE_TIMEOUT_S)
    if isinstance(receipt, NoSuchStrategy):  # ended, or archived, since it was looked up
        raise call.services.gatekeeper.unknown_alert_key(call.request)
    accepted = accepted_signal(receipt)
    runner.signal_sent()
    return SentAnswer(signal=signal_shown(accepted.signal), repeated=accepted.repeated)


def _alert(body: SendAlert) -> ChartAlert:
    return ChartAlert(id=body.id, sent_at=sane("sentAt", body.sent_at), bar_at=sane("time", body.time))


def _within(call: Call, body: SendAlert, alert: ChartAlert, received_at: datetime) -> timedelta:
    """None at all where it was sent too long ago; a demo's market has a clock that no service knows."""
    if call.services.runner.demo_clock() is None and is_late(alert, received_at):
        return timedelta(0)
    asked = DEADLINE if body.expires_in_seconds is None else timedelta(seconds=body.expires_in_seconds)
    return min(asked, DEADLINE)


ROUTES: list[OperationRoute] = [
    route("POST", "/api/strategies/{id}/alert-key", make, Access.USER, status=201, idempotent=False),
    route("DELETE", "/api/strategies/{id}/alert-key", end, Access.USER),
    route("POST", ALERTS, send, Access.ALERT_KEY, status=202, needs_runner=True, consumes=(JSON, TEXT)),
]
