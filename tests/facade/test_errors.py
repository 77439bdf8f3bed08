"""Every error has one form; nothing a client sends is a 500."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from core.errors import Conflict, IllegalTransition, RunnerError
from facade.bridge import ActorNode, BridgeTimeout, RunnerAway, StoreUnavailable
from facade.errors import api_error
from facade.middleware import MAX_BODY_BYTES, SECURITY_HEADERS
from tests.facade.world import ADMIN, SmallRunner, as_user, client_of, make_settings

RUN = "00000000-0000-0000-0000-000000000001"


class BrokenRunner(SmallRunner):
    """Has a bug."""

    def actors(self) -> Sequence[ActorNode]:
        raise ZeroDivisionError("division by zero")


def form_of(answer: Any) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"ok", "error", "code", "requestId", "details"}
    assert body["ok"] is False
    assert body["error"]
    assert body["requestId"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, body["code"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (IllegalTransition("a run that is draft cannot pause"), 409, "ILLEGAL_STATE"),
        (Conflict("taken"), 409, "CONFLICT"),
        (StoreUnavailable("host db.internal refused"), 503, "DATABASE_UNAVAILABLE"),
        (RunnerAway("nobody"), 503, "RUNNER_UNAVAILABLE"),
        (BridgeTimeout("late"), 504, "TIMEOUT"),
        (RunnerError("no"), 400, "BAD_REQUEST"),
        (KeyError("secret detail"), 500, "INTERNAL_ERROR"),
    ],
)
def test_each_kind_of_error_has_its_status_and_code(error: Exception, status: int, code: str) -> None:
    told = api_error(error)
    assert (told.status, told.code) == (status, code)
    assert "secret detail" not in told.sentence
    assert "db.internal" not in told.sentence


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("{", None),
        ("\xff", None),
        ('{"strategyRunId": "\xff"}', None),
        ("[]", None),
        ('"x"', None),
        ("{}", "strategyRunId"),
        ('{"strategyRunId": 5}', "strategyRunId"),
        ('{"strategyRunId": "x"}', "strategyRunId"),
        (f'{{"strategyRunId": "{RUN}", "extra": 1}}', "extra"),
        (f'{{"strategy_run_id": "{RUN}"}}', "strategy_run_id"),
    ],
)
def test_what_cannot_be_read_is_400_with_the_field(body: str, field: str | None) -> None:
    client = client_of(SmallRunner(None))
    answer = client.post("/api/runner/execute-tick", content=body.encode("latin-1"), headers=ADMIN)
    assert form_of(answer) == (400, "BAD_REQUEST")
    if field is not None:
        assert field in answer.json()["error"]
        assert answer.json()["details"][0]["field"] == field


@pytest.mark.parametrize(
    "params",
    ["[" * 100_000, '{"a":' * 100_000, "[" * 50_000 + "]" * 50_000, '{"a":' * 9_000 + "1" + "}" * 9_000],
)
def test_what_is_nested_without_end_is_400(params: str) -> None:
    body = f'{{"symbol": "BTCUSDT", "timeframe": "5m", "strategy_params": {params}}}'[:MAX_BODY_BYTES]
    answer = client_of(SmallRunner(None)).post("/api/strategies", content=body, headers=as_user("alice"))
    assert form_of(answer) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nothing/here", (404, "NOT_FOUND")),
        ("DELETE", "/api/strategies", (405, "METHOD_NOT_ALLOWED")),
        ("GET", "/api/runner/cron", (405, "METHOD_NOT_ALLOWED")),
        ("GET", "/api/runs/not-an-id", (404, "NOT_FOUND")),
        ("GET", f"/api/runs/{RUN}", (503, "DATABASE_UNAVAILABLE")),
        ("GET", "/api/strategies", (503, "DATABASE_UNAVAILABLE")),
        ("GET", "/api/events/stream", (503, "DATABASE_UNAVAILABLE")),
        ("GET", "/api/runner/status", (503, "DATABASE_UNAVAILABLE")),
    ],
)
def test_paths_methods_and_a_database_away(method: str, path: str, expected: tuple[int, str]) -> None:
    assert form_of(client_of(SmallRunner(None)).request(method, path, headers=ADMIN)) == expected


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=-1",
        "limit=99999999999999999999",
        "limit=%D9%A3",
        "runId=x",
        "status=fine",
        "since=yesterday",
        "since=2026-01-01T00:00:00",
        "since=2026-01-01T00:00:00%2B25:00",
        "status=%00",
        "colour=red",
        "cursor=x",
    ],
)
def test_a_bad_query_is_400_by_name(query: str) -> None:
    answer = client_of(SmallRunner(None)).get(f"/api/runner/tick-runs?{query}", headers=ADMIN)
    assert form_of(answer) == (400, "BAD_REQUEST")
    assert query.partition("=")[0] in answer.json()["error"]


@pytest.mark.parametrize("cursor", ["x", "ÄÖ", "e30=", "MjAyNi0wMS0wMXx4", "A" * 5_000])
def test_a_cursor_of_ones_own_making_is_400(cursor: str) -> None:
    client = client_of(SmallRunner(None))
    answer = client.get("/api/strategies", params={"cursor": cursor}, headers=as_user("alice"))
    assert form_of(answer) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 30, "1e3", str(2**63)])
def test_a_stream_cursor_of_ones_own_making_is_400(cursor: str) -> None:
    headers = {**ADMIN, "Last-Event-ID": cursor}
    answer = client_of(SmallRunner(None)).get("/api/events/stream", headers=headers)
    assert form_of(answer) == (400, "BAD_REQUEST")


def test_a_body_too_large_is_413_announced_or_not() -> None:
    client = client_of(SmallRunner(None))
    large = b" " * (MAX_BODY_BYTES + 1)
    announced = client.put("/api/runner/kill-switch", content=large, headers=ADMIN)
    assert form_of(announced) == (413, "BODY_TOO_LARGE")
    chunked = client.put("/api/runner/kill-switch", content=(large[:1000] for _ in range(300)), headers=ADMIN)
    assert form_of(chunked) == (413, "BODY_TOO_LARGE")


def test_an_unforeseen_error_is_logged_and_told_nothing_of() -> None:
    logged: list[BaseException] = []
    client = client_of(BrokenRunner(None), error_log=lambda fields, error: logged.append(error))
    answer = client.get("/api/runner/actors", headers=ADMIN)
    assert form_of(answer) == (500, "INTERNAL_ERROR")
    assert "division" not in answer.text
    assert isinstance(logged[0], ZeroDivisionError)


@pytest.mark.parametrize(
    ("offered", "kept"),
    [("abcdefgh-1", True), ("short", False), ("x" * 65, False), ("bad id here", False), ("a\tb" * 9, False)],
)
def test_a_plain_request_id_is_kept_and_any_other_replaced(offered: str, kept: bool) -> None:
    answer = client_of(SmallRunner(None)).get("/healthz", headers={"X-Request-Id": offered})
    assert (answer.headers["x-request-id"] == offered) is kept
    assert answer.json() == {"ok": True, "requestId": answer.headers["x-request-id"]}


def test_every_answer_is_dressed_and_personal_ones_are_not_stored() -> None:
    logged: list[Any] = []
    client = client_of(SmallRunner(None), access_log=logged.append)
    answer = client.get("/api/strategies?secret=1", headers=as_user("alice"))
    for name in SECURITY_HEADERS:
        assert name.lower() in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    assert logged[0]["path"] == "/api/strategies"
    assert logged[0]["status"] == 400
    assert "secret" not in json.dumps(logged)


def test_only_configured_origins_may_read_answers() -> None:
    asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "POST"}
    closed = client_of(SmallRunner(None)).options("/api/strategies", headers=asked)
    assert "access-control-allow-origin" not in closed.headers
    client = client_of(SmallRunner(None), make_settings(FRONTEND_URL="https://app.example"))
    assert (
        client.options("/api/strategies", headers=asked).headers["access-control-allow-origin"]
        == asked["Origin"]
    )
    allowed = client.options(
        "/api/strategies",
        headers=asked
        | {"Access-Control-Request-Headers": "authorization,idempotency-key,if-match,last-event-id"},
    )
    assert allowed.status_code == 200
    seen = client.get("/healthz", headers={"Origin": asked["Origin"]}).headers[
        "access-control-expose-headers"
    ]
    assert {"ETag", "Idempotency-Replayed", "Retry-After", "X-Request-Id"} <= set(seen.split(", "))
    foreign = client.get("/healthz", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers
    assert "access-control-allow-credentials" not in foreign.headers


def test_ready_says_what_is_not(runner: SmallRunner, client: TestClient) -> None:
    assert client.get("/readyz").json()["checks"] == {"database": True, "ledger": True, "slots": True}
    runner.up = False
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert not answer.json()["ok"]
    assert answer.json()["checks"]["ledger"] is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        "symbol", "timeframe", "strategy_template", "strategyParams", "leverage", "order_size_pct",
        "initial_capital_usdt", "take_profit_pct", "direction", "exchange_connection_id", "name", "marginMode",
    ]
)  # fmt: skip
BODIES = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(["BTCUSDT", "btc/usdt"]) | JSON,
        "timeframe": st.sampled_from(["5m", "1D"]) | JSON,
    }
) | st.dictionaries(FIELDS, JSON, max_size=6)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(body=BODIES)
def test_no_body_makes_a_500(client: TestClient, body: Any) -> None:
    answer = client.post("/api/strategies", content=json.dumps(body).encode(), headers=as_user("alice"))
    assert answer.status_code in (201, 400, 404, 409, 422), answer.text
