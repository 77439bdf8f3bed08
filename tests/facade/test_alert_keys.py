"""Alerts of chart services: a key in the body and no header, once each, and no trace of the key anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from bin.logging_setup import log_error
from bin.traces import Scanner
from core.ids import RunId
from core.run import RunCommand
from facade.limits import ALERTS_PER_WINDOW, FAILURES_PER_WINDOW
from facade.middleware import MAX_BODY_BYTES
from schema.pg import PgStore
from tests.canaries import SECRETS, scan_all
from tests.facade.life import Life, say_all, structured_logs
from tests.facade.world import START, SmallRunner, as_user, client_of, go_live, make_settings
from tests.schema.conftest import Database

__all__ = ["structured_logs"]

ALICE = as_user("alice")
UNKNOWN = "sra_" + "x" * 43
SECOND = timedelta(seconds=1)


@pytest.fixture
def http(runner: SmallRunner) -> Iterator[TestClient]:
    with client_of(runner) as opened:
        yield opened


@pytest.fixture
def made(http: TestClient, store: PgStore) -> Any:
    """Alice's strategy of kind external, and a run of it that is active."""
    made = go_live(http, "alice", type="external", name="alerts")
    store.command(RunId(UUID(made["runId"])), RunCommand.START, by="alice")
    return made


def make_key(http: TestClient, strategy_id: str) -> Any:
    answer = http.post(f"/api/strategies/{strategy_id}/alert-key", headers=ALICE)
    assert answer.status_code == 201, answer.text
    return answer.json()


def end_key(http: TestClient, strategy_id: str) -> None:
    assert http.delete(f"/api/strategies/{strategy_id}/alert-key", headers=ALICE).status_code == 200


@pytest.fixture
def key(http: TestClient, made: Any) -> str:
    return str(make_key(http, made["id"])["key"])


def send(http: TestClient, key: str, **body: Any) -> Any:
    """As chart services do: JSON that is called text, and no header of ours."""
    text = json.dumps({"key": key, "action": "buy", **body})
    return http.post("/api/alerts", content=text, headers={"Content-Type": "text/plain; charset=utf-8"})


def signals_of(http: TestClient, strategy_id: str) -> list[Any]:
    listed: list[Any] = http.get(f"/api/strategies/{strategy_id}/signals", headers=ALICE).json()["signals"]
    return listed


def since(http: TestClient, strategy_id: str, user: str = "alice") -> Any:
    return http.get(f"/api/strategies/{strategy_id}", headers=as_user(user)).json()["alertKeySince"]


def test_a_key_is_told_once_and_what_it_is_given_with_is_an_alert_as_it_stands(
    http: TestClient, runner: SmallRunner, store: PgStore, made: Any
) -> None:
    assert since(http, made["id"]) is None
    told = make_key(http, made["id"])
    assert len(told["key"]) == 47
    assert since(http, made["id"]) == told["since"] == "2026-03-10T12:00:00Z"
    assert told["key"] not in http.get(f"/api/strategies/{made['id']}", headers=ALICE).text
    runner.now = START + 17.4 * SECOND
    pasted = told["message"].replace("{{timenow}}", "2026-03-10T12:00:16Z")
    answer = http.post(told["path"], content=pasted, headers={"Content-Type": "text/plain"})
    assert answer.status_code == 202, answer.text
    signal = answer.json()["signal"]
    assert (signal["strategyId"], signal["action"], signal["runs"]) == (made["id"], "long", 1)
    assert (signal["slot"], signal["expiresAt"]) == ("2026-03-10T12:00:17Z", "2026-03-10T12:00:47.400000Z")
    assert runner.signals_sent == 1
    [due] = store.signals_due([RunId(UUID(made["runId"]))])
    assert str(due.signal.id) == signal["id"]
    assert signals_of(http, made["id"]) == [signal]


