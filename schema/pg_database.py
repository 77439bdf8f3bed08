"""Transactions on PostgreSQL: the pool, its time limits, the retry rule, and the one place that maps errors.

psycopg's errors become ours here, by what the caller may conclude:

    Conflict            a constraint or trigger refused it; nothing was written
    StoreUnavailable    unreachable, too slow, or blocked three times: nobody knows, so nobody trades
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg.types.json import set_json_loads
from psycopg_pool import ConnectionPool, PoolTimeout, TooManyRequests

from core.errors import Conflict
from core.ids import UserId
from schema.queries import load_queries
from schema.store import StoreUnavailable
from schema.tenancy import asked_for, asking, cause
from schema.witness import witness

T = TypeVar("T")


class DatabaseTimes(msgspec.Struct, frozen=True, kw_only=True):
    """What this process asked of its database so far, and its pool now."""

    transactions: int
    seconds: float
    failures: int
    retries: int
    connections: int
    idle: int
    waiting: int


class Walls(msgspec.Struct, frozen=True, kw_only=True):
    """What this database holds of a user's: reads, and writes as well. Where the operator's server has not let the
    roles be made, neither; then only the queries stand between users.
    """

    readers: bool
    writers: bool


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection of the pool; `used_s`: when the server last did something on it, monotonic."""

    used_s = float("-inf")


SQL = {name: query.sql for name, query in load_queries().items()}

RETRIES = 3
_CONNECT_TIMEOUT_S = 5
_POOL_TIMEOUT_S = 5.0
_TRUSTED_S = 5.0
"""A connection used so recently is not asked whether its server lives: that is a round trip at every call."""
_MAX_WAITING = 1_000
_SESSION = (
    b"SET lock_timeout = '3s'",
    b"SET idle_in_transaction_session_timeout = '5s'",
    b"SET statement_timeout = '10s'",
    b"SET TIME ZONE 'UTC'",
    b"SET plan_cache_mode = 'force_generic_plan'",
)
"""Plans are made once: a statement of ours finds rows by keys, and to plan it takes several times as long as to run it.
Left to itself the server plans those with `= ANY` anew each time, as it cannot know how many keys will come."""
_BOUNDED_SINCE = 170_000
_BOUND = b"SET transaction_timeout = '10s'"
"""Ends a transaction whose process stands still. The time-out of idle ones does not always: psycopg sends Flush behind
the last Sync of a pipeline, and with that the server forgets that the session idles. Older servers have no such bound:
there, and sooner, whoever waits for the locks ends what keeps them (`end_stalled`)."""
PROGRAM = "strategy-runner "
"""How the sessions of all processes' pools are called on the server, before the process's own name."""
_RETRIED = (
    psycopg.errors.SerializationFailure,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.LockNotAvailable,
)
_MONTHS_AHEAD = timedelta(days=45)


class _Lost(Exception):
    """The connection went away under a read."""


class Database:
    """A pool of connections on which work runs as whole transactions, again from its start where locks met."""

    def __init__(self, conninfo: str, *, pool_size: int, worker: str) -> None:
        _reach(conninfo)
        self.months = Months()
        self._counting = threading.Lock()
        self._transactions = self._failures = self._retries = 0
        self._seconds = 0.0
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            conninfo,
            min_size=1,
            max_size=pool_size,
            open=False,
            timeout=_POOL_TIMEOUT_S,
            max_waiting=_MAX_WAITING,
            reconnect_timeout=_POOL_TIMEOUT_S,
            configure=_configure,
            check=_check,
            connection_class=Connection,
            kwargs={"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": f"{PROGRAM}{worker}"[:63]},
            name=f"store {worker}",
        )
        try:
            self._pool.open(wait=True, timeout=_POOL_TIMEOUT_S)
            self.run(self.cover_now)
            self.walls = self.run(_walls)
        except PoolTimeout as error:
            self._pool.close()
            raise StoreUnavailable(f"The database gave no connection in {_POOL_TIMEOUT_S:g} s.") from error
        except BaseException:
            self._pool.close()
            raise

    def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, committed. `work` may run up to 1 + RETRIES times, so it has no other effects.

        Where one user is asked for (schema/tenancy.py) it sees and changes that user's rows alone. Events it stores
        carry the id of the request it is caused by.
        """
        user_id, request_id = asking(), cause()
        if request_id is not None:
            work = _after("name_request", {"request_id": request_id}, work)
        if user_id is not None and self.walls.writers:
            work = _after("become_tenant", {"user_id": user_id}, work)
        return self._timed(work)

    def _timed(self, work: Callable[[Connection], T]) -> T:
        began_s = monotonic()
        failed = True
        try:
            result = self._run(work)
            failed = False
            return result
        finally:
            with self._counting:
                self._transactions += 1
                self._failures += failed
                self._seconds += monotonic() - began_s

    def times(self) -> DatabaseTimes:
        pool = self._pool.get_stats()
        with self._counting:
            return DatabaseTimes(
                transactions=self._transactions,
                seconds=self._seconds,
                failures=self._failures,
                retries=self._retries,
                connections=pool.get("pool_size", 0),
                idle=pool.get("pool_available", 0),
                waiting=pool.get("requests_waiting", 0),
            )

    def _run(self, work: Callable[[Connection], T]) -> T:
        seen = witness.mark()
        for attempt in range(RETRIES + 1):
            witness.back_to(seen)
            try:
                with _mapped(), self._pool.connection() as connection:
                    result = work(connection)
                    connection.used_s = monotonic()
                    return result
            except _RETRIED as error:
                if attempt == RETRIES:
                    raise StoreUnavailable(
                        f"The database was busy with the same rows {RETRIES + 1} times: {_sentence(error)}."
                    ) from error
                with self._counting:
                    self._retries += 1
                if isinstance(error, psycopg.errors.LockNotAvailable):
                    self._end_stalled()
            except BaseException:
                self.months.forget()
                raise
        raise AssertionError("the last attempt returns or raises")

    def _end_stalled(self) -> None:
        """A lock that was waited for in vain may be kept by a process that stands still in its transaction."""
        with _mapped(), self._pool.connection() as connection:
            connection.execute(SQL["end_stalled"], {"program": f"{PROGRAM}%"})

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` reads by statements that need no transaction around them: two round trips fewer.

        It changes nothing, so where its connection is lost another one is asked. Where one user is asked for, what
        there is to read is that user's, and a transaction keeps it so.
        """
        user_id = asking()
        if user_id is not None and self.walls.readers:
            return self._timed(_after("become_reader", {"user_id": user_id}, work))

        def alone(connection: Connection) -> T:
            connection.autocommit = True
            try:
                return work(connection)
            except psycopg.OperationalError as error:
                if connection.broken:
                    raise _Lost(_sentence(error)) from error
                raise
            finally:
                if not connection.broken:
                    connection.autocommit = False

        try:
            return self._timed(alone)
        except _Lost:
            return self._timed(work)

    def read_as(self, user_id: UserId, work: Callable[[Connection], T]) -> T:
        """What `work` reads where it can see nothing of anybody but this user, whoever asks."""
        with asked_for(user_id):
            return self.read(work)

    def cover_now(self, connection: Connection) -> datetime:
        """Market time, with monthly partitions from a month back to the next month."""
        row = connection.execute(SQL["market_now"]).fetchone()
        assert row is not None
        now: datetime = row[0]
        self.months.cover(connection, [now - timedelta(days=31), now, now + _MONTHS_AHEAD])
        return now

    def close(self) -> None:
        self._pool.close(timeout=_POOL_TIMEOUT_S)


