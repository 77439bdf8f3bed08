"""A user's events as a chain of hashes: what was changed, left out or put in afterwards breaks it at that link.

hash(n) = SHA-256(hash(n-1) + content(n)); the content is the event as one JSON text, made in the transaction that
appends the event (`schema/migrations/0017_event_chains.sql`). A chain alone shows that it agrees with itself; who may
rewrite the whole database may rewrite the chain as well, but not one whose head is kept elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from core.ids import UserId

_ORIGIN = "strategy-runner events of "


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it was sealed."""

    number: int
    previous_hash: bytes
    hash: bytes
    content: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Where a user's chain ends; links up to `dropped` may be gone, as retention took them out."""

    user_id: UserId
    number: int
    hash: bytes
    dropped: int = 0


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """The first link that does not hold, and what is wrong with it."""

    number: int
    why: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a chain came to: `links` were looked at, the first of them number `first`."""

    head: Head
    links: int
    first: int | None
    broken: Broken | None

    @property
    def holds(self) -> bool:
        return self.broken is None


def origin_of(user_id: UserId) -> bytes:
    """What stands before a user's first link."""
    return hashlib.sha256(f"{_ORIGIN}{user_id}".encode()).digest()


def sealed(previous_hash: bytes, content: str) -> bytes:
    return hashlib.sha256(previous_hash + content.encode()).digest()


def verify(head: Head, links: Iterable[Link], *, known: Head | None = None) -> Verdict:
    """`links` in order. `known`: an earlier head that was kept elsewhere, which the chain must go through."""
    count, first = 0, None
    number, last = 0, origin_of(head.user_id)
    broken: Broken | None = None
    for link in links:
        count += 1
        first = link.number if first is None else first
        broken = _wrong(head, link, number, last) or _not_as_known(known, link)
        if broken is not None:
            break
        number, last = link.number, link.hash
    if broken is None:
        broken = _wrong_end(head, number, last, known)
    return Verdict(head=head, links=count, first=first, broken=broken)


def _wrong(head: Head, link: Link, before: int, last: bytes) -> Broken | None:
    if link.number <= before:
        return Broken(number=link.number, why="stands twice")
    gap = link.number != before + 1
    if gap and link.number - 1 > head.dropped:
        return Broken(number=before + 1, why="is missing")
    if not gap and link.previous_hash != last:
        return Broken(number=link.number, why="does not follow from the link before it")
    if sealed(link.previous_hash, link.content) != link.hash:
        return Broken(number=link.number, why="is not what was sealed: its content has been changed")
    if not _names(link, head.user_id):
        return Broken(number=link.number, why="is another user's or another number's")
    return None


def _not_as_known(known: Head | None, link: Link) -> Broken | None:
    if known is None or link.number != known.number or link.hash == known.hash:
        return None
    return Broken(number=link.number, why="has another hash than the one kept elsewhere")


def _wrong_end(head: Head, number: int, last: bytes, known: Head | None) -> Broken | None:
    if known is not None and known.number > head.number:
        return Broken(number=known.number, why="is missing: the chain ended later once")
    if number == 0 and head.number <= head.dropped:
        return None  # all of it is older than what is kept
    if number != head.number:
        return Broken(number=number + 1, why="is missing")
    if last != head.hash:
        return Broken(number=number, why="is not the head of the chain")
    return None


def _names(link: Link, user_id: UserId) -> bool:
    """The content says its own number and user, so that a sealed line cannot stand for another."""
    try:
        said = msgspec.json.decode(link.content, type=list[object])
    except msgspec.DecodeError:
        return False
    return len(said) > 2 and said[0] == link.number and said[2] == user_id
