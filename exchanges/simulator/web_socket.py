"""The server's end of one WebSocket: handshake, frames in, text out, pings."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

# At DEBUG it would hold clients' logins.
_SILENT = logging.getLogger("exchanges.simulator.web_socket")
_SILENT.setLevel(logging.CRITICAL + 1)

UNSENT_BYTES_MAX = 32 * 1024 * 1024
GOING_AWAY = 1001
SLOW_CLIENT = 1008


class Socket:
    """`on_text` and `on_lost` are set by whoever takes the socket. A client that reads too slowly is cut off."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._protocol = ServerProtocol(logger=_SILENT)
        self._text = bytearray()
        self.is_open = False
        self.on_text: Callable[[bytes], None] = lambda text: None
        self.on_lost: Callable[[], None] = lambda: None
        self.opened_ms = 0
        self.pinged_ms = 0

    def receive(self, data: bytes) -> None:
        protocol = self._protocol
        protocol.receive_data(data)
        for event in protocol.events_received():
            if isinstance(event, Request):
                response = protocol.accept(event)
                protocol.send_response(response)
                self.is_open = response.status_code == 101
            elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
                self._text += event.data
                if event.fin:
                    text, self._text = bytes(self._text), bytearray()
                    self.on_text(text)
        self._flush()
        if protocol.close_expected():
            self._transport.close()

    def send(self, frame: bytes) -> None:
        """A frame made by `text_frame`; the same one may go to many sockets."""
        if not self.is_open or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self.close(SLOW_CLIENT)
        else:
            self._transport.write(frame)

    def ping(self) -> None:
        if self.is_open:
            self._protocol.send_ping(b"")
            self._flush()

    def close(self, code: int = GOING_AWAY) -> None:
        if self.is_open:
            self.is_open = False
            self._protocol.send_close(code)
            self._flush()
            self._transport.close()

    def abort(self) -> None:
        """The line goes dead without a word."""
        self.is_open = False
        self._transport.abort()

    def lost(self) -> None:
        self.is_open = False
        self.on_lost()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()


def text_frame(text: bytes) -> bytes:
    """A whole text message as the server sends it: one frame, unmasked."""
    size = len(text)
    if size < 126:
        return bytes((0x81, size)) + text
    if size < 65536:
        return struct.pack("!BBH", 0x81, 126, size) + text
    return struct.pack("!BBQ", 0x81, 127, size) + text
