"""A venue's stand-in as a running server: its face, its controls, its journal, its faults."""

from __future__ import annotations

import asyncio
from pathlib import Path

from exchanges.simulator.admin import Admin
from exchanges.simulator.face import Face
from exchanges.simulator.faults import Fault, Faults, delivery_of, scripted_reply
from exchanges.simulator.http_server import (
    Deferred,
    Delivery,
    HttpConnection,
    HttpReply,
    HttpRequest,
)
from exchanges.simulator.journal import Entry, Journal
from exchanges.simulator.web_socket import Socket

PULSE_S = 0.02
_WITHOUT_ACTING = ("instead", "drop_before")


class Server:
    """Answers for one face. Controls are under /simulator/, everything else is the venue's."""

    def __init__(self, face: Face, journal_path: Path | None = None) -> None:
        self._face = face
        self._engine = face.engine
        self.journal = Journal(journal_path)
        self._engine.listen(self.journal.note)
        self._faults = Faults()
        self._admin = Admin(face, self.journal, self._faults)
        self._listening: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listens; answers the port, which the system chose if 0 was asked for."""
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: HttpConnection(self), host, port)
        return int(self._listening.sockets[0].getsockname()[1])

    async def run(self) -> None:
        """Keeps the market going until cancelled."""
        try:
            while True:
                await asyncio.sleep(PULSE_S)
                self._engine.advance()
                self._face.pulse()
        finally:
            self.close()

    def close(self) -> None:
        if self._listening is not None:
            self._listening.close()
        self._face.drop_sockets(private_only=False)
        self.journal.close()

    # -- Site

    def answer(self, request: HttpRequest) -> HttpReply | Deferred:
        if request.path.startswith("/simulator/"):
            return self._admin.answer(request)
        fault = self._faults.match(request) if self._faults.all else None
        if fault is not None and fault.kind == "hold":
            return Deferred(after_s=fault.seconds, then=lambda: self._act(request, fault))
        return self._act(request, fault)

    def open_socket(self, request: HttpRequest, socket: Socket) -> bool:
        self._engine.advance()
        socket.opened_ms = socket.pinged_ms = self._engine.now_ms
        return self._face.open_socket(request, socket)

    def _act(self, request: HttpRequest, fault: Fault | None) -> HttpReply:
        engine, face = self._engine, self._face
        engine.advance()
        entry = self.journal.begin(
            at_ms=engine.now_ms,
            process_s=engine.clock.process_s(),
            method=request.method,
            path=request.path,
        )
        entry.key, entry.client_id = face.key_of(request), face.client_id_of(request)
        if fault is not None and fault.kind in _WITHOUT_ACTING:
            reply = scripted_reply(fault)
        else:
            reply = face.answer(request)
            if fault is not None and fault.kind == "afterwards":
                reply = scripted_reply(fault)
        if fault is not None:
            entry.fault = fault.kind
            reply.delivery = delivery_of(fault)
        _finish(entry, reply)
        self.journal.end(entry)
        return reply


def _finish(entry: Entry, reply: HttpReply) -> None:
    how = reply.delivery or Delivery()
    entry.status = 0 if how.is_silent or how.is_dropped or how.cut_at is not None else reply.status
