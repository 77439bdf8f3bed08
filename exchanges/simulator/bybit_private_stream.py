"""Private streams of the Bybit face: login, topics, and events that come out a little after what caused them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from exchanges.simulator.account import Account
from exchanges.simulator.bybit_account import wallet_row
from exchanges.simulator.bybit_books import Books
from exchanges.simulator.bybit_call import is_signature
from exchanges.simulator.bybit_lookups import ACK_S, BybitLookups
from exchanges.simulator.bybit_positions import position_row
from exchanges.simulator.bybit_socket import Command, answer, command_of
from exchanges.simulator.engine import Engine
from exchanges.simulator.model import (
    AccountChanged,
    ConditionalChanged,
    Event,
    LeverageChanged,
    Order,
    OrderChanged,
    OrderKind,
    OrderStatus,
    Position,
    PositionSide,
    TimeInForce,
    TriggerStatus,
)
from exchanges.simulator.stream_faults import StreamTrouble
from exchanges.simulator.web_socket import Socket, text_frame

SILENT_S = 10 * 60.0
WAITING_MAX = 100_000
_TOPICS = ("order", "execution", "position")
_CATEGORISED = frozenset(f"{topic}.linear" for topic in _TOPICS)
_UNCATEGORISED = frozenset(_TOPICS)
_encode = msgspec.json.Encoder().encode
_Told = tuple[str, Callable[[], dict[str, Any]]]


class _Listener(msgspec.Struct, kw_only=True, eq=False):
    """One socket; no account before it has logged in. `heard_s`: process time its client last said anything."""

    socket: Socket
    heard_s: float
    account: str | None = None
    topics: set[str] = msgspec.field(default_factory=set)


class _Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An event under way, encoded when it happened, with and without its category in the topic's name."""

    due_s: float
    account: str
    frames: tuple[tuple[str, bytes], ...]


