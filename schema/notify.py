"""`PgNotifier`: hints between processes over LISTEN/NOTIFY, on connections of its own."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql

from schema.pg_database import Connection
from schema.store import StoreUnavailable

Heard = Callable[[str, str], None]

_CONNECT_TIMEOUT_S = 5
_STATEMENT_TIMEOUT = b"SET statement_timeout = '5s'"
_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 5.0
_PROBE_AFTER_S = 10.0
"""A listener that has heard nothing for this long asks the server whether it is still there."""

_JOIN_S = 10.0


class PgNotifier:
    """A listener whose connection breaks connects again, with growing pauses, for as long as it takes.

    After each reconnection every channel is heard once with an empty payload, for what was missed.
    """

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._sending = threading.Lock()
        self._sender: Connection | None = None
        self._listeners: list[_Listener] = []

    def notify(self, channel: str, payload: str) -> None:
        """Raises StoreUnavailable when the hint could not be sent, on a second connection either."""
        with self._sending:
            try:
                try:
                    self._send(channel, payload)
                except psycopg.OperationalError:
                    self._drop_sender()
                    self._send(channel, payload)
            except psycopg.Error as error:
                self._drop_sender()
                raise StoreUnavailable(f"The database did not take a notification: {error}.") from error

    def listen(self, channels: Sequence[str], heard: Heard) -> None:
        listener = _Listener(self._conninfo, tuple(channels), heard)
        self._listeners.append(listener)
        listener.start()

    def close(self) -> None:
        for listener in self._listeners:
            listener.stop()
        self._listeners.clear()
        with self._sending:
            self._drop_sender()

    def _send(self, channel: str, payload: str) -> None:
        if self._sender is None:
            self._sender = _connect(self._conninfo)
        self._sender.execute("SELECT pg_notify(%s, %s)", [channel, payload])

    def _drop_sender(self) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None


class _Listener:
    def __init__(self, conninfo: str, channels: tuple[str, ...], heard: Heard) -> None:
        self._conninfo = conninfo
        self._channels = channels
        self._heard = heard
        self._stopped = threading.Event()
        # Readable once stopped, so that waiting for news and waiting for the end are one select.
        self._end, self._wake = socket.socketpair()
        name = f"listen {','.join(channels)}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._wake.send(b"\0")
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)
        if not self._thread.is_alive():
            self._end.close()
            self._wake.close()

    def _run(self) -> None:
        delay_s = _FIRST_DELAY_S
        again = False
        while not self._stopped.is_set():
            with contextlib.suppress(psycopg.Error, OSError), _connect(self._conninfo) as connection:
                for channel in self._channels:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                delay_s = _FIRST_DELAY_S
                if again:
                    for channel in self._channels:
                        self._heard(channel, "")
                again = True
                self._hear(connection)
            if not self._stopped.is_set():
                select.select([self._end], [], [], delay_s)
                delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    def _hear(self, connection: Connection) -> None:
        while not self._stopped.is_set():
            waited_for: list[Any] = [connection.fileno(), self._end]
            readable, _, _ = select.select(waited_for, [], [], _PROBE_AFTER_S)
            if not readable:
                connection.execute("SELECT 1")
            for note in connection.notifies(timeout=0):
                self._heard(note.channel, note.payload)


def _connect(conninfo: str) -> Connection:
    connection = Connection.connect(conninfo, autocommit=True, connect_timeout=_CONNECT_TIMEOUT_S)
    connection.execute(_STATEMENT_TIMEOUT)
    return connection
