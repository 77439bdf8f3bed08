"""Listen keys and the private stream of the Binance face."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import parse_qs

import msgspec

from exchanges.simulator.binance_call import Call
from exchanges.simulator.binance_codes import VenueError
from exchanges.simulator.binance_words import account_event, conditional_event, order_event, trade_lite
from exchanges.simulator.engine import Engine
from exchanges.simulator.http_server import HttpRequest
from exchanges.simulator.model import (
    AccountChanged,
    ConditionalChanged,
    Event,
    LeverageChanged,
    OrderChanged,
    TriggerStatus,
)
from exchanges.simulator.stream_faults import StreamTrouble
from exchanges.simulator.web_socket import Socket, text_frame

KEY_LIFE_MS = 60 * 60 * 1000
PING_EVERY_MS = 3 * 60 * 1000
SOCKET_LIFE_MS = 24 * 3600 * 1000
_encode = msgspec.json.Encoder().encode


class _Listener(msgspec.Struct, kw_only=True, eq=False):
    """One socket and what it hears; `events` empty: everything."""

    socket: Socket
    account: str
    listen_key: str
    events: frozenset[str]
    is_wrapped: bool


class UserStreams:
    """One listen key per account; asking again answers the same one and renews it."""

    def __init__(self, engine: Engine, trouble: StreamTrouble) -> None:
        self._engine = engine
        self._trouble = trouble
        self._keys: dict[str, tuple[str, int]] = {}
        self._listeners: dict[int, _Listener] = {}
        self._made = 0
        engine.listen(self._hear)

    # -- listen keys

    def start(self, call: Call) -> dict[str, str]:
        name = call.account.name
        listen_key = next((key for key, (account, _) in self._keys.items() if account == name), None)
        if listen_key is None:
            self._made += 1
            listen_key = hashlib.sha256(f"{name}:{self._made}".encode()).hexdigest()
        self._keys[listen_key] = (name, self._engine.now_ms + self._engine.clock.wire_ms(KEY_LIFE_MS))
        return {"listenKey": listen_key}

    def keep_alive(self, call: Call) -> dict[str, str]:
        if all(account != call.account.name for account, _ in self._keys.values()):
            raise VenueError(-1125, "This listenKey does not exist.")
        return self.start(call)

    def end(self, call: Call) -> dict[str, str]:
        name = call.account.name
        self._keys = {key: held for key, held in self._keys.items() if held[0] != name}
        return {}

    # -- sockets

    def open(self, request: HttpRequest, socket: Socket) -> bool:
        """`/private/ws?listenKey=K&events=A/B`; a key that is not known is connected and hears nothing."""
        if request.path not in ("/private/ws", "/private/stream"):
            return False
        query = parse_qs(request.query)
        listen_key = query.get("listenKey", [""])[0]
        wanted = frozenset(query.get("events", [""])[0].split("/")) - {""}
        account = self._keys.get(listen_key, ("", 0))[0]
        self._listeners[id(socket)] = _Listener(
            socket=socket,
            account=account,
            listen_key=listen_key,
            events=wanted,
            is_wrapped=request.path == "/private/stream",
        )
        socket.on_lost = lambda: self._forget(socket)
        return True

    def pulse(self) -> None:
        """Expired keys are told and forgotten; pings; the end of a day's connection."""
        now, clock = self._engine.now_ms, self._engine.clock
        for listen_key, (name, until) in list(self._keys.items()):
            if until <= now:
                del self._keys[listen_key]
                told = {"e": "listenKeyExpired", "E": now, "listenKey": listen_key}
                self._tell(name, told)
        keep_open([each.socket for each in self._listeners.values()], now, clock.wire_ms(1))

    def drop(self) -> None:
        for listener in list(self._listeners.values()):
            listener.socket.abort()

    # -- events

    def _hear(self, event: Event) -> None:
        """Encoded now: the objects in it go on changing."""
        if not self._listeners:
            return
        for told in self._words(event):
            self._tell(event.account, told)

    def _words(self, event: Event) -> list[dict[str, Any]]:
        account, at = self._engine.account(event.account), event.at_ms
        match event:
            case OrderChanged():
                told = [order_event(event.order, event.trade, at)]
                if event.trade is not None:
                    told.append(trade_lite(event.trade, event.order, at))
                return told
            case AccountChanged():
                mark = self._engine.marks[event.position.symbol] if event.position else event.change
                return [account_event(account, event.position, mark, event.cause, event.change, at)]
            case ConditionalChanged():
                conditional = event.conditional
                real = account.by_id.get(conditional.order_id or 0)
                told = [conditional_event(conditional, real, at)]
                if conditional.status is TriggerStatus.TRIGGERED:
                    told.insert(0, conditional_event(conditional, None, at, "TRIGGERING"))
                return told
            case LeverageChanged():
                changed = {"s": event.symbol, "l": event.leverage}
                return [{"e": "ACCOUNT_CONFIG_UPDATE", "E": at, "T": at, "ac": changed}]

    def _tell(self, account: str, told: dict[str, Any]) -> None:
        name = told["e"]
        for number, listener in list(self._listeners.items()):
            is_meant = not listener.events or name in listener.events or name == "listenKeyExpired"
            if listener.account != account or not is_meant or not self._is_live(listener, name):
                continue
            document = {"stream": listener.listen_key, "data": told} if listener.is_wrapped else told
            self._trouble.pass_on(number, text_frame(_encode(document)), listener.socket.send)

    def _is_live(self, listener: _Listener, name: str) -> bool:
        return listener.listen_key in self._keys or name == "listenKeyExpired"

    def _forget(self, socket: Socket) -> None:
        self._listeners.pop(id(socket), None)


def keep_open(sockets: list[Socket], now_ms: int, wire_ms: int) -> None:
    """Pings every three minutes and closes after a day, of the client's time: `wire_ms` venue ms a client's."""
    for socket in sockets:
        if now_ms - socket.opened_ms >= SOCKET_LIFE_MS * wire_ms:
            socket.close()
        elif now_ms - socket.pinged_ms >= PING_EVERY_MS * wire_ms:
            socket.pinged_ms = now_ms
            socket.ping()
