"""Requests under an idempotency key: carried out once, answered as often as they are asked.

begin → First or again: Attempt · answered before: Kept · somebody is at it: Busy · another request's key: Reused
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

import msgspec

from core.ids import UserId

KEPT_S: Final = 86_400.0
"""For how long a key is known."""
BUSY_S: Final = 60.0
"""After it an attempt is taken for dead: longer than any route works."""
MAX_KEYS: Final = 10_000
"""Keys of one user at a time."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request with its key; `operation` is method and path of the route, `content` all that makes it this request."""

    user_id: UserId
    key: str
    operation: str
    content: bytes


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """To be carried out now. Ids are derived from `seed`, which repeats of the request share.

    `asked_at`: market time of the first attempt. From the second on (`number`), rows of an earlier one may be there.
    """

    number: int
    seed: UUID
    asked_at: datetime


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered."""

    status: int
    answer: bytes


class Busy(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody is at it, `for_s` seconds at most."""

    for_s: float


class Reused(msgspec.Struct, frozen=True, kw_only=True):
    """The key belongs to a request that differs from this one."""


class TooManyKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The user has MAX_KEYS keys that are known."""


Begun = Attempt | Kept | Busy | Reused | TooManyKeys


class IdempotencyKeys(Protocol):
    """Methods block."""

    def begin(self, asked: Asked, *, seed: UUID) -> Begun:
        """`seed` is a new request's."""
        ...

    def finish(self, asked: Asked, attempt: Attempt, *, status: int, answer: bytes) -> None:
        """Keeps the answer; nothing when the attempt was taken for dead and another has begun."""
        ...

    def give_up(self, asked: Asked, attempt: Attempt, *, changed_nothing: bool) -> None:
        """Lets the request be tried again; the key of a first attempt that changed nothing is free again."""
        ...