class Months:
    """The months known to have their partitions, so that asking for one again costs nothing.

    Forgotten whenever a transaction fails: its partitions may have gone with it.
    """

    def __init__(self) -> None:
        self._known: frozenset[tuple[int, int]] = frozenset()
        self._lock = threading.Lock()

    def cover(self, connection: Connection, instants: Iterable[datetime]) -> None:
        missing = {}
        for instant in instants:
            at = instant.astimezone(UTC)
            if (at.year, at.month) not in self._known:
                missing[at.year, at.month] = at
        if not missing:
            return
        for at in missing.values():
            connection.execute(SQL["ensure_partitions"], {"first": at, "last": at})
        with self._lock:
            self._known |= missing.keys()

    def forget(self) -> None:
        with self._lock:
            self._known = frozenset()


def _walls(connection: Connection) -> Walls:
    row = connection.execute(SQL["has_walls"]).fetchone()
    return Walls(readers=bool(row and row[0]), writers=bool(row and row[1]))


def _after(
    query: str, named: Mapping[str, str], work: Callable[[Connection], T]
) -> Callable[[Connection], T]:
    """`work`, in a transaction that begins with this query."""

    def prepared(connection: Connection) -> T:
        connection.execute(SQL[query], named)
        return work(connection)

    return prepared


def refusal(error: psycopg.IntegrityError) -> str:
    """The sentence of a constraint or trigger that refused a statement."""
    return _sentence(error)


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except _RETRIED:
        raise
    except psycopg.IntegrityError as error:
        raise Conflict(f"The database refuses this: {_sentence(error)}.") from error
    except psycopg.DataError as error:
        raise Conflict(f"The database cannot hold this value: {_sentence(error)}.") from error
    except (PoolTimeout, TooManyRequests) as error:
        raise StoreUnavailable("The database gave no connection in time.") from error
    except psycopg.Error as error:
        raise StoreUnavailable(f"The database did not do its part: {_sentence(error)}.") from error


def _sentence(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error).strip() or type(error).__name__).splitlines()[0]


def _reach(conninfo: str) -> None:
    """One connection of its own first: a pool that cannot connect does not say why."""
    try:
        psycopg.connect(conninfo, connect_timeout=_CONNECT_TIMEOUT_S).close()
    except psycopg.Error as error:
        raise StoreUnavailable(f"The database cannot be reached: {_sentence(error)}.") from error


def _check(connection: Connection) -> None:
    """Raises when the server is gone. An idle connection on which something has arrived was closed by the server."""
    arrived = select.poll()
    arrived.register(connection.fileno(), select.POLLIN)
    if arrived.poll(0) or monotonic() - connection.used_s > _TRUSTED_S:
        ConnectionPool.check_connection(connection)


def _configure(connection: Connection) -> None:
    set_json_loads(msgspec.json.decode, connection)  # 0.1 µs a small object instead of 3
    connection.autocommit = True
    for statement in _SESSION:
        connection.execute(statement)
    if connection.info.server_version >= _BOUNDED_SINCE:
        connection.execute(_BOUND)
    connection.autocommit = False
