"""A guard of the program, how it is taken out of a copy of the source, and what must notice."""

from __future__ import annotations

import msgspec


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Text of a file that stands there exactly once, and what stands there when the guard is gone."""

    file: str
    old: str
    new: str


class Seeds(msgspec.Struct, frozen=True, kw_only=True):
    """Up to `count` seeds of `bin/runner simulate` from `first` on; the first that breaks ends it."""

    first: int = 1
    count: int = 100
    days: float = 0.1
    users: int = 2


class BySeeds(msgspec.Struct, frozen=True, kw_only=True):
    """The seeds must break one of these invariants."""

    invariants: frozenset[str]
    seeds: Seeds = Seeds()


class ByTest(msgspec.Struct, frozen=True, kw_only=True):
    """This test must fail with an assertion of its own; its name says which invariant it proves."""

    test: str


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    changes: tuple[Change, ...]
    proof: BySeeds | ByTest
