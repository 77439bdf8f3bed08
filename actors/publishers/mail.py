"""Mail through the operator's SMTP server: `smtp://user:password@host:587?from=a@b`, or `smtps://` for TLS at once.

`smtp://` speaks STARTTLS wherever the server offers it, and never sends a password without.
"""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from actors.publishers.webhook import NotDelivered
from core.errors import SettingsError
from core.redact import Secret

TIMEOUT_S: Final = 10.0
MAIL_THREADS: Final = 2
_PORTS: Final = {"smtp": 587, "smtps": 465}


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where mail goes out."""

    host: str
    port: int
    tls: bool
    sender: str
    user: str | None = None
    password: Secret | None = None


def server_of(url: Secret) -> Server:
    """Raises SettingsError, which does not quote the URL."""
    try:
        parts = urlsplit(url.reveal())
        port = parts.port
    except ValueError as error:
        raise SettingsError("SMTP_URL is not a URL") from error
    if parts.scheme not in _PORTS or not parts.hostname:
        raise SettingsError("SMTP_URL must be smtp://[user:password@]host[:port]?from=address, or smtps://")
    user = unquote(parts.username) if parts.username else None
    sender = parse_qs(parts.query).get("from", [user if user and "@" in user else ""])[0]
    if "@" not in sender or any(c.isspace() for c in sender):
        raise SettingsError("SMTP_URL needs ?from=address, as whom mail is sent")
    return Server(
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        tls=parts.scheme == "smtps",
        sender=sender,
        user=user,
        password=Secret(unquote(parts.password)) if parts.password else None,
    )


class Mail:
    """Sends on threads of its own, as the protocol's library blocks."""

    def __init__(self, server: Server, trusted: ssl.SSLContext) -> None:
        """`trusted`: by whose word a server is the one it says."""
        self._server = server
        self._trusted = trusted
        self._threads = ThreadPoolExecutor(MAIL_THREADS, thread_name_prefix="mail")

    async def send(self, *, to: str, subject: str, text: str, message_id: str) -> None:
        """Raises NotDelivered. `message_id` is the same however often it is sent."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._server.sender, to, subject
        message["Message-ID"] = f"<{message_id}@{self._server.sender.partition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        await asyncio.get_running_loop().run_in_executor(
            self._threads, _send, self._server, self._trusted, message
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _send(server: Server, context: ssl.SSLContext, message: EmailMessage) -> None:
    try:
        if server.tls:
            made: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=TIMEOUT_S, context=context
            )
        else:
            made = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
        with made as smtp:
            smtp.ehlo_or_helo_if_needed()  # before it nothing is known of what the server offers
            if not server.tls and smtp.has_extn("starttls"):
                smtp.starttls(context=context)
                server = msgspec.structs.replace(server, tls=True)
            if server.user is not None and server.password is not None:
                if not server.tls:
                    raise NotDelivered("the mail server offers no encryption for the password")
                smtp.login(server.user, server.password.reveal())
            smtp.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        # Only the kind: a server may quote what it was told.
        raise NotDelivered(f"the mail server did not take it ({type(error).__name__})") from None
