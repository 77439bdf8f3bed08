"""What is re-read before an order's first byte (I8), on an event loop: one statement at a time, for all who wait.

On a session of its own and below psycopg's cursors: every order waits for this answer, and so it comes in a quarter of
the time. Whatever goes wrong is an answer too, STORE_UNAVAILABLE: the order stays here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from typing import Final

import psycopg
from psycopg import pq

from core.errors import Reason
from core.order import Order, OrderStatus
from core.order_queue import closes
from schema.ledger import BeforeSend, send_refusal
from schema.pg_database import PROGRAM, SQL

CONNECT_TIMEOUT_S: Final = 2.0
ANSWER_TIMEOUT_S: Final = 2.0
MOST_AT_ONCE: Final = 64
"""Orders of one statement: what it permits has to leave within a second of it."""
_NAME: Final = b"may_send"
SESSION: Final = (
    b"SET statement_timeout = '3s'",  # after ANSWER_TIMEOUT_S, for what nobody waits for any more
    b"SET plan_cache_mode = 'force_generic_plan'",
    # The plan is kept, and may be made while there are few rows: whole tables would be read on when there are many.
    b"SET enable_seqscan = off",
    b"SET default_transaction_read_only = on",
    b"PREPARE may_send (text[]) AS " + SQL["may_send"].replace(b"%(ids)s", b"$1"),
)


class _Asked:
    """An order whose first byte waits; `again`: the session ended under its statement once already."""

    __slots__ = ("again", "answer", "order")

    def __init__(self, order: Order, answer: asyncio.Future[Reason | None]) -> None:
        self.order = order
        self.answer = answer
        self.again = False


class PgPermits:
    """Of one event loop; opened by the first that asks, and anew where it was lost. `close` it once that has ended."""

    def __init__(self, conninfo: str, *, worker: str) -> None:
        self._conninfo = conninfo
        self._program = f"{PROGRAM}{worker}"[:63]
        self._connection: psycopg.AsyncConnection | None = None
        self._socket = -1  # as it was watched: a connection that has lost it does not tell any more
        self._opening: asyncio.Task[None] | None = None
        self._closing: deque[_Asked] = deque()
        self._entering: deque[_Asked] = deque()
        self._asked: Sequence[_Asked] = ()
        self._result: pq.abc.PGresult | None = None
        self._late: asyncio.TimerHandle | None = None

    def ask(self, order: Order) -> Awaitable[Reason | None]:
        """Why the order must not leave, as its rows are from now on; None: it may. On the event loop."""
        answer: asyncio.Future[Reason | None] = asyncio.get_running_loop().create_future()
        (self._closing if closes(order) else self._entering).append(_Asked(order, answer))
        self._next()
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.pgconn.finish()
            self._connection = None

    # -- one statement after another ------------------------------------------------------------

    def _next(self) -> None:
        if self._asked or self._opening is not None or not (self._closing or self._entering):
            return
        loop = asyncio.get_running_loop()
        if self._connection is None:
            self._opening = loop.create_task(self._open())
            return
        pgconn = self._connection.pgconn
        self._asked = self._taken()
        if not self._asked:  # all have given up
            return
        self._late = loop.call_later(ANSWER_TIMEOUT_S, self._too_late)
        ids = b",".join([b'"%b"' % asked.order.client_order_id.encode() for asked in self._asked])
        try:
            pgconn.send_query_prepared(_NAME, [b"{%b}" % ids])
            self._flush()
        except psycopg.Error:
            self._lost()

    def _taken(self) -> Sequence[_Asked]:
        """Those whose turn it is, what closes first; nobody who has given up meanwhile."""
        taken: list[_Asked] = []
        for queue in (self._closing, self._entering):
            while queue and len(taken) < MOST_AT_ONCE:
                asked = queue.popleft()
                if not asked.answer.done():
                    taken.append(asked)
        return taken

    def _flush(self) -> None:
        assert self._connection is not None
        pgconn = self._connection.pgconn
        loop = asyncio.get_running_loop()
        if pgconn.flush():
            loop.add_writer(self._socket, self._writable)
        else:
            loop.remove_writer(self._socket)

    def _writable(self) -> None:
        try:
            self._flush()
        except psycopg.Error:
            self._lost()

    def _readable(self) -> None:
        assert self._connection is not None
        pgconn = self._connection.pgconn
        try:
            pgconn.consume_input()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    break
                self._result = result
            else:
                return
        except psycopg.Error:
            self._lost()
            return
        if self._asked:
            self._answered()

    def _answered(self) -> None:
        result, self._result = self._result, None
        if result is None or result.status != pq.ExecStatus.TUPLES_OK:
            self._lost()
            return
        found = _found(result)
        for asked in self._end():
            order = asked.order
            _tell(asked, send_refusal(found.get(order.client_order_id.encode()), fence=order.fence))
        self._next()

    def _end(self) -> Sequence[_Asked]:
        """The statement under way is over; who asked by it."""
        if self._late is not None:
            self._late.cancel()
        asked, self._asked = self._asked, ()
        return asked

    # -- the session ----------------------------------------------------------------------------

    async def _open(self) -> None:
        connection: psycopg.AsyncConnection | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await psycopg.AsyncConnection.connect(
                    self._conninfo, autocommit=True, application_name=self._program
                )
                for statement in SESSION:
                    await connection.execute(statement)
            self._socket = connection.pgconn.socket
        except (psycopg.Error, OSError):
            self._refuse_all()
        else:
            self._connection = connection
            asyncio.get_running_loop().add_reader(self._socket, self._readable)
        finally:
            self._opening = None
            if connection is not None and connection is not self._connection:
                connection.pgconn.finish()
        self._next()

    def _lost(self) -> None:
        """The session has ended or answers what it should not: whoever asked by it asks once more by another one."""
        self._leave()
        for asked in reversed(self._end()):
            if asked.again:
                _tell(asked, Reason.STORE_UNAVAILABLE)
            else:
                asked.again = True
                (self._closing if closes(asked.order) else self._entering).appendleft(asked)
        self._next()

    def _too_late(self) -> None:
        """A database that does not answer these will not answer the others in time."""
        self._leave()
        for asked in self._end():
            _tell(asked, Reason.STORE_UNAVAILABLE)
        self._refuse_all()

    def _leave(self) -> None:
        connection, self._connection = self._connection, None
        self._result = None
        if connection is not None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            connection.pgconn.finish()

    def _refuse_all(self) -> None:
        for queue in (self._closing, self._entering):
            while queue:
                _tell(queue.popleft(), Reason.STORE_UNAVAILABLE)


def _tell(asked: _Asked, refusal: Reason | None) -> None:
    if not asked.answer.done():
        asked.answer.set_result(refusal)


def _found(result: pq.abc.PGresult) -> dict[bytes, BeforeSend]:
    names = [result.fname(place) for place in range(result.nfields)]
    found = {}
    for row in range(result.ntuples):
        read = {name: result.get_value(row, place) or b"" for place, name in enumerate(names)}
        found[read[b"client_order_id"]] = BeforeSend(
            status=OrderStatus(read[b"status"].decode()),
            fence=int(read[b"fence"]),
            passes_switch=read[b"passes_switch"] == b"t",
            lease_holds=read[b"lease_holds"] == b"t",
            switched_off=read[b"switched_off"] == b"t",
        )
    return found
