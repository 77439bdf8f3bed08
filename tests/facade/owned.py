"""Somebody's objects for every path that names one, and a body that fits each form: for tests of all routes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import uuid4

import msgspec
from starlette.testclient import TestClient

from facade.openapi import foreign_type
from facade.operation import Operation
from facade.schemas.form import Body
from tests.facade.world import as_user, go_live

CONNECTION: Final = {
    "name": "main",
    "venue": "binance",
    "apiKey": "a-key-id-of-the-tests-wxyz",
    "apiSecret": "a-secret-of-the-tests-0001",
}

Makes = Callable[[TestClient, str], str]


def _posted(path: str, body: Mapping[str, Any], found: Callable[[Any], str]) -> Makes:
    def make(client: TestClient, user: str) -> str:
        answer = client.post(path, json=body, headers=as_user(user))
        assert answer.status_code in (201, 202), answer.text
        return found(answer.json())

    return make


def _strategy(client: TestClient, user: str) -> str:
    return str(go_live(client, user)["id"])


def _external(client: TestClient, user: str) -> str:
    return str(go_live(client, user, type="external")["id"])


def _run(client: TestClient, user: str) -> str:
    return str(go_live(client, user)["runId"])


def _connection(client: TestClient, user: str) -> str:
    """On a key of its own, as each has."""
    body = CONNECTION | {"apiKey": f"a-key-of-the-tests-{uuid4()}"}
    return _posted("/api/connections", body, lambda made: str(made["connection"]["id"]))(client, user)


_job = _posted("/api/backtests", {"symbol": "BTCUSDT", "timeframe": "5m"}, lambda made: str(made["id"]))


def _backtest(client: TestClient, user: str) -> str:
    """One that is done, by whoever carries out jobs here."""
    id_ = _job(client, user)
    jobs = client.app.state.services.runner.jobs  # type: ignore[attr-defined]
    chart = b'{"timeframe":"5m","times":[],"open":[],"high":[],"low":[],"close":[]}'
    parts = {
        "equity.json": b"[]",
        "trades.json": b"[]",
        "chart.json": chart,
        "report.html": b"<!doctype html>",
    }
    while (held := jobs.claim("tests")) is not None:
        jobs.finish(held, {"summary": {}}, parts)
    return id_


MADE_BY: Final[Mapping[str, Makes]] = {
    r"/api/strategies/subscriptions/{id}": _run,
    r"/api/strategies/{id}/signals": _external,
    r"/api/strategies/{id}/alert-key": _external,
    r"/api/strategies/{id}": _strategy,
    r"/api/runs/{id}": _run,
    r"/api/jobs/{id}": _job,
    r"/api/backtests/{id}": _backtest,
    r"/api/connections/{id}": _connection,
    r"/api/portfolios/{id}": _posted("/api/portfolios", {"name": "p"}, lambda made: made["portfolio"]["id"]),
}
"""Beginning of a path → how a user comes to have such a thing; the first that fits counts. A new kind belongs here."""

BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "AddConnection": CONNECTION,
    "Backfill": {
        "symbol": "BTCUSDT",
        "timeframe": "1h",
        "from": "2026-01-01T00:00:00Z",
        "to": "2026-01-02T00:00:00Z",
    },
    "ValidateCode": {"code": "def strategy(context):\n    return 'hold'\n"},
    "StartBacktest": {"symbol": "BTCUSDT", "timeframe": "5m"},
    "CreateStrategy": {"symbol": "BTCUSDT", "timeframe": "5m", "initial_capital_usdt": 1000},
    "DeployAny": {"symbol": "BTCUSDT", "timeframe": "5m"},
    "SendSignal": {"idempotencyKey": "alert-0001", "action": "long"},
    "RotateKeys": {"apiKey": CONNECTION["apiKey"], "apiSecret": CONNECTION["apiSecret"]},
}
"""Bodies by the name of their form, where what its schema says is not enough."""

UNKNOWN: Final = "00000000-0000-4000-8000-00000000abcd"


def make(operation: Operation, client: TestClient, user: str) -> str:
    """The id of an object of `user` that this operation's path may name."""
    for beginning, makes in MADE_BY.items():
        if operation.path.startswith(beginning):
            return makes(client, user)
    raise LookupError(f"{operation.path}: say in tests/facade/owned.py how a user comes to have one")


def path_to(operation: Operation, id_: str) -> str:
    return re.sub(r"{\w+}", id_, operation.path)


def body_for(form: type[Body]) -> Any:
    """A body that decodes: the required fields alone, each the least that its schema takes."""
    if form.__name__ in BODIES:
        return BODIES[form.__name__]
    schema, components = msgspec.json.schema_components([form], schema_hook=foreign_type)
    return _least(schema[0], components)


def _least(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Any:
    if "$ref" in schema:
        return _least(components[schema["$ref"].rsplit("/", 1)[1]], components)
    if "anyOf" in schema:
        return _least(schema["anyOf"][0], components)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            required = schema.get("required", [])
            return {name: _least(schema["properties"][name], components) for name in required}
        case "array":
            return [_least(schema["items"], components)] * schema.get("minItems", 0)
        case "boolean":
            return False
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "null":
            return None
        case "string":
            by_format = {"uuid": UNKNOWN, "decimal": "1", "date-time": "2026-01-01T00:00:00Z"}
            return by_format.get(schema.get("format", ""), "x" * max(1, schema.get("minLength", 1)))
    raise LookupError(f"no least value for {schema}")
