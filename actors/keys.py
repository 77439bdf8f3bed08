"""Keys of users: asked about at the venue before they are kept, sealed, tested again, and forgotten.

RunnerError
├── KeyRefused    the key is not taken: it may too much or too little, or the venue does not know it
└── VenueAway     the venue gave no usable answer; nothing was kept and nothing is known

Methods that ask a venue are coroutines; the others read and write the database and block.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec

from actors.key_ring import credentials_of
from actors.venue_numbers import ReadNumbers, VenueNumbers
from core.connection import Environment, Venue
from core.errors import IllegalTransition, ImpossibleVenueData, RunnerError
from core.ids import AccountId
from core.key_rights import SENTENCES, KeyProblem, KeyRights, consequence_of, problem_of
from core.leverage import LeverageTier
from core.redact import Secret
from exchanges.credentials import Credentials, Unseal
from exchanges.errors import AuthFailed, ErrorKind, ExchangeError, Rejected
from schema.connections import (
    KEY_IN_USE,
    TEST_OK,
    Connection,
    ConnectionStore,
    NewConnection,
    Rewrapped,
    StoredKeys,
)
from schema.fingerprint import fingerprint, sealed_secret
from schema.store import Store
from schema.tenancy import asked_for
from schema.vault import OpenedKeys, Owner, SealedKeys, Vault, VaultError

PROBE_TIMEOUT_S: Final = 10.0
PROBES_AT_ONCE: Final = 8
HINT_CHARS: Final = 4
TIERS_KEPT_S: Final = 3600.0
MAX_TIERS: Final = 1_000
POLICY: Final = "policy"
SEALED: Final = "sealed"
"""What a test came to where the master keys here do not open the key."""

T = TypeVar("T")

KeyProbe = Callable[[Venue, Environment, Unseal], Awaitable[KeyRights]]
"""Asks a venue what a key may do. Raises ExchangeError."""
TierProbe = Callable[[Venue, Environment, Unseal, str], Awaitable[tuple[LeverageTier, ...]]]
"""Asks a venue for an account's leverage tiers of a symbol. Raises ExchangeError."""


