"""The venue's controls under /simulator/: clock, prices, keys, faults, journal, ledger. JSON in, JSON out.

PUT    /simulator/clock    {"at": ms, "rate": x, "ceiling": ms|null}; GET the same and "now"
PUT    /simulator/keys     {"key", "secret", "account", "balance", "withdraw", "ip_bound", "trade", "hedge",
                            "fees": {"maker", "taker", "asset", "asset_price"}}; GET the keys without secrets
PUT    /simulator/price    {"symbol", "price"|null}      the price jumps there and stays; null: the tape again;
                            with "jump": false it goes there past all that lies between
PUT    /simulator/mark     {"symbol", "offset"}          mark = last + offset
PUT    /simulator/funding  {"symbol", "rates": [[ms, "rate"], ...]}
PUT    /simulator/liquidity {"symbol", "quantity"|null}  what one price can fill
PUT    /simulator/limits   {"weight", "orders_10s", "orders_1m"}   0: without end
POST   /simulator/faults   a fault of requests (faults.py), or of the venue's state:
                           {"kind": "lookup_lag", "seconds"}, {"kind": "streams", "duplicate", "reorder",
                           "lose", "seed"}, {"kind": "drop_sockets", "private_only"}, {"kind": "ban", "seconds"},
                           {"kind": "clock_offset", "ms"}; GET lists, DELETE clears all
POST   /simulator/close    {"account", "symbol", "origin": "adl"|"settlement"}     the venue closes positions
GET    /simulator/journal?since=SEQ    {"entries": [...], "created": {client_id: count}}
GET    /simulator/ledger?account=NAME
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import msgspec

from exchanges.simulator.account import Fees
from exchanges.simulator.face import Face
from exchanges.simulator.faults import Fault, Faults
from exchanges.simulator.http_server import HttpReply, HttpRequest
from exchanges.simulator.journal import Journal
from exchanges.simulator.ledger import ledger
from exchanges.simulator.limits import Ceilings
from exchanges.simulator.model import Origin, Refused
from exchanges.simulator.stream_faults import StreamFault
from exchanges.simulator.venue import Key


class _Clock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: int | None = None
    rate: float | None = None
    ceiling: int | None = None


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    key: str
    secret: str
    account: str = "main"
    balance: Decimal = Decimal(10000)
    withdraw: bool = False
    ip_bound: bool = True
    trade: bool = True
    fees: Fees | None = None


class _Amount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: str
    price: Decimal | None = None
    jump: bool = True
    offset: Decimal = Decimal(0)
    quantity: Decimal | None = None
    rates: list[tuple[int, Decimal]] = []


class _Close(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: str
    symbol: str
    origin: Origin


class _Lag(msgspec.Struct, frozen=True, tag_field="kind", tag="lookup_lag", forbid_unknown_fields=True):
    seconds: float


class _Streams(msgspec.Struct, frozen=True, tag_field="kind", tag="streams", forbid_unknown_fields=True):
    duplicate: float = 0.0
    reorder: float = 0.0
    lose: float = 0.0
    seed: int = 0


class _Drop(msgspec.Struct, frozen=True, tag_field="kind", tag="drop_sockets", forbid_unknown_fields=True):
    private_only: bool = False


class _Ban(msgspec.Struct, frozen=True, tag_field="kind", tag="ban", forbid_unknown_fields=True):
    seconds: float


class _Offset(msgspec.Struct, frozen=True, tag_field="kind", tag="clock_offset", forbid_unknown_fields=True):
    ms: int


_STATE = _Lag | _Streams | _Drop | _Ban | _Offset
_STATE_KINDS = ("lookup_lag", "streams", "drop_sockets", "ban", "clock_offset")


class Admin:
    def __init__(self, face: Face, journal: Journal, faults: Faults) -> None:
        self._face = face
        self._engine = face.engine
        self._journal = journal
        self._faults = faults
        self._routes: dict[tuple[str, str], Callable[[HttpRequest], Any]] = {
            ("GET", "clock"): lambda request: self._clock(),
            ("PUT", "clock"): self._set_clock,
            ("GET", "keys"): lambda request: self._keys(),
            ("PUT", "keys"): self._set_key,
            ("PUT", "price"): self._set_price,
            ("PUT", "mark"): self._set_mark,
            ("PUT", "funding"): self._set_funding,
            ("PUT", "liquidity"): self._set_liquidity,
            ("PUT", "limits"): self._set_limits,
            ("GET", "faults"): lambda request: self._faults.all,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): lambda request: self._clear_faults(),
            ("POST", "close"): self._close,
            ("GET", "journal"): self._read_journal,
            ("GET", "ledger"): self._read_ledger,
        }

    def answer(self, request: HttpRequest) -> HttpReply:
        route = self._routes.get((request.method, request.path.removeprefix("/simulator/")))
        if route is None:
            return _reply(404, {"error": f"There is no {request.method} {request.path}."})
        self._engine.advance()
        try:
            return _reply(200, route(request))
        except (msgspec.DecodeError, Refused, KeyError, ValueError) as error:
            return _reply(400, {"error": f"{type(error).__name__}: {error}"})

    def _clock(self) -> dict[str, Any]:
        clock = self._engine.clock
        return {"now": clock.now_ms(), "rate": clock.rate, "ceiling": clock.ceiling_ms}

    def _set_clock(self, request: HttpRequest) -> dict[str, Any]:
        wanted = msgspec.json.decode(request.body, type=_Clock)
        self._engine.clock.set(at_ms=wanted.at, rate=wanted.rate, ceiling_ms=wanted.ceiling)
        self._engine.advance()
        return self._clock()

    def _keys(self) -> list[dict[str, Any]]:
        return [
            {"key": k.key, "account": k.account, "withdraw": k.withdraw, "ip_bound": k.ip_bound}
            for k in self._engine.keys
        ]

    def _set_key(self, request: HttpRequest) -> dict[str, Any]:
        wanted = msgspec.json.decode(request.body, type=_Key)
        self._engine.add_account(wanted.account, wanted.balance, wanted.fees)
        self._engine.set_key(
            Key(
                key=wanted.key,
                secret=wanted.secret.encode(),
                account=wanted.account,
                withdraw=wanted.withdraw,
                ip_bound=wanted.ip_bound,
                trade=wanted.trade,
            )
        )
        return {"key": wanted.key, "account": wanted.account}

    def _set_price(self, request: HttpRequest) -> dict[str, Any]:
        wanted = msgspec.json.decode(request.body, type=_Amount)
        self._engine.set_price(wanted.symbol, wanted.price, is_jump=wanted.jump)
        return self._price(wanted.symbol)

    def _set_mark(self, request: HttpRequest) -> dict[str, Any]:
        wanted = msgspec.json.decode(request.body, type=_Amount)
        self._engine.set_mark_offset(wanted.symbol, wanted.offset)
        return self._price(wanted.symbol)

    def _price(self, symbol: str) -> dict[str, Any]:
        return {"symbol": symbol, "last": self._engine.last[symbol], "mark": self._engine.marks[symbol]}

    def _set_funding(self, request: HttpRequest) -> dict[str, Any]:
        wanted = msgspec.json.decode(request.body, type=_Amount)
        self._engine.market.set_funding(wanted.symbol, wanted.rates)
        return {"symbol": wanted.symbol, "rates": len(wanted.rates)}

    def _set_liquidity(self, request: HttpRequest) -> dict[str, Any]:
        wanted = msgspec.json.decode(request.body, type=_Amount)
        self._engine.liquidity.pop(wanted.symbol, None)
        if wanted.quantity is not None:
            self._engine.liquidity[wanted.symbol] = wanted.quantity
        return {"symbol": wanted.symbol, "quantity": wanted.quantity}

    def _set_limits(self, request: HttpRequest) -> Ceilings:
        self._face.limits.ceilings = msgspec.json.decode(request.body, type=Ceilings)
        return self._face.limits.ceilings

    def _add_fault(self, request: HttpRequest) -> dict[str, Any]:
        kind = msgspec.json.decode(request.body).get("kind")
        if kind in _STATE_KINDS:
            self._change(msgspec.json.decode(request.body, type=_STATE))
        else:
            self._faults.add(msgspec.json.decode(request.body, type=Fault))
        return {"kind": kind}

    def _change(self, fault: _STATE) -> None:
        engine, now = self._engine, self._engine.now_ms
        match fault:
            case _Lag():
                engine.set_lookup_lag(fault.seconds)
            case _Streams():
                self._face.trouble.set(
                    StreamFault(
                        duplicate=fault.duplicate, reorder=fault.reorder, lose=fault.lose, seed=fault.seed
                    )
                )
            case _Drop():
                self._face.drop_sockets(private_only=fault.private_only)
            case _Ban():
                self._face.limits.ban(now + engine.clock.wire_ms(fault.seconds * 1000))
            case _Offset():
                clock = engine.clock
                clock.set(at_ms=clock.now_ms() + fault.ms, rate=None, ceiling_ms=clock.ceiling_ms)

    def _clear_faults(self) -> dict[str, Any]:
        self._faults.clear()
        self._engine.set_lookup_lag(0)
        self._face.trouble.set(StreamFault())
        self._face.limits.ban(0)
        return {}

    def _close(self, request: HttpRequest) -> dict[str, Any]:
        wanted = msgspec.json.decode(request.body, type=_Close)
        account = self._engine.account(wanted.account)
        held = [p for p in account.open_positions() if p.symbol == wanted.symbol]
        closed = [self._engine.force_close(account, position, wanted.origin) for position in held]
        return {"closed": [order.order_id for order in closed]}

    def _read_journal(self, request: HttpRequest) -> dict[str, Any]:
        since = int(parse_qs(request.query).get("since", ["0"])[0])
        return {"entries": self._journal.since(since), "created": self._journal.created}

    def _read_ledger(self, request: HttpRequest) -> dict[str, Any]:
        return ledger(self._engine, parse_qs(request.query).get("account", [None])[0])


def _reply(status: int, document: object) -> HttpReply:
    return HttpReply(status=status, body=msgspec.json.encode(document))
