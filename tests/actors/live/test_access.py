"""An account's way to its venue: keys that do not open refuse the call, before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from actors.key_ring import KeyRing
from actors.live.access import LiveAccess
from actors.live.venue import LiveVenue
from actors.paper import only_paper
from actors.runtime.deterministic import VirtualClock
from actors.venue_calls import VenueState
from core.connection import Environment, Venue
from core.errors import RunnerError
from core.ids import AccountId, UserId
from exchanges.errors import AuthFailed
from exchanges.venues import Address, Venues
from schema.records import Account, AccountKind
from schema.vault import VaultError

ACCOUNT = Account(
    id=AccountId(UUID(int=1)), user_id=UserId("ann"), name="a", kind=AccountKind.CONNECTION, venue="binance"
)
STATE = VenueState(account=ACCOUNT, positions=(), open_orders=())


class Gone:
    """A connection whose row is there and whose keys are not."""

    environment = Environment.LIVE

    def get(self, account_id: AccountId) -> Gone:
        return self

    def sealed(self, account_ids: object) -> list[Any]:
        return []


def access() -> LiveAccess:
    there = {Venue.BINANCE: Address(rest="http://127.0.0.1:9", ws="ws://127.0.0.1:9")}
    venues = Venues(clock=VirtualClock(datetime(2026, 3, 2, tzinfo=UTC)), given=there)
    gone = cast(Any, Gone())
    return LiveAccess(KeyRing(gone, cast(Any, None)), gone, venues)


def test_i18_keys_that_are_gone_are_a_refusal_and_not_an_unknown_outcome() -> None:
    way = access()
    with pytest.raises(VaultError):
        way.ring.hold(ACCOUNT.id)()
    way.read(ACCOUNT.id)
    venue = way.venues_over(cast(Any, None))(STATE, lambda news: None)
    assert isinstance(venue, LiveVenue)
    asking = venue.balance()
    with pytest.raises(AuthFailed):
        asking.send(None)


def test_an_account_whose_rows_were_not_read_has_no_venue() -> None:
    with pytest.raises(RunnerError):
        access().venues_over(cast(Any, None))(STATE, lambda news: None)


def test_i18_a_process_without_a_way_to_venues_fills_no_connections_order_on_paper() -> None:
    def paper(state: VenueState, on_news: object) -> Any:
        return state.account.name

    make = only_paper(cast(Any, paper))
    portfolio = VenueState(
        account=Account(id=ACCOUNT.id, user_id=ACCOUNT.user_id, name="paper"), positions=(), open_orders=()
    )
    assert make(portfolio, lambda news: None) == cast(Any, "paper")
    with pytest.raises(RunnerError):
        make(STATE, lambda news: None)
