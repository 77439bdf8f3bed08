"""What a venue's face is to the server: it answers requests, takes sockets, and is pulsed as time goes on."""

from __future__ import annotations

from typing import Protocol

from exchanges.simulator.engine import Engine
from exchanges.simulator.http_server import HttpReply, HttpRequest
from exchanges.simulator.limits import Limits
from exchanges.simulator.stream_faults import StreamTrouble
from exchanges.simulator.web_socket import Socket


class Face(Protocol):
    """`trouble` sits between private events and sockets. The engine has been advanced before every call."""

    engine: Engine
    limits: Limits
    trouble: StreamTrouble

    def answer(self, request: HttpRequest) -> HttpReply: ...

    def key_of(self, request: HttpRequest) -> str:
        """The API key a request names, for the journal."""
        ...

    def client_id_of(self, request: HttpRequest) -> str:
        """The client id a request names, for the journal."""
        ...

    def open_socket(self, request: HttpRequest, socket: Socket) -> bool:
        """Takes the socket by its path, or answers False: nothing there."""
        ...

    def pulse(self) -> None:
        """Streams: what has become due since the last pulse."""
        ...

    def drop_sockets(self, *, private_only: bool) -> None:
        """Cuts them without a word."""
        ...
