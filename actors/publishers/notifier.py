"""Notifier: follows the event log and tells users and the operator outside, each event at least once.

One process at a time makes deliveries out of events (a cursor in the database); any process carries out what is due,
each delivery claimed by one of them. A process that dies over an attempt leaves it to another: the event's id, the
same however often it is sent, tells a receiver of a repetition.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from actors.publishers.mail import Mail
from actors.publishers.webhook import NotDelivered, Webhooks, why_not
from actors.runtime.behaviour import Behaviour, Context
from core.notice import Notice, signature, subject_of, try_again_s
from core.redact import Secret
from schema.ledger import PLATFORM_USER
from schema.notices import GATHERED_AT_ONCE, Channel, Delivery, NoticeSettings
from schema.pg_notices import PgNotices
from schema.vault import SealedKeys, VaultError

NAME: Final = "notifier"
PASS_S: Final = 2.0
AT_ONCE: Final = 16
"""Deliveries of one pass; they go side by side, so one slow receiver holds up none of the others."""
MAX_OUT: Final = 64
"""Deliveries under way in this process."""
ATTEMPT_S: Final = 45.0
FORGET_EVERY: Final = 1_800
"""Passes from one look at old deliveries to the next: an hour."""

OpenSecret = Callable[[SealedKeys], Secret]
"""Raises VaultError."""


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """Where alerts of the installation go."""

    webhook_url: str | None = None
    email: str | None = None

    @property
    def channels(self) -> frozenset[Channel]:
        by = {Channel.WEBHOOK: self.webhook_url, Channel.EMAIL: self.email}
        return frozenset(channel for channel, address in by.items() if address is not None)


class Ways(msgspec.Struct, frozen=True, kw_only=True):
    """How things are told outside. `mail` None: no SMTP server. The operator's webhook may be in its own network."""

    operator: Operator
    webhooks: Webhooks
    operator_webhooks: Webhooks
    mail: Mail | None
    open_secret: OpenSecret | None


class Pass(msgspec.Struct, frozen=True):
    """Look for events and for what is due."""


class Claimed(msgspec.Struct, frozen=True):
    """`more`: events are left that were not looked at in this pass."""

    deliveries: tuple[tuple[Delivery, NoticeSettings], ...]
    more: bool


class Ended(msgspec.Struct, frozen=True):
    """`error` None: taken."""

    delivery: Delivery
    error: str | None


class Noted(msgspec.Struct, frozen=True):
    """Nothing further follows; what could not be written is sent once more after its claim has run out."""


class Notifier(Behaviour):
    __slots__ = ("_busy", "_out", "_passes", "_rows", "_wall_now", "_ways")

    def __init__(
        self, ctx: Context, *, rows: PgNotices, ways: Ways, wall_now: Callable[[], datetime]
    ) -> None:
        """`wall_now`: the time the world outside has, also in a demo."""
        super().__init__(ctx)
        self._rows = rows
        self._ways = ways
        self._wall_now = wall_now
        self._busy = False
        self._out = 0
        self._passes = 0

    def started(self) -> None:
        self.ctx.after(0.0, Pass())
        self.ctx.after(PASS_S, Pass(), every=PASS_S)

    def receive(self, message: object) -> None:
        match message:
            case Pass():
                self._look()
            case Claimed():
                self._busy = False
                for delivery, settings in message.deliveries:
                    self._send(delivery, settings)
                if message.more or len(message.deliveries) == AT_ONCE:
                    self._look()
            case Ended():
                self._out -= 1
                self._note(message)
            case Noted():
                pass
            case _:
                raise TypeError(f"{NAME} cannot handle {type(message).__name__}")

    def _look(self) -> None:
        if self._busy or self._out + AT_ONCE > MAX_OUT:
            return
        self._busy = True
        self._passes += 1
        rows, operator = self._rows, self._ways.operator.channels
        forget = self._passes % FORGET_EVERY == 1

        def look() -> Claimed:
            if forget:
                rows.forget_old()
            more = rows.gather(operator) == GATHERED_AT_ONCE
            due = rows.claim(AT_ONCE)
            settings = rows.settings_of(sorted({each.user_id for each in due})) if due else {}
            return Claimed(
                tuple(
                    (each, settings.get(each.user_id) or NoticeSettings(user_id=each.user_id)) for each in due
                ),
                more,
            )

        self.ctx.call(look, lambda claimed: claimed, lambda _: Claimed((), False))

    def _send(self, delivery: Delivery, settings: NoticeSettings) -> None:
        self._out += 1

        async def send() -> None:
            if delivery.channel is Channel.WEBHOOK:
                await self._post(delivery, settings)
            else:
                await self._mail(delivery, settings)

        self.ctx.run(
            send(),
            lambda _: Ended(delivery, None),
            lambda error: Ended(delivery, why_not(error)),
            timeout_s=ATTEMPT_S,
        )

    async def _post(self, delivery: Delivery, settings: NoticeSettings) -> None:
        ours = delivery.user_id == PLATFORM_USER
        url = self._ways.operator.webhook_url if ours else settings.webhook_url
        if url is None:
            raise NotDelivered("there is no webhook any more")
        body = msgspec.json.encode(delivery.content)
        headers = {
            "Idempotency-Key": f"{delivery.event_id}",
            "X-Runner-Event-Id": f"{delivery.event_id}",
            "X-Runner-Attempt": f"{delivery.attempts}",
        }
        if not ours:
            at_s = round(self._wall_now().timestamp())
            headers["X-Runner-Signature"] = signature(self._secret(settings), at_s, body)
        await (self._ways.operator_webhooks if ours else self._ways.webhooks).post(url, body, headers)

    def _secret(self, settings: NoticeSettings) -> Secret:
        if settings.sealed is None or self._ways.open_secret is None:
            raise NotDelivered("there is no signing secret; set the webhook again")
        try:
            return self._ways.open_secret(settings.sealed)
        except VaultError:
            raise NotDelivered("the signing secret does not open; set the webhook again") from None

    async def _mail(self, delivery: Delivery, settings: NoticeSettings) -> None:
        to = self._ways.operator.email if delivery.user_id == PLATFORM_USER else settings.email
        if to is None or self._ways.mail is None:
            raise NotDelivered("there is no address, or no mail server, any more")
        content = delivery.content
        subject = subject_of(Notice(delivery.kind), str(content["type"]), content["payload"])
        text = msgspec.json.format(msgspec.json.encode(content), indent=2).decode()
        message_id = f"{delivery.event_id}.{delivery.id}"
        await self._ways.mail.send(to=to, subject=subject, text=text, message_id=message_id)

    def _note(self, ended: Ended) -> None:
        rows, delivery, error = self._rows, ended.delivery, ended.error

        def note() -> None:
            if error is None:
                rows.sent(delivery.id)
            else:
                rows.failed(delivery.id, error, try_again_s(delivery.attempts))

        self.ctx.call(note, lambda _: Noted(), lambda _: Noted())