class KeyRefused(RunnerError):
    """The key is not taken; `code` is a `KeyProblem` or, where the venue itself refuses it, `auth` or `rejected`."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class VenueAway(RunnerError):
    """The venue was asked and gave no usable answer; `kind` says how."""

    def __init__(self, venue: Venue, kind: str) -> None:
        super().__init__(f"{venue.capitalize()} gave no usable answer ({kind}); nothing was changed.")
        self.kind = kind


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """What a test of a stored key came to: `ok`, a `KeyProblem`, or why the venue did not say."""

    result: str
    rights: KeyRights | None = None


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """How far a re-wrap has come: rows seen, rows put under the first master key, and those that do not open."""

    seen: int
    rewrapped: int
    unopened: tuple[AccountId, ...] = ()


class Keys:
    """Everything that is done with users' keys outside an order's way."""

    def __init__(
        self,
        store: Store,
        connections: ConnectionStore,
        vault: Vault,
        probe: KeyProbe,
        *,
        tiers: TierProbe | None = None,
        read_numbers: ReadNumbers | None = None,
    ) -> None:
        """`tiers` None: leverage is left to the venue to refuse. `read_numbers` None: nobody here asks for balances."""
        self.connections = connections
        self._read_numbers = read_numbers
        self._store = store
        self._vault = vault
        self._probe = probe
        self._tier_probe = tiers
        self._tiers: OrderedDict[tuple[AccountId, str], tuple[float, tuple[LeverageTier, ...]]] = (
            OrderedDict()
        )
        self._probes = asyncio.Semaphore(PROBES_AT_ONCE)

    # -- at the venue -----------------------------------------------------------------------------

    async def examine(self, venue: Venue, environment: Environment, keys: OpenedKeys) -> KeyRights:
        """The rights of a key that may be kept. Raises KeyRefused (I19) or VenueAway."""
        credentials = Credentials(key=keys.key, secret=keys.secret)
        rights = await self._rights(venue, environment, lambda: credentials)
        problem = problem_of(rights)
        if problem is not None:
            raise KeyRefused(problem, SENTENCES[problem])
        return rights

    async def test(self, connection: Connection) -> Tested:
        """What the venue says of a stored key now; kept by `settle`."""
        loop = asyncio.get_running_loop()
        try:
            unseal = await loop.run_in_executor(None, self._unseal, connection)
            rights = await self._rights(connection.venue, connection.environment, unseal)
        except VaultError:
            return Tested(result=SEALED)
        except (KeyRefused, VenueAway) as refusal:
            return Tested(result=refusal.code if isinstance(refusal, KeyRefused) else refusal.kind)
        return Tested(result=problem_of(rights) or TEST_OK, rights=rights)

    async def leverage_tiers(self, connection: Connection, symbol: str) -> tuple[LeverageTier, ...] | None:
        """What the venue says of the account, kept for an hour; None: it cannot be had now."""
        key, loop, probe = (connection.id, symbol), asyncio.get_running_loop(), self._tier_probe
        read_s, known = self._tiers.get(key, (float("-inf"), ()))
        if loop.time() - read_s < TIERS_KEPT_S:
            return known
        if probe is None:
            return None
        try:
            unseal = await loop.run_in_executor(None, self._unseal, connection)
            found = await self._asked(
                connection.venue, lambda: probe(connection.venue, connection.environment, unseal, symbol)
            )
        except (VaultError, KeyRefused, VenueAway):
            return None
        self._tiers[key] = loop.time(), found
        self._tiers.move_to_end(key)
        if len(self._tiers) > MAX_TIERS:
            self._tiers.popitem(last=False)
        return found

    async def numbers(self, connection: Connection) -> VenueNumbers:
        """Money and positions at the venue now. Raises KeyRefused or VenueAway."""
        read = self._read_numbers
        if read is None:
            raise VenueAway(connection.venue, "not_asked_here")
        try:
            unseal = await asyncio.get_running_loop().run_in_executor(None, self._unseal, connection)
        except VaultError:
            raise KeyRefused(
                SEALED, "The keys of this connection do not open with our master keys."
            ) from None
        return await self._asked(connection.venue, lambda: read(connection, unseal))

    async def _rights(self, venue: Venue, environment: Environment, unseal: Unseal) -> KeyRights:
        return await self._asked(venue, lambda: self._probe(venue, environment, unseal))

    async def _asked(self, venue: Venue, ask: Callable[[], Awaitable[T]]) -> T:
        # What a venue writes into an error is its own: it stays here, with whatever it may quote, and so does
        # the error, which would carry it into a log as a cause.
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S), self._probes:
                return await ask()
        except AuthFailed:
            refusal: RunnerError = KeyRefused(
                ErrorKind.AUTH, f"{venue.capitalize()} does not take this key or secret."
            )
        except Rejected as error:
            refusal = KeyRefused(error.kind, f"{venue.capitalize()} refused to answer for this key.")
        except ExchangeError as error:
            refusal = VenueAway(venue, error.kind)
        except ImpossibleVenueData:
            refusal = VenueAway(venue, ErrorKind.UNPARSABLE)
        except TimeoutError:
            refusal = VenueAway(venue, ErrorKind.TIMEOUT)
        raise refusal

    # -- in the store -----------------------------------------------------------------------------

    def add(self, owner: Owner, new: NewConnection, keys: OpenedKeys, rights: KeyRights) -> Connection:
        """Sealed and stored; `rights` are what `examine` answered. Raises Conflict, KeyInUse, KeyRefused.

        Only who has shown the venue key and secret comes this far, so KeyInUse tells nobody else of anybody's keys.
        """
        return self.connections.add(new, self._stored(owner, new.venue, keys, rights))

    def replace(self, owner: Owner, venue: Venue, keys: OpenedKeys, rights: KeyRights) -> Connection | None:
        """Another key of the same account at the venue; None: there is no such connection. Raises as `add` does."""
        return self.connections.replace_keys(self._stored(owner, venue, keys, rights))

    def settle(self, connection: Connection, tested: Tested) -> Connection | None:
        """The row after a test, and what follows for its runs where the key may too much or too little."""
        result = self._or_in_use(connection) if tested.result == TEST_OK else tested.result
        self.connections.save_test(connection.id, connection.data_key_id, result, tested.rights)
        after = self.connections.get(connection.id)
        same = after is not None and after.data_key_id == connection.data_key_id
        command = None if tested.rights is None else consequence_of(tested.rights)
        if command is not None and same:
            sentence = SENTENCES[KeyProblem(tested.result)]
            for run_id in self.connections.active_runs(connection.id):
                try:
                    self._store.command(run_id, command, by=POLICY, reason=f"{tested.result}: {sentence}")
                except IllegalTransition:
                    continue  # it has ended by itself meanwhile
        return after

    def rewrap(self, told: Callable[[Rotated], None]) -> Rotated:
        """Every data key under the first master key; `told` after each batch. Cut off, it goes on where it was."""
        so_far = Rotated(seen=0, rewrapped=0)
        after: AccountId | None = None
        while batch := self.connections.to_rewrap(self._vault.first_id, after=after):
            done: list[Rewrapped] = []
            unopened: list[AccountId] = []
            for sealed in batch:
                try:
                    done.append(Rewrapped(sealed=self._vault.rewrap(sealed), was=sealed.master_key_id))
                except VaultError:
                    unopened.append(sealed.account_id)
            so_far = Rotated(
                seen=so_far.seen + len(batch),
                rewrapped=so_far.rewrapped + self.connections.rewrap(done),
                unopened=(*so_far.unopened, *unopened),
            )
            told(so_far)
            after = batch[-1].account_id
        return so_far

    def left_to_rewrap(self) -> int:
        return self.connections.count_to_rewrap(self._vault.first_id)

    def _stored(self, owner: Owner, venue: Venue, keys: OpenedKeys, rights: KeyRights) -> StoredKeys:
        sealed = self._vault.seal(owner, key=keys.key, secret=keys.secret)
        return StoredKeys(
            sealed=sealed,
            key_hint=keys.key.reveal()[-HINT_CHARS:],
            rights=rights,
            fingerprint=self._fingerprint(venue, keys.key),
        )

    def _fingerprint(self, venue: Venue, key: Secret) -> bytes:
        offered = sealed_secret(self._vault, self._vault.random_bytes)
        try:
            return fingerprint(self._vault, self.connections.fingerprint_secret(offered), venue, key)
        except VaultError:
            raise KeyRefused(
                SEALED,
                "Keys cannot be compared here: our master keys do not open what they are compared under.",
            ) from None

    def _or_in_use(self, connection: Connection) -> str:
        """Whether another connection has this key too: of one stored before that was asked, it is asked now."""
        try:
            sealed = self._sealed(connection)
            known_by = self._fingerprint(connection.venue, self._vault.open(sealed).key)
        except (VaultError, KeyRefused):
            return SEALED
        if sealed.data_key_id != connection.data_key_id:
            return TEST_OK  # another key by now, asked about when it was stored
        own = self.connections.recognise(connection.id, connection.data_key_id, known_by)
        return TEST_OK if own else KEY_IN_USE

    def _unseal(self, connection: Connection) -> Unseal:
        sealed = self._sealed(connection)
        credentials_of(self._vault, sealed)  # keys that do not open are no matter of the venue's
        return lambda: credentials_of(self._vault, sealed)

    def _sealed(self, connection: Connection) -> SealedKeys:
        with asked_for(connection.user_id):
            found = self.connections.sealed([connection.id])
        if not found:
            raise VaultError(f"Connection {connection.id} has no keys here.")
        return found[0]