@pytest.mark.parametrize("kind", ["text/plain", "text/plain; charset=utf-8", "application/json", None])
def test_whatever_a_service_calls_the_text_it_is_read_as_json(
    http: TestClient, key: str, kind: str | None
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    text = json.dumps({"key": key, "action": "sell"})
    answer = http.post("/api/alerts", content=text, headers=headers)
    assert (answer.status_code, answer.json()["signal"]["action"]) == (202, "short")
    large = text[:-1] + f', "reason": "{"x" * MAX_BODY_BYTES}"}}'
    assert http.post("/api/alerts", content=large, headers=headers).status_code == 413


def test_a_signal_by_key_is_the_signal_that_its_owner_would_send(
    http: TestClient, made: Any, key: str
) -> None:
    fields = {"minPrice": "60000", "maxPrice": 61000, "stopLoss": "59000.5", "score": 7, "leverage": 3}
    first = send(http, key, id="alert-0001", **fields).json()
    path = f"/api/strategies/{made['id']}/signals"
    again = http.post(
        path, json={"idempotencyKey": "alert-0001", "action": "LONG", **fields}, headers=ALICE
    ).json()
    assert (again["repeated"], again["signal"]) == (True, first["signal"])
    flat = send(http, key, id="alert-0002", action="flat").json()["signal"]
    assert flat["action"] == "close"


@pytest.mark.parametrize(
    ("first", "second", "apart_s", "same"),
    [
        ({"id": "alert-0001"}, {"id": "alert-0001"}, 3_600, True),
        ({"id": "Long 1"}, {"id": "Long 1"}, 3_600, True),
        ({"id": "Long 1"}, {"id": "Long 2"}, 1, False),
        ({"id": "Long 1", "expiresInSeconds": 5}, {"id": "Long 1", "expiresInSeconds": 20}, 7, True),
        ({"sentAt": "2026-03-10T12:00:39Z"}, {"sentAt": "2026-03-10T13:00:39+01:00"}, 25, True),
        ({"sentAt": "2026-03-10T12:00:39Z"}, {"sentAt": "2026-03-10T12:00:40Z"}, 1, False),
        ({"sentAt": "2026-03-10T12:00:39Z"}, {"sentAt": "2026-03-10T12:00:39Z", "action": "sell"}, 1, False),
        ({"time": "2026-03-10T11:55:00Z"}, {"time": "2026-03-10T11:55:00Z"}, 240, True),
        ({"time": "2026-03-10T11:55:00Z"}, {"time": "2026-03-10T12:00:00Z"}, 300, False),
        ({}, {}, 19, True),
        ({}, {}, 21, True),  # a minute later by the clock, not by the time between
        ({}, {}, 59.9, True),
        ({}, {}, 60, False),
        ({}, {"action": "sell"}, 1, False),
        ({}, {"minPrice": "1"}, 1, False),
    ],
)
def test_the_same_alert_is_one_signal_and_another_is_another(
    http: TestClient,
    runner: SmallRunner,
    made: Any,
    key: str,
    first: dict[str, Any],
    second: dict[str, Any],
    apart_s: float,
    same: bool,
) -> None:
    """I1: a run has one slot of it, however often a service repeats itself."""
    runner.now = START + 40 * SECOND
    assert send(http, key, **first).status_code == 202
    runner.now += apart_s * SECOND
    again = send(http, key, **second)
    assert again.status_code == 202, again.text
    assert again.json()["repeated"] is same
    assert len(signals_of(http, made["id"])) == (1 if same else 2)


def test_another_alert_under_the_same_id_is_409(http: TestClient, key: str) -> None:
    assert send(http, key, id="Long").status_code == 202
    answer = send(http, key, id="Long", action="sell")
    assert (answer.status_code, answer.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


def test_it_may_be_acted_upon_for_the_seconds_asked_for_and_thirty_at_most(
    http: TestClient, runner: SmallRunner, key: str
) -> None:
    """I9."""
    for asked, seconds in ((None, 30), (1, 1), (12, 12), (30, 30), (31, 30), (3_600, 30)):
        runner.now += 5 * SECOND
        body = {} if asked is None else {"expiresInSeconds": asked}
        told = send(http, key, id=f"for {asked}", **body).json()["signal"]["expiresAt"]
        assert told == (runner.now + seconds * SECOND).isoformat().replace("+00:00", "Z")


def test_what_fired_more_than_thirty_seconds_ago_has_expired(
    http: TestClient, runner: SmallRunner, made: Any, key: str
) -> None:
    """I9. What had been taken in time is told again all the same."""
    fired = {"sentAt": START.isoformat()}
    runner.now = START + 30 * SECOND
    assert send(http, key, **fired).status_code == 202
    runner.now = START + 31 * SECOND
    assert send(http, key, **fired).json()["repeated"] is True
    late = send(http, key, **fired, action="sell")
    assert (late.status_code, late.json()["code"]) == (422, "SIGNAL_EXPIRED")
    assert len(signals_of(http, made["id"])) == 1


def test_a_demos_market_has_a_clock_that_no_service_knows(store: PgStore) -> None:
    demo = SmallRunner(store, demo=True)
    with client_of(demo) as http:
        key = make_key(http, go_live(http, "alice", type="external")["id"])["key"]
        assert send(http, key, sentAt="2020-01-01T00:00:00Z").status_code == 202


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"id": ""}, "BAD_REQUEST"),
    ({"id": "x" * 201}, "BAD_REQUEST"),
    ({"id": "a\u0000b"}, "BAD_REQUEST"),
    ({"sentAt": "{{timenow}}"}, "BAD_REQUEST"),
    ({"sentAt": "2026-03-10T12:00:00"}, "BAD_REQUEST"),
    ({"sentAt": "9999-12-31T23:59:59Z"}, "BAD_REQUEST"),
    ({"time": "0001-01-01T00:00:00Z"}, "BAD_REQUEST"),
    ({"expiresInSeconds": 0}, "BAD_REQUEST"),
    ({"expiresAt": "2026-03-10T12:00:10Z"}, "BAD_REQUEST"),
    ({"action": "hold"}, "BAD_REQUEST"),
    ({"action": "maybe"}, "BAD_SIGNAL"),
    ({"minPrice": "2", "maxPrice": "1"}, "BAD_REQUEST"),
    ({"strategyId": "x"}, "BAD_REQUEST"),
    ({"key": 7}, "BAD_REQUEST"),
)


