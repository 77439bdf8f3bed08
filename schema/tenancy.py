"""For whom the database is asked, one user, whose rows are then all there is, or everybody; and by which request.

Whoever answers a user's request says so once, around the call; `Database` puts every transaction in it behind that
user's wall, those of readers that nobody thought of too (I12). Without a word the program works for everybody, as
ticks do. A context of its own for each thread and task. Events that are stored on the way name the request.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from core.ids import UserId

_asking: ContextVar[UserId | None] = ContextVar("asking", default=None)
_cause: ContextVar[str | None] = ContextVar("cause", default=None)


@contextmanager
def asked_for(user_id: UserId | None) -> Iterator[None]:
    """Until the end of the block the database is asked for this user; None: for everybody."""
    before = _asking.set(user_id)
    try:
        yield
    finally:
        _asking.reset(before)


@contextmanager
def caused_by(request_id: str | None) -> Iterator[None]:
    """Until the end of the block events that are stored carry this request's id."""
    before = _cause.set(request_id)
    try:
        yield
    finally:
        _cause.reset(before)


def cause() -> str | None:
    return _cause.get()


def asking() -> UserId | None:
    return _asking.get()
