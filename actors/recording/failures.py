"""Exceptions that cross the edge: written down by class and what their readers look at, and made again."""

from __future__ import annotations

from datetime import datetime

import msgspec

from actors.runtime.effects import EffectCancelled
from actors.runtime.errors import Overloaded
from core.errors import RunnerError
from exchanges import errors as venue_errors
from schema.store import StoreUnavailable


class Failure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`refusal` True: a rule said no, which a replay finds out for itself. Else it came from outside."""

    type: str
    text: str
    refusal: bool = False
    kind: str | None = None
    by: str | None = None
    retry_after_s: float | None = None
    until: datetime | None = None
    resynced: bool | None = None


class FromOutside(Exception):
    """An exception of a class that is not ours, as it was recorded."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.recorded_type = failure.type


_OURS: dict[str, type[Exception]] = {
    each.__name__: each for each in (StoreUnavailable, EffectCancelled, Overloaded, TimeoutError)
}
_VENUES: dict[str, type[venue_errors.ExchangeError]] = {
    name: each
    for name, each in vars(venue_errors).items()
    if isinstance(each, type) and issubclass(each, venue_errors.ExchangeError)
}


def failure_of(error: BaseException) -> Failure:
    is_venue = isinstance(error, venue_errors.ExchangeError)
    outside = (
        is_venue or not isinstance(error, RunnerError) or isinstance(error, StoreUnavailable | Overloaded)
    )
    return Failure(
        type=type(error).__name__,
        text=str(error)[:500],
        refusal=not outside,
        kind=error.kind.value if isinstance(error, venue_errors.ExchangeError) else None,
        by=_by(error),
        retry_after_s=error.retry_after_s if isinstance(error, venue_errors.RateLimited) else None,
        until=error.until if isinstance(error, venue_errors.Banned) else None,
        resynced=error.resynced if isinstance(error, venue_errors.ClockSkew) else None,
    )


def _by(error: BaseException) -> str | None:
    match error:
        case venue_errors.Rejected():
            return error.refusal.value
        case venue_errors.Withheld():
            return error.reason
    return None


def error_of(failure: Failure) -> Exception:
    """An exception that whoever caught the recorded one treats alike."""
    venue = _VENUES.get(failure.type)
    if venue is not None:
        return _venue_error(venue, failure)
    ours = _OURS.get(failure.type)
    return FromOutside(failure) if ours is None else ours(failure.text)


def _venue_error(venue: type[venue_errors.ExchangeError], failure: Failure) -> Exception:
    kind = venue_errors.ErrorKind(failure.kind or venue_errors.ErrorKind.CONNECTION)
    match venue.__name__:
        case "NoPrice":
            return venue_errors.NoPrice(failure.text)
        case "RateLimited":
            return venue_errors.RateLimited(failure.text, retry_after_s=failure.retry_after_s or 0.0)
        case "Banned" if failure.until is not None:
            return venue_errors.Banned(failure.text, until=failure.until)
        case "ClockSkew":
            return venue_errors.ClockSkew(failure.text, resynced=bool(failure.resynced))
        case "Withheld":
            return venue_errors.Withheld(failure.by or failure.text)
        case "AuthFailed":
            return venue_errors.AuthFailed(failure.text)
        case "Rejected":
            return venue_errors.Rejected(
                venue_errors.Refusal(failure.by or venue_errors.Refusal.OTHER), failure.text, kind=kind
            )
    return venue(kind, failure.text)