def test_what_cannot_be_acted_upon_is_refused_and_not_stored(http: TestClient, made: Any, key: str) -> None:
    for body, code in REFUSED:
        answer = send(http, **{"key": key, **body})
        assert (answer.status_code, answer.json()["code"]) == (400, code), (body, answer.text)
    assert signals_of(http, made["id"]) == []


def test_any_key_that_is_nobodys_has_the_same_answer(http: TestClient, made: Any, key: str) -> None:
    """I12, no oracle: never one, one replaced, one ended, one of a strategy that is archived; whatever it says."""
    newer = make_key(http, made["id"])["key"]
    end_key(http, made["id"])
    archived = go_live(http, "alice", type="external")
    gone = make_key(http, archived["id"])["key"]
    assert http.delete(f"/api/strategies/{archived['id']}", headers=ALICE).status_code == 200
    bodies = set()
    for wrong in (UNKNOWN, "", "x", "é" * 99, made["id"], key, newer, gone):
        for more in ({}, {"action": "maybe"}):
            answer = send(http, wrong, **more)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "AlertKey")
            bodies.add(json.dumps(answer.json() | {"requestId": ""}))
    assert len(bodies) == 1
    assert signals_of(http, made["id"]) == []


def test_a_new_key_ends_the_one_before_and_an_ended_one_may_be_made_anew(
    http: TestClient, made: Any, key: str
) -> None:
    newer = make_key(http, made["id"])["key"]
    assert [send(http, each).status_code for each in (key, newer)] == [401, 202]
    for _ in range(2):  # there is nothing to end the second time
        end_key(http, made["id"])
    assert since(http, made["id"]) is None
    assert send(http, newer).status_code == 401
    assert send(http, make_key(http, made["id"])["key"], id="another").status_code == 202


def test_a_key_is_for_its_own_strategy_and_opens_nothing_else(http: TestClient, made: Any, key: str) -> None:
    other = go_live(http, "alice", type="external", symbol="ETHUSDT")
    assert send(http, key).json()["signal"]["strategyId"] == made["id"]
    assert signals_of(http, other["id"]) == []
    for offered in ({"Authorization": f"Bearer {key}"}, {"x-cron-secret": key}):
        answer = http.get("/api/strategies", headers=offered)
        assert answer.status_code == 401


def test_i12_a_foreign_strategys_key_is_made_ended_and_seen_by_nobody_else(
    http: TestClient, made: Any, key: str
) -> None:
    """A subscriber as little as a stranger."""
    shown = {"visibility": "public"}
    path = f"/api/strategies/{made['id']}"
    assert http.patch(path, json=shown, headers=ALICE).json()["alertKeySince"] is not None
    assert http.post(f"{path}/subscribe", json={"capital": 1000}, headers=as_user("bob")).status_code == 201
    for ask in (http.post, http.delete):
        foreign = ask(f"{path}/alert-key", headers=as_user("bob"))
        missing = ask(f"/api/strategies/{uuid4()}/alert-key", headers=as_user("bob"))
        assert foreign.status_code == missing.status_code == 404
        assert foreign.json()["error"] == missing.json()["error"]
    assert since(http, made["id"], "bob") is None
    assert send(http, key).json()["signal"]["runs"] == 2, "it is alice's key still, and both runs are told"


def test_a_strategy_that_evaluates_candles_has_no_key(http: TestClient) -> None:
    path = f"/api/strategies/{go_live(http, 'alice')['id']}/alert-key"
    for ask in (http.post, http.delete):
        answer = ask(path, headers=ALICE)
        assert (answer.status_code, answer.json()["code"]) == (409, "NOT_EXTERNAL")


def test_guesses_are_limited_by_address_and_hold_no_right_key_back(http: TestClient, key: str) -> None:
    """A service's few addresses send the alerts of all its users."""
    answers = [send(http, f"{UNKNOWN}{number}").status_code for number in range(FAILURES_PER_WINDOW + 1)]
    assert answers == [401] * FAILURES_PER_WINDOW + [429]
    assert send(http, UNKNOWN).headers["Retry-After"]
    assert send(http, key).status_code == 202


