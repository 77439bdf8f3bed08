"""A venue as far as keys go: it knows some, says what they may do, and quotes what it was given when it complains."""

from __future__ import annotations

import msgspec

from core.connection import Environment, Venue
from core.key_rights import KeyRights
from exchanges.credentials import Unseal
from exchanges.errors import (
    AuthFailed,
    ErrorKind,
    ExchangeError,
    OutcomeUnknown,
    Refusal,
    Rejected,
    Unreachable,
)

TRADER = KeyRights(may_read=True, may_trade=True, may_withdraw=False, ip_bound=True)


class VenueKeys:
    """`rights` by (key, secret). `trouble`: how it fails now, for everybody. `takes_any`: unknown keys too."""

    def __init__(self, *, takes_any: bool = False) -> None:
        self.takes_any = takes_any
        self.rights: dict[tuple[str, str], KeyRights] = {}
        self.trouble: ErrorKind | None = None
        self.asked: list[tuple[Venue, Environment]] = []

    def knows(self, key: str, secret: str, **changed: bool | None) -> None:
        self.rights[key, secret] = msgspec.structs.replace(TRADER, **changed)

    async def __call__(self, venue: Venue, environment: Environment, unseal: Unseal) -> KeyRights:
        self.asked.append((venue, environment))
        credentials = unseal()
        pair = credentials.key.reveal(), credentials.secret.reveal()
        if self.trouble is not None:
            raise self._failure(self.trouble, f"cannot help {pair[0]} with {pair[1]}")
        if pair not in self.rights and self.takes_any:
            return TRADER
        if pair not in self.rights:
            raise AuthFailed(f"API-key {pair[0]} with secret {pair[1]} is not valid")
        return self.rights[pair]

    def _failure(self, kind: ErrorKind, quoting: str) -> ExchangeError:
        match kind:
            case ErrorKind.REJECTED:
                return Rejected(Refusal.OTHER, quoting)
            case ErrorKind.UNPARSABLE:
                return OutcomeUnknown(kind, quoting)
            case _:
                return Unreachable(kind, quoting)
