"""Webhooks go to the public internet over https, or nowhere; the address that was looked at is the one called."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from actors.publishers.webhook import NotDelivered, Webhooks, check_url, is_public

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address that is refused
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "ff02::1",
    "no address",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_of_a_network_of_ones_own_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "ftp://example.com/",
        "https://",
        "//example.com",
        "https://user:password@example.com/",
        "https://example.com/a b",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://10.0.0.8:8443/hook",
        "https://example.com:99999/",
        "https://ex\u00e4mple.com/",
        "https://example.com/" + "x" * 2_000,
        "not a url",
    ],
)
def test_urls_that_would_never_be_called_are_refused(url: str) -> None:
    with pytest.raises(NotDelivered):
        check_url(url, private_too=False)


@pytest.mark.parametrize(
    "url", ["https://example.com/hook?x=1", "https://example.com:8443", "https://1.1.1.1/x"]
)
def test_urls_of_the_internet_are_taken(url: str) -> None:
    assert check_url(url, private_too=False).scheme == "https"


def to(*addresses: str) -> object:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


@pytest.mark.parametrize("answer", [("10.0.0.1",), ("1.1.1.1", "127.0.0.1"), ("::ffff:10.0.0.1",), ()])
def test_a_name_that_leads_to_a_private_address_is_not_called(answer: tuple[str, ...]) -> None:
    hooks = Webhooks(private_too=False, resolve=to(*answer))  # type: ignore[arg-type]
    with pytest.raises(NotDelivered, match=r"private|resolve"):
        asyncio.run(hooks.post("https://rebound.example/", b"{}", {}))


class Receiver(HTTPServer):
    """Answers as told, and notes what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 204
        self.heard: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append(
            (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        )
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join(5)


def post(receiver: Receiver, host: str = "hook.example") -> None:
    hooks = Webhooks(private_too=True, resolve=to("127.0.0.1"))  # type: ignore[arg-type]
    url = f"http://{host}:{receiver.port}/a/b?c=d"
    asyncio.run(hooks.post(url, b'{"id":1}', {"X-Runner-Event-Id": "1"}))


def test_the_address_that_was_looked_at_is_called_under_the_name(receiver: Receiver) -> None:
    post(receiver)
    [(path, headers, body)] = receiver.heard
    assert (path, body, headers["host"]) == ("/a/b?c=d", b'{"id":1}', f"hook.example:{receiver.port}")
    assert (headers["x-runner-event-id"], headers["content-type"]) == ("1", "application/json")


@pytest.mark.parametrize("status", [301, 307, 400, 404, 500])
def test_any_other_answer_is_no_delivery_and_no_redirect_is_followed(receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(NotDelivered, match=f"answered {status}"):
        post(receiver)
    assert len(receiver.heard) == 1


def test_nobody_there_is_said_without_the_url(receiver: Receiver) -> None:
    hooks = Webhooks(private_too=True)
    with pytest.raises(NotDelivered, match="no connection") as refusal:
        asyncio.run(hooks.post("http://127.0.0.1:9/secret-path", b"{}", {}))
    assert "secret" not in str(refusal.value)