def test_one_key_is_limited_and_another_is_not(http: TestClient, made: Any, key: str) -> None:
    other = make_key(http, go_live(http, "alice", type="external", symbol="ETHUSDT")["id"])["key"]
    repeats: list[int] = []
    while 429 not in repeats and len(repeats) < 4 * ALERTS_PER_WINDOW:  # one more is free each second
        repeats.append(send(http, key, id="alert-0001").status_code)
    assert set(repeats[:ALERTS_PER_WINDOW]) == {202}
    assert repeats[-1] == 429
    assert send(http, other).status_code == 202
    assert http.get("/api/strategies", headers=ALICE).status_code == 200


def test_nothing_is_taken_that_nobody_would_act_upon(runner: SmallRunner) -> None:
    with client_of(runner, make_settings(ENABLE_STRATEGY_RUNNER="false")) as http:
        key = make_key(http, go_live(http, "alice", type="external")["id"])["key"]
        for each in (key, UNKNOWN):
            answer = send(http, each)
            assert (answer.status_code, answer.json()["code"]) == (503, "RUNNER_DISABLED")


def test_its_making_and_ending_are_events_of_its_owner(
    http: TestClient, store: PgStore, made: Any, key: str
) -> None:
    """I11."""
    end_key(http, made["id"])
    end_key(http, made["id"])
    told = [each for each in store.events(limit=50) if each.type.startswith("strategy.alert_key")]
    assert sorted(each.type for each in told) == ["strategy.alert_key.ended", "strategy.alert_key.made"]
    assert {(each.user_id, each.payload["strategy_id"]) for each in told} == {("alice", made["id"])}


def test_an_idempotency_key_would_keep_the_answer_so_it_is_passed_over(
    http: TestClient, database: Database, made: Any
) -> None:
    headers = ALICE | {"Idempotency-Key": "the-same-key"}
    path = f"/api/strategies/{made['id']}/alert-key"
    first, again = (http.post(path, headers=headers).json()["key"] for _ in range(2))
    assert first != again
    assert [send(http, each).status_code for each in (first, again)] == [401, 202]


def test_i13_an_alert_keys_whole_life_at_debug_leaves_no_trace_of_it(
    store: PgStore,
    runner: SmallRunner,
    database: Database,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    structured_logs: None,
) -> None:
    """Neither in rows, logs, answers and events, nor in what a careless error tells."""
    say_all(caplog)
    access: list[object] = []
    with client_of(runner, error_log=log_error, access_log=access.append) as http:
        life = Life(http)
        made = go_live(http, "alice", type="external")
        headers = ALICE | {"Idempotency-Key": "the-same-key"}
        told = http.post(f"/api/strategies/{made['id']}/alert-key", headers=headers).json()
        key = told.pop("key")
        assert key in told.pop("message")
        life.said.append(("the rest of the answer", repr(told)))
        answers = [
            send(http, key, id="alert-0001"),
            send(http, key, id="alert-0001", action="sell"),
            send(http, key, action="maybe"),
            send(http, key, sentAt="2020-01-01T00:00:00Z"),
            http.post("/api/alerts", content=f'{{"key": "{key}", "action": "buy"'),
            http.post("/api/alerts", json={"key": [key], "action": "buy"}),
            http.post("/api/alerts", json={"key": key, "action": {"x": key}}),
            http.post("/api/alerts", json={"action": "buy"}),
            send(http, SECRETS[0]),
            http.get(f"/api/strategies/{made['id']}", headers=ALICE),
            http.get(f"/api/strategies/{made['id']}/signals", headers=ALICE),
            http.get("/api/events?limit=100", headers=ALICE),
        ]
        runner.up, broken = True, runner.signal_sent
        runner.signal_sent = None  # type: ignore[assignment,method-assign]
        answers.append(send(http, key, id="alert-0002"))
        runner.signal_sent = broken  # type: ignore[method-assign]
        life.note_dump(database.owner_dsn)
        assert [each.status_code for each in answers] == [
            202, 409, 400, 422, 400, 400, 400, 400, 401, 200, 200, 404, 500
        ]  # fmt: skip
        life.said += [(str(each.url), f"{each.headers}\n{each.text}") for each in answers]
    life.said += [("event", repr(each)) for each in store.events(limit=200)]
    life.said += [("access log", repr(access)), ("log", caplog.text)]
    life.said += [(f"log of {each.name}", repr(each.__dict__)) for each in caplog.records]
    out, err = capfd.readouterr()
    life.said += [("stdout", out), ("stderr", err)]
    assert "TypeError" in err, "the log was listened to"
    assert "table alert_keys" in dict(life.said)
    scanner = Scanner((key,))
    assert scanner.scan("here", f"told {key}"), "the scanner knows it"
    assert [trace for where, text in life.said for trace in scanner.scan(where, text)] == []
    assert scan_all(life.said) == []
