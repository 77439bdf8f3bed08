"""Connections of the caller: keys come in once, are tested at the venue, and never go out again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core.ids import AccountId, UserId
from core.key_rights import SENTENCES, problem_of, warning_of
from facade.access import Access
from facade.accounts import balance_answer, venue_positions_answer
from facade.bridge import (
    STORE_TIMEOUT_S,
    AccountKind,
    Connection,
    Keys,
    NewConnection,
    OpenedKeys,
    Owner,
    VenueNumbers,
)
from facade.endpoint import Call, route
from facade.errors import ApiError, bad_field, not_found, too_many
from facade.limits import Attempts
from facade.operation import OperationRoute
from facade.routes.portfolios import curve
from facade.schemas.connections import (
    AddConnection,
    ConnectionAnswer,
    ConnectionsAnswer,
    ConnectionShown,
    ConnectionTestAnswer,
    NoticeShown,
    RenameConnection,
    RightsShown,
    RotateKeys,
)
from facade.schemas.form import Answer, SetKillSwitch
from facade.schemas.portfolios import BalanceAnswer, CurveAnswer, CurveAsked, VenuePositionsAnswer

_DEFAULT_LEVERAGE: Final = 10


async def list_connections(call: Call) -> ConnectionsAnswer:
    """The caller's connections."""
    keys, user_id = _keys(call), call.user_id
    found = await call.bridge.call(lambda: keys.connections.of_user(user_id), timeout_s=STORE_TIMEOUT_S)
    return ConnectionsAnswer(connections=tuple(connection_shown(each) for each in found))


async def add(call: Call, body: AddConnection) -> ConnectionAnswer:
    """Keep a key after it was tested at its venue; one that may withdraw is refused."""
    keys = _keys(call)
    most = call.settings.max_leverage
    leverage = min(most, _DEFAULT_LEVERAGE) if body.max_leverage is None else body.max_leverage
    if leverage > most:
        raise bad_field("maxLeverage", f"must be at most {most}")
    opened = OpenedKeys(key=body.api_key, secret=body.api_secret)
    owner = Owner(user_id=call.user_id, account_id=AccountId(call.new_id()))
    if call.is_repeat:
        made = await call.bridge.call(
            lambda: keys.connections.one(owner.user_id, owner.account_id), timeout_s=STORE_TIMEOUT_S
        )
        if made is not None:
            return ConnectionAnswer(connection=connection_shown(made))
    _check_key(call)
    rights = await keys.examine(body.venue, body.environment, opened)
    new = NewConnection(name=body.name, venue=body.venue, environment=body.environment, max_leverage=leverage)
    added = await call.bridge.call(lambda: keys.add(owner, new, opened, rights), timeout_s=STORE_TIMEOUT_S)
    return ConnectionAnswer(connection=connection_shown(added))


async def show(call: Call) -> ConnectionAnswer:
    """One connection, without its key."""
    return ConnectionAnswer(connection=connection_shown(await _own(call)))


async def rename(call: Call, body: RenameConnection) -> ConnectionAnswer:
    """Give a connection another name."""
    keys, user_id = _keys(call), call.user_id
    account_id = AccountId(call.path_id())
    return await _shown(call, lambda: keys.connections.rename(user_id, account_id, body.name))


async def remove(call: Call) -> Answer:
    """Forget a connection and its key; refused while runs use it."""
    keys, user_id, account_id = _keys(call), call.user_id, AccountId(call.path_id())
    removed = await call.bridge.call(
        lambda: keys.connections.remove(user_id, account_id), timeout_s=STORE_TIMEOUT_S
    )
    if not removed:
        raise not_found()
    call.services.runner.rows_changed()
    return Answer()


async def test(call: Call) -> ConnectionTestAnswer:
    """Ask the venue what the key may do."""
    keys, connection = _keys(call), await _own(call)
    _check_key(call)
    tested = await keys.test(connection)
    after = await call.bridge.call(lambda: keys.settle(connection, tested), timeout_s=STORE_TIMEOUT_S)
    if after is None:
        raise not_found()
    call.services.runner.rows_changed()
    return ConnectionTestAnswer(result=tested.result, connection=connection_shown(after))


async def set_kill_switch(call: Call, body: SetKillSwitch) -> ConnectionAnswer:
    """Stop or allow all orders of one connection."""
    keys, own = _keys(call), await _own(call)
    await call.bridge.ask(
        lambda store: store.set_kill_switch(on=body.on, reason=body.reason, account_id=own.id)
    )
    call.services.runner.rows_changed()
    return await _shown(call, lambda: keys.connections.one(own.user_id, own.id))


