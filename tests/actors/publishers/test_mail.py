"""Mail goes out through the operator's server, once its form is right, and never a password in the clear."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from actors.publishers.mail import Mail, Server, server_of
from actors.publishers.webhook import NotDelivered
from core.errors import SettingsError
from core.redact import Secret
from tests.exchanges.certificate import localhost_contexts


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example?from=bot@example.com", ("mail.example", 587, False, "bot@example.com", None)),
        ("smtps://u%40x.org:p%2Fw@mail.example", ("mail.example", 465, True, "u@x.org", "u@x.org")),
        ("smtp://u:p@mail.example:2525?from=a@b.c", ("mail.example", 2525, False, "a@b.c", "u")),
    ],
)
def test_a_server_is_read_from_its_url(url: str, expected: tuple[object, ...]) -> None:
    server = server_of(Secret(url))
    assert (server.host, server.port, server.tls, server.sender, server.user) == expected


@pytest.mark.parametrize(
    "url", ["mail.example", "http://mail.example", "smtp://?from=a@b.c", "smtp://u:pa55word@h"]
)
def test_a_url_that_cannot_be_used_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        server_of(Secret(url))
    assert "pa55word" not in str(refusal.value)


class Post(socketserver.TCPServer):
    """As much SMTP as a message needs, without encryption, with STARTTLS, or encrypted from the first byte."""

    def __init__(self, *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.starttls = starttls
        self.tls = tls
        self.commands: list[str] = []
        self.encrypted: list[str] = []
        self.message = ""
        self.refuse = False

    def get_request(self) -> tuple[socket.socket, Any]:
        opened, address = super().get_request()
        if self.tls is not None:
            opened = self.tls.wrap_socket(opened, server_side=True)
        return opened, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever does not trust us ends the handshake, or what follows it."""


class _Session(socketserver.StreamRequestHandler):
    server: Post
    request: socket.socket

    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            encrypted = isinstance(self.request, ssl.SSLSocket)
            (self.server.encrypted if encrypted else self.server.commands).append(line)
            verb = line.split(" ")[0].upper()
            if verb == "EHLO" and (encrypted or self.server.starttls is not None):
                self._say(f"250-here\r\n250 {'AUTH PLAIN' if encrypted else 'STARTTLS'}")
            elif verb == "STARTTLS" and self.server.starttls is not None:
                self._say("220 go on")
                self.request = self.server.starttls.wrap_socket(self.request, server_side=True)
                self.setup()
            elif verb == "AUTH":
                self._say("235 welcome")
            elif verb == "DATA":
                self._say("354 go on")
                lines = []
                while (part := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(part)
                self.server.message = "\n".join(lines)
                self._say("250 taken")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("550 no" if self.server.refuse and verb == "RCPT" else "250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def running(made: Post) -> Iterator[Post]:
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join(5)


@pytest.fixture
def post() -> Iterator[Post]:
    with running(Post()) as made:
        yield made


class Trust(NamedTuple):
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """A server called `localhost`, and a client that trusts nobody else."""
    return Trust(*localhost_contexts(tmp_path_factory.mktemp("certificate")))


def send(post: Post, trusted: ssl.SSLContext | None = None, **more: object) -> None:
    """`trusted` None: whom this machine trusts."""
    given = {
        "host": "127.0.0.1",
        "port": int(post.server_address[1]),
        "tls": False,
        "sender": "bot@example.com",
    }
    mail = Mail(Server(**given | more), trusted or ssl.create_default_context())  # type: ignore[arg-type]
    sending = mail.send(to="ann@example.com", subject="Run stopped", text="{}", message_id="7.1")
    try:
        asyncio.run(sending)
    finally:
        mail.close()


def test_a_message_says_from_whom_to_whom_and_which_it_is(post: Post) -> None:
    send(post)
    assert "mail from:<bot@example.com>" in " ".join(post.commands).lower()
    for line in ("To: ann@example.com", "Subject: Run stopped", "Message-ID: <7.1@example.com>"):
        assert line in post.message


def test_a_password_is_not_sent_without_encryption(post: Post) -> None:
    with pytest.raises(NotDelivered, match="no encryption"):
        send(post, user="u", password=Secret("pa55word"))
    assert not any("AUTH" in command for command in post.commands)


def test_a_refusal_is_no_delivery(post: Post) -> None:
    post.refuse = True
    with pytest.raises(NotDelivered, match="SMTPRecipientsRefused"):
        send(post)


def of_url(scheme: str, post: Post, login: str = "u:pa55word@") -> Mapping[str, object]:
    """What the setting says of a server called `localhost`."""
    url = f"{scheme}://{login}localhost:{post.server_address[1]}?from=bot@example.com"
    server = server_of(Secret(url))
    return {field: getattr(server, field) for field in server.__struct_fields__}


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_i13_password_and_message_go_encrypted_to_a_server_that_is_the_one_it_says(
    scheme: str, trust: Trust
) -> None:
    """`smtp://` by STARTTLS, `smtps://` from the first byte."""
    made = Post(starttls=trust.server) if scheme == "smtp" else Post(tls=trust.server)
    with running(made) as post:
        send(post, trust.client, **of_url(scheme, post))
    verbs = [line.split(" ")[0].upper() for line in post.encrypted]
    assert verbs == ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "QUIT"]
    assert {line.split(" ")[0].upper() for line in post.commands} <= {"EHLO", "STARTTLS"}
    assert "To: ann@example.com" in post.message


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@pytest.mark.parametrize("why", ["a stranger's certificate", "another name"])
def test_i13_nothing_is_told_to_a_server_whose_certificate_is_not_right(
    scheme: str, why: str, trust: Trust
) -> None:
    made = Post(starttls=trust.server) if scheme == "smtp" else Post(tls=trust.server)
    by_address = why == "another name"
    with running(made) as post:
        server = {**of_url(scheme, post), **({"host": "127.0.0.1"} if by_address else {})}
        with pytest.raises(NotDelivered, match="SSLCertVerificationError"):
            send(post, trust.client if by_address else None, **server)
    assert post.encrypted == []
    assert {line.split(" ")[0].upper() for line in post.commands} <= {"EHLO", "STARTTLS"}
    assert post.message == ""


def test_a_message_without_a_password_is_encrypted_too_where_the_server_offers_it(trust: Trust) -> None:
    with running(Post(starttls=trust.server)) as post:
        send(post, trust.client, **of_url("smtp", post, login=""))
    assert [line.split(" ")[0].upper() for line in post.encrypted] == ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"]
