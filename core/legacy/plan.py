"""From rows of an older deployment to strategies and runs: equal ones become one strategy, ids stay the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from core.definition import StrategyDefinition
from core.errors import RunnerError
from core.ids import AccountId, RunId, StrategyId, UserId
from core.legacy.columns import Layout
from core.legacy.row import Defined, Raw, RowProblem, defined, raw_row, settings, was_active
from core.run import Run, RunStatus

NAMES: Final = UUID("5f2b6f0c-6c55-5c0f-9a39-6a2d1f0e7c11")
"""Ids of what is imported are names in this space: the same row gives the same id whenever it is read."""
MOST_USER: Final = 255
IMPORTED: Final = "imported; it was inactive there"

Rows = Mapping[str, Sequence[Mapping[str, object]]]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A run to be, on a paper portfolio of its own. `was_active`: it traded there."""

    row: str
    run: Run
    was_active: bool
    had_connection: bool

    @property
    def subscribed(self) -> bool:
        return self.run.user_id != self.run.strategy.owner_id


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is left where it is."""

    row: str
    reason: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`strategies`: all of them, also those nobody runs."""

    strategies: tuple[StrategyDefinition, ...]
    runs: tuple[Imported, ...]
    refused: tuple[Refused, ...]


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a user's. `owner`: who may change what is traded; `is_run` is False for a bare definition."""

    raw: Raw
    what: Defined
    owner: UserId
    user: UserId
    is_run: bool
    active: bool


def plan(layout: Layout, rows: Rows, *, source: str, shared_owner: UserId, venue: str) -> Plan:
    """What would be imported from `rows` (table → rows).

    `source` names the deployment, so that equal ids of two of them stay apart. `shared_owner` owns what several
    owners had alike: nobody may change by an edit what another's bot trades.
    """
    read, refused = _read(layout, rows)
    groups: dict[str, list[_Read]] = {}
    for each in read:
        groups.setdefault(_key(each.what), []).append(each)
    strategies, runs = [], []
    for key, members in groups.items():
        owners = {each.owner for each in members}
        owner = owners.pop() if len(owners) == 1 else shared_owner
        first = members[0].what
        strategy = StrategyDefinition(
            id=StrategyId(uuid5(NAMES, json.dumps(["strategy", source, owner, venue, key]))),
            owner_id=owner,
            name=first.name,
            template=first.template,
            parameters=first.parameters,
            symbol=first.symbol,
            timeframe=first.timeframe,
            venue=venue,
        )
        strategies.append(strategy)
        for each in members:
            if not each.is_run:
                continue
            try:
                runs.append(_imported(each, strategy, source))
            except RunnerError as error:
                refused.append(Refused(row=_row(each.raw), reason=str(error)))
    return Plan(strategies=tuple(strategies), runs=tuple(runs), refused=tuple(refused))


def account_of(run: Run) -> AccountId:
    return AccountId(uuid5(NAMES, f"account {run.id}"))


def _read(layout: Layout, rows: Rows) -> tuple[list[_Read], list[Refused]]:
    read: list[_Read] = []
    refused: list[Refused] = []
    there: dict[str, Raw] = {}
    for table in layout.tables:
        is_definition = layout.definitions is not None and table.name == layout.definitions.name
        for row in rows[table.name]:
            name = f"{table.name} {row.get(table.columns['id'])}"
            try:
                raw = raw_row(table, row)
                if is_definition:
                    there[raw.id] = raw
                read.append(_definition(raw, layout) if is_definition else _deployment(raw, there))
            except RunnerError as error:
                refused.append(Refused(row=name, reason=str(error)))
    return read, refused


def _definition(raw: Raw, layout: Layout) -> _Read:
    """Its owner runs it too where nothing else says who does, and where it is tied to an exchange connection."""
    owner = _user(raw)
    active = was_active(raw)
    is_run = not layout.runs or raw.text("connection") is not None
    return _Read(raw=raw, what=defined(raw), owner=owner, user=owner, is_run=is_run, active=active)


def _deployment(raw: Raw, definitions: Mapping[str, Raw]) -> _Read:
    """A bot, or a subscription behind its definition: that one's owner stays the strategy's."""
    user = owner = _user(raw)
    active = was_active(raw)
    pointed = raw.text("strategy")
    if pointed is not None:
        base = definitions.get(pointed)
        if base is not None:
            owner = _user(base)
            active = active and (_has_no_status(base) or was_active(base))
            raw = raw.behind(base)
        elif raw.text("template") is None:
            raise RowProblem(f"It points to strategy {pointed:.40}, which is not there.")
    return _Read(raw=raw, what=defined(raw), owner=owner, user=user, is_run=True, active=active)


def _has_no_status(raw: Raw) -> bool:
    return raw.text("status") is None and raw.text("active") is None


def _user(raw: Raw) -> UserId:
    text = raw.text("user")
    if text is None:
        raise RowProblem("It names no user.")
    if len(text) > MOST_USER:
        raise RowProblem(f"Its user's id has more than {MOST_USER} characters.")
    return UserId(text)


def _imported(each: _Read, strategy: StrategyDefinition, source: str) -> Imported:
    run_id = RunId(uuid5(NAMES, json.dumps(["run", source, each.raw.table, each.raw.id])))
    run = Run(
        id=run_id,
        user_id=each.user,
        strategy=strategy,
        account_id=None,
        settings=settings(each.raw),
        status=RunStatus.DRAFT if each.active else RunStatus.PAUSED,
        status_reason=None if each.active else IMPORTED,
    )
    return Imported(
        row=_row(each.raw),
        run=replace(run, account_id=account_of(run)),
        was_active=each.active,
        had_connection=each.raw.text("connection") is not None,
    )


def _key(what: Defined) -> str:
    """Equal for what would be evaluated alike: the name does not count."""
    parameters = {name: float(value) for name, value in sorted(what.parameters.items())}
    return json.dumps([what.template, parameters, what.symbol, what.timeframe.value])


def _row(raw: Raw) -> str:
    return f"{raw.table} {raw.id}"
