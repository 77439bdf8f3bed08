"""What the caller is told of outside: by a signed webhook, by mail."""

from __future__ import annotations

import secrets
from typing import Final
from uuid import uuid4

from core.email import is_email
from core.ids import AccountId, UserId
from core.notice import Notice
from core.redact import Secret
from facade.access import Access
from facade.bridge import (
    STORE_TIMEOUT_S,
    Delivery,
    NotDelivered,
    NoticeSettings,
    Owner,
    Vault,
    check_url,
)
from facade.endpoint import Call, route
from facade.errors import ApiError, bad_field
from facade.operation import OperationRoute
from facade.schemas.notifications import DeliveryShown, NotificationsAnswer, SetNotifications, Wanted

SHOWN: Final = 20
_SECRET_BYTES: Final = 32


async def show(call: Call) -> NotificationsAnswer:
    """What the caller is told of, how, and what came of the latest."""
    return await _answer(call, None)


async def put(call: Call, body: SetNotifications) -> NotificationsAnswer:
    """Set what the caller is told of, and how; a new signing secret is shown this once."""
    _check(call, body)
    rows, user_id = call.services.runner.notices, call.user_id
    before = await call.bridge.call(lambda: rows.settings(user_id), timeout_s=STORE_TIMEOUT_S)
    made = None
    if body.webhook_url is not None and (before.sealed is None or body.rotate_secret):
        made = Secret(secrets.token_urlsafe(_SECRET_BYTES))
    settings = NoticeSettings(
        user_id=user_id,
        webhook_url=body.webhook_url,
        email=body.email,
        wanted=frozenset(Notice(each.value) for each in body.on),
        sealed=None if made is None else _vault(call).seal(_owner(user_id), key=made, secret=made),
    )
    await call.bridge.call(lambda: rows.put(settings), timeout_s=STORE_TIMEOUT_S)
    return await _answer(call, made)


def _check(call: Call, body: SetNotifications) -> None:
    if body.webhook_url is not None:
        _vault(call)
        try:
            check_url(body.webhook_url, private_too=call.settings.webhook_allow_private)
        except NotDelivered as refusal:
            raise bad_field("webhookUrl", str(refusal)) from refusal
    if body.email is not None:
        if not is_email(body.email):
            raise bad_field("email", "must be a mail address")
        if call.settings.smtp_url is None:
            raise ApiError(422, "No mail is sent from here (SMTP_URL).", code="EMAIL_NOT_CONFIGURED")


def _vault(call: Call) -> Vault:
    vault = call.services.vault
    if vault is None:
        raise ApiError(
            422,
            "Webhooks cannot be signed here: RUNNER_MASTER_KEYS is not set.",
            code="WEBHOOKS_NOT_CONFIGURED",
        )
    return vault


def _owner(user_id: UserId) -> Owner:
    """The vault binds what it seals to a user and an id: a signing secret has one of its own."""
    return Owner(user_id=user_id, account_id=AccountId(uuid4()))


async def _answer(call: Call, made: Secret | None) -> NotificationsAnswer:
    rows, user_id = call.services.runner.notices, call.user_id
    settings = await call.bridge.call(lambda: rows.settings(user_id), timeout_s=STORE_TIMEOUT_S)
    latest = await call.bridge.call(lambda: rows.latest(user_id, SHOWN), timeout_s=STORE_TIMEOUT_S)
    return NotificationsAnswer(
        webhook_url=settings.webhook_url,
        email=settings.email,
        on=tuple(each for each in Wanted if Notice(each.value) in settings.wanted),
        secret=None if made is None else made.reveal(),
        deliveries=tuple(_shown(each) for each in latest),
    )


def _shown(delivery: Delivery) -> DeliveryShown:
    return DeliveryShown(
        event_id=delivery.event_id,
        channel=delivery.channel,
        kind=delivery.kind,
        state=delivery.state,
        attempts=delivery.attempts,
        last_error=delivery.last_error,
        created_at=delivery.created_at,
    )


ROUTES: list[OperationRoute] = [
    route("GET", "/api/notifications", show, Access.USER),
    route("PUT", "/api/notifications", put, Access.USER),
]
