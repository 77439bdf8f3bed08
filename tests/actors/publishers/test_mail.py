"""Mail goes out through the operator's server, once its form is right, and never a password in the clear."""

from __future__ import annotations

import asyncio
import socketserver
import threading
from collections.abc import Iterator

import pytest

from actors.publishers.mail import Mail, Server, server_of
from actors.publishers.webhook import NotDelivered
from core.errors import SettingsError
from core.redact import Secret


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
    """As much SMTP as a message needs, without encryption."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self.commands: list[str] = []
        self.message = ""
        self.refuse = False


class _Session(socketserver.StreamRequestHandler):
    server: Post

    def handle(self) -> None:
        self._say("220 ready")
        while line := self.rfile.readline().decode().rstrip("\r\n"):
            self.server.commands.append(line)
            verb = line.split(" ")[0].upper()
            if verb == "DATA":
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


@pytest.fixture
def post() -> Iterator[Post]:
    made = Post()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(5)


def send(post: Post, **more: object) -> None:
    port = int(post.server_address[1])
    mail = Mail(Server(host="127.0.0.1", port=port, tls=False, sender="bot@example.com", **more))  # type: ignore[arg-type]
    sending = mail.send(to="ann@example.com", subject="Run stopped", text="{}", message_id="7.1")
    try:
        asyncio.run(sending)
    finally:
        mail.close()


def test_a_message_says_from_whom_to_whom_and_which_it_is(post: Post) -> None:
    send(post)
    assert "mail FROM:<bot@example.com>" in " ".join(post.commands)
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