async def balance(call: Call) -> BalanceAnswer:
    """Money of the account, asked of its venue now."""
    return balance_answer(await _numbers(call))


async def positions(call: Call) -> VenuePositionsAnswer:
    """What the venue holds for the account now, whoever opened it."""
    return venue_positions_answer(await _numbers(call))


async def equity(call: Call, query: CurveAsked) -> CurveAnswer:
    """The balance of the account after each of its fills, newest first; as stored, without asking the venue."""
    return await curve(call, query, AccountKind.CONNECTION)


async def rotate(call: Call, body: RotateKeys) -> ConnectionAnswer:
    """Replace the key by another of the same account."""
    keys, own = _keys(call), await _own(call)
    opened = OpenedKeys(key=body.api_key, secret=body.api_secret)
    _check_key(call)
    rights = await keys.examine(own.venue, own.environment, opened)
    owner = Owner(user_id=own.user_id, account_id=own.id)
    return await _shown(call, lambda: keys.replace(owner, own.venue, opened, rights))


async def _numbers(call: Call) -> VenueNumbers:
    keys, own = _keys(call), await _own(call)
    _limited(call.services.number_reads, call.user_id, "The venue was asked for too many numbers")
    return await keys.numbers(own)


def connection_shown(connection: Connection) -> ConnectionShown:
    rights = connection.rights
    found = () if rights is None else (problem_of(rights), warning_of(rights))
    return ConnectionShown(
        id=connection.id,
        name=connection.name,
        venue=connection.venue,
        environment=connection.environment,
        key_hint=connection.key_hint,
        max_leverage=connection.max_leverage,
        kill_switch=connection.kill_switch,
        created_at=connection.created_at,
        last_test_at=connection.last_test_at,
        last_test_result=connection.last_test_result,
        rights=None
        if rights is None
        else RightsShown(
            may_read=rights.may_read,
            may_trade=rights.may_trade,
            may_withdraw=rights.may_withdraw,
            ip_bound=rights.ip_bound,
        ),
        notices=tuple(NoticeShown(code=each, message=SENTENCES[each]) for each in found if each is not None),
    )


def _keys(call: Call) -> Keys:
    if call.services.keys is None:
        raise ApiError(
            503,
            "There are no connections here: RUNNER_MASTER_KEYS is not set, or this is a demo without stand-ins "
            "for venues.",
            code="CONNECTIONS_NOT_CONFIGURED",
        )
    return call.services.keys


def _check_key(call: Call) -> None:
    """Counts one question to a venue; 429 for a user who has asked too many."""
    _limited(call.services.key_checks, call.user_id, "Too many keys were checked at venues")


def _limited(asked: Attempts, user_id: UserId, what: str) -> None:
    wait_s = asked.retry_after_s(user_id)
    if wait_s > 0:
        raise too_many(f"{what} within a minute.", wait_s)
    asked.tried(user_id)


async def _own(call: Call) -> Connection:
    """The caller's connection in the path; 404 for anything else (I12)."""
    keys, user_id, account_id = _keys(call), call.user_id, AccountId(call.path_id())
    found = await call.bridge.call(
        lambda: keys.connections.one(user_id, account_id), timeout_s=STORE_TIMEOUT_S
    )
    if found is None:
        raise not_found()
    return found


async def _shown(call: Call, change: Callable[[], Connection | None]) -> ConnectionAnswer:
    """The connection after a change; 404 where it has gone meanwhile."""
    after = await call.bridge.call(change, timeout_s=STORE_TIMEOUT_S)
    if after is None:
        raise not_found()
    return ConnectionAnswer(connection=connection_shown(after))


ROUTES: list[OperationRoute] = [
    route("GET", "/api/connections", list_connections, Access.USER),
    route("POST", "/api/connections", add, Access.USER, status=201),
    route("GET", "/api/connections/{id}", show, Access.USER),
    route("PATCH", "/api/connections/{id}", rename, Access.USER),
    route("DELETE", "/api/connections/{id}", remove, Access.USER),
    route("POST", "/api/connections/{id}/test", test, Access.USER, idempotent=False),
    route("PUT", "/api/connections/{id}/kill-switch", set_kill_switch, Access.USER),
    route("POST", "/api/connections/{id}/rotate", rotate, Access.USER),
    route("GET", "/api/connections/{id}/balance", balance, Access.USER),
    route("GET", "/api/connections/{id}/positions", positions, Access.USER),
    route("GET", "/api/connections/{id}/equity", equity, Access.USER),
]
