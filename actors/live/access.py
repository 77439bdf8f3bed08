"""Which accounts trade at a venue, and how their adapters are opened: keys from the ring, hosts shared by all."""

from __future__ import annotations

from collections.abc import Callable

from actors.key_ring import KeyRing
from actors.live.venue import LiveVenue
from actors.venue_calls import MakeVenue, PaperVenue, VenueState
from core.connection import Environment, Venue
from core.errors import RunnerError
from core.ids import AccountId
from exchanges.base import News
from exchanges.credentials import Credentials, Unseal
from exchanges.errors import AuthFailed
from exchanges.venues import Venues
from schema.connections import ConnectionStore
from schema.records import AccountKind
from schema.vault import VaultError


def _or_refused(unseal: Unseal) -> Unseal:
    """Keys that are gone or do not open are refused before a byte leaves: nothing about it is unknown (I18)."""

    def opened() -> Credentials:
        try:
            return unseal()
        except VaultError as error:
            raise AuthFailed(str(error)) from None

    return opened


class LiveAccess:
    def __init__(self, ring: KeyRing, connections: ConnectionStore, venues: Venues) -> None:
        self.ring = ring
        self._connections = connections
        self.venues = venues
        self._ways: dict[AccountId, tuple[Environment, Unseal]] = {}

    def read(self, account_id: AccountId) -> None:
        """What `make` needs of a connection's rows. Blocks; raises StoreUnavailable."""
        connection = self._connections.get(account_id)
        if connection is not None:
            self._ways[account_id] = (connection.environment, _or_refused(self.ring.hold(account_id)))

    def venues_over(self, paper: MakeVenue) -> MakeVenue:
        """Paper accounts as before, connections at their venues."""

        def make(state: VenueState, on_news: Callable[[News], None]) -> PaperVenue:
            account = state.account
            if account.kind is AccountKind.PORTFOLIO:
                return paper(state, on_news)
            way = self._ways.get(account.id)
            if way is None:
                raise RunnerError(f"Connection {account.id} has no keys.")
            environment, unseal = way
            exchange = self.venues.open(
                Venue(account.venue),
                environment,
                tenant=account.user_id,
                account=str(account.id),
                unseal=unseal,
                on_news=on_news,
            )
            return LiveVenue(exchange)

        return make