class PrivateStreams:
    def __init__(self, engine: Engine, books: Books, trouble: StreamTrouble) -> None:
        self._engine = engine
        self._books = books
        self._rows = BybitLookups(engine, books)
        self._trouble = trouble
        self._listeners: dict[int, _Listener] = {}
        self._waiting: deque[_Waiting] = deque(maxlen=WAITING_MAX)
        self._made = 0
        engine.listen(self._hear)

    # -- sockets

    def open(self, socket: Socket) -> None:
        listener = _Listener(socket=socket, heard_s=self._engine.clock.process_s())
        self._listeners[id(socket)] = listener
        socket.on_text = lambda text: self._command(listener, text)
        socket.on_lost = lambda: self._forget(socket)

    def pulse(self) -> None:
        """What is due goes out; who has been silent for too long is cut off, however fast the venue's time ran."""
        now_s = self._engine.clock.process_s()
        waiting = self._waiting
        while waiting and waiting[0].due_s <= now_s:
            self._send(waiting.popleft())
        for listener in list(self._listeners.values()):
            if now_s - listener.heard_s > SILENT_S:
                listener.socket.close()

    def drop(self) -> None:
        for listener in list(self._listeners.values()):
            listener.socket.abort()

    # -- commands

    def _command(self, listener: _Listener, text: bytes) -> None:
        listener.heard_s = self._engine.clock.process_s()
        command = command_of(text)
        if command is None:
            self._say(listener, answer(None, False, "Invalid request"))
            return
        if command.op == "auth":
            self._login(listener, command)
        elif command.op == "ping":
            pong = {"req_id": command.req_id, "op": "pong", "args": [str(self._engine.now_ms)]}
            self._say(listener, {**pong, "conn_id": f"sim-{id(listener.socket):x}"})
        elif command.op in ("subscribe", "unsubscribe"):
            said = self._subscribe(listener, command)
            self._say(listener, answer(command, not said, said))
        else:
            self._say(listener, answer(command, False, f"op {command.op} not supported"))

    def _login(self, listener: _Listener, command: Command) -> None:
        """[key, expires, signature of "GET/realtime" + expires]; refused, the connection ends."""
        said = "Params Error"
        if len(command.args) == 3:
            name, expires, signature = command.args
            key = self._engine.key(str(name))
            if key is None:
                said = "Invalid apikey"
            elif not isinstance(expires, int) or expires <= self._engine.now_ms:
                said = "Params Error: expires"
            elif not is_signature(str(signature), f"GET/realtime{expires}".encode(), key):
                said = "error:Error sign, please check your signature generation algorithm."
            else:
                listener.account, said = key.account, ""
        self._say(listener, answer(command, not said, said))
        if said:
            listener.socket.close()

    def _subscribe(self, listener: _Listener, command: Command) -> str:
        """What is wrong with it, or nothing."""
        if listener.account is None:
            return "Request not authorized"
        topics = {str(topic) for topic in command.args}
        for topic in sorted(topics):
            if topic not in _CATEGORISED | _UNCATEGORISED and topic != "wallet":
                return f"Invalid topic: {topic}"
        if topics & _CATEGORISED and topics & _UNCATEGORISED:
            return "All-in-one topics and categorised topics cannot be subscribed in one request"
        if command.op == "subscribe":
            listener.topics |= topics
        else:
            listener.topics -= topics
        return ""

    # -- events

    def _hear(self, event: Event) -> None:
        """Worded and encoded now, for topics somebody hears: the objects in it go on changing."""
        heard = {
            topic
            for listener in self._listeners.values()
            if listener.account == event.account
            for topic in listener.topics
        }
        if not heard:
            return
        for topic, worded in self._words(event):
            names = [name for name in (topic, f"{topic}.linear") if name in heard]
            if not names:
                continue
            self._made += 1
            body = {"id": f"sim-{self._made}", "creationTime": event.at_ms, "data": [worded()]}
            frames = tuple((name, text_frame(_encode({"topic": name, **body}))) for name in names)
            due_s = self._engine.clock.process_s() + ACK_S
            self._waiting.append(_Waiting(due_s=due_s, account=event.account, frames=frames))

    def _words(self, event: Event) -> list[_Told]:
        account = self._engine.account(event.account)
        match event:
            case OrderChanged(order=order, trade=trade):
                told: list[_Told] = []
                if trade is not None or not _is_passing(order):
                    told.append(("order", lambda: self._order(order)))
                if trade is not None:
                    told.append(("execution", lambda: self._executed(account)))
                return told
            case AccountChanged(position=position):
                told = [("wallet", lambda: wallet_row(self._engine, account))]
                if position is not None:
                    told.append(("position", partial(self._position, account, position)))
                if event.cause == "funding":
                    told.append(("execution", lambda: self._executed(account)))
                return told
            case ConditionalChanged(conditional=conditional):
                if conditional.status is TriggerStatus.FINISHED and conditional.order_id is not None:
                    return []  # told as the order it became
                return [("order", lambda: self._rows.row(conditional))]
            case LeverageChanged():
                sides = (PositionSide.LONG, PositionSide.SHORT) if account.hedge else (PositionSide.BOTH,)
                held = (account.position(event.symbol, side) for side in sides)
                return [("position", partial(self._position, account, each)) for each in held]

    def _order(self, order: Order) -> dict[str, Any]:
        row = self._rows.row(order)
        closed = self._books.closed[order.account].get(row["orderId"])
        return row | {"closedPnl": "0" if closed is None else closed.row()["closedPnl"]}

    def _position(self, account: Account, position: Position) -> dict[str, Any]:
        return position_row(self._engine, account, position, entry_name="entryPrice")

    def _executed(self, account: Account) -> dict[str, Any]:
        """What has just been executed."""
        return self._books.executions[account.name][-1].row

    def _send(self, waiting: _Waiting) -> None:
        for number, listener in list(self._listeners.items()):
            if listener.account != waiting.account:
                continue
            for topic, frame in waiting.frames:
                if topic in listener.topics:
                    self._trouble.pass_on(number, frame, listener.socket.send)

    def _say(self, listener: _Listener, document: dict[str, Any]) -> None:
        listener.socket.send(text_frame(_encode(document)))

    def _forget(self, socket: Socket) -> None:
        self._listeners.pop(id(socket), None)


def _is_passing(order: Order) -> bool:
    """An order that takes at once is told when it has, not that it came."""
    takes = order.request.kind is OrderKind.MARKET or order.request.tif in (TimeInForce.IOC, TimeInForce.FOK)
    return takes and order.status is OrderStatus.NEW
