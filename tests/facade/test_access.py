"""Who may call what: cron secrets, roles, the demo's cookie, and callers who guess."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import HTTPConnection

from facade.access import SESSION_COOKIE
from facade.callers import Callers
from facade.limits import FAILURES_PER_WINDOW, MAX_CALLERS, WINDOW_S, Attempts, Rates
from facade.routes import demo, events, health, runner, runs, strategies
from tests.facade.world import ADMIN, SmallRunner, as_user, bearer, client_of, make_settings, token_of

CRON = "/api/runner/cron"
ALIASES = [
    ("POST", CRON),
    ("GET", "/api/cron/strategies"),
    ("POST", "/api/cron/strategies"),
    ("GET", "/api/cron/strategy-executor"),
    ("POST", "/api/cron/strategy-executor"),
]
OFF_SLOT = {"RUNNER_GRACE_SEC": "0"}


def cron_status(headers: dict[str, str], **values: str) -> tuple[int, str | None]:
    """How a cron call is answered; no store is reached, since nothing is due."""
    system = SmallRunner(None)
    system.now = system.now.replace(minute=0, second=20)
    answer = client_of(system, make_settings(**OFF_SLOT, **values)).post(CRON, headers=headers)
    return answer.status_code, answer.json().get("code")


@pytest.mark.parametrize(
    ("values", "headers", "expected"),
    [
        ({"RUNNER_CRON_SECRET": "s3"}, {"x-cron-secret": "s3"}, (200, None)),
        ({"RUNNER_CRON_SECRET": "s3"}, {"x-cron-secret": "s4"}, (401, "UNAUTHORIZED")),
        ({"RUNNER_CRON_SECRET": "s3"}, {"x-cron-secret": ""}, (401, "UNAUTHORIZED")),
        ({"RUNNER_CRON_SECRET": "s3"}, {"x-cron-secret": "s3 s3"}, (401, "UNAUTHORIZED")),
        ({}, {"x-cron-secret": "s3"}, (503, "CRON_SECRET_NOT_CONFIGURED")),
        ({}, {"x-cron-secret": ""}, (503, "CRON_SECRET_NOT_CONFIGURED")),
        ({"CRON_SECRET": "s3"}, {"x-cron-secret": "s3"}, (503, "CRON_SECRET_NOT_CONFIGURED")),
        ({"CRON_SECRET": "b"}, {"Authorization": "Bearer b"}, (200, None)),
        ({"CRON_SECRET": "b"}, {"Authorization": "Bearer c"}, (401, "UNAUTHORIZED")),
        ({"CRON_SECRET": "b"}, {"Authorization": "Bearer"}, (401, "UNAUTHORIZED")),
        ({"CRON_SECRET": "b"}, {"Authorization": "Basic b"}, (401, "UNAUTHORIZED")),
        ({"CRON_SECRET": "b", "ADMIN_API_KEY": "a"}, {"Authorization": "Bearer a"}, (401, "UNAUTHORIZED")),
        ({"ADMIN_API_KEY": "a"}, {"Authorization": "Bearer a"}, (200, None)),
        ({"RUNNER_CRON_SECRET": "s3"}, {"Authorization": "Bearer s3"}, (401, "UNAUTHORIZED")),
        ({}, {"Authorization": "Bearer "}, (401, "UNAUTHORIZED")),
        ({}, ADMIN, (200, None)),
        ({"RUNNER_CRON_SECRET": "s3"}, {"x-cron-secret": "no", **ADMIN}, (200, None)),
        ({}, as_user("alice"), (403, "FORBIDDEN")),
        ({}, {}, (401, "UNAUTHORIZED")),
    ],
)
def test_cron_is_for_its_secrets_and_admins(
    values: dict[str, str], headers: dict[str, str], expected: tuple[int, str | None]
) -> None:
    assert cron_status(headers, **values) == expected


@pytest.mark.parametrize(("method", "path"), ALIASES)
def test_aliases_of_cron_answer_alike(method: str, path: str) -> None:
    system = SmallRunner(None)
    system.now = system.now.replace(second=20)
    with client_of(system, make_settings(**OFF_SLOT, RUNNER_CRON_SECRET="s3")) as client:
        answer = client.request(method, path, headers={"x-cron-secret": "s3"})
    assert answer.status_code == 200
    assert answer.json()["summary"] == {"processed": 0, "ran": 0, "skipped": 0, "blocked": 0, "errors": 0}


def test_an_admin_key_opens_cron_paths_only() -> None:
    client = client_of(
        SmallRunner(None), make_settings(ADMIN_API_KEY="a", CRON_SECRET="b", RUNNER_CRON_SECRET="c")
    )
    for headers in (bearer("a"), bearer("b"), {"x-cron-secret": "c"}):
        assert client.get("/api/runner/actors", headers=headers).status_code == 401


ALL_ROUTES = [
    (next(iter(each.methods - {"HEAD"})), each.path.replace("{id}", "00000000-0000-0000-0000-000000000001"))
    for module in (health, runner, strategies, runs, events, demo)
    for each in module.ROUTES
    if each.methods is not None
]
OPEN = {"/healthz", "/readyz", "/api/demo/login", "/api/demo/act-as", "/api/health", "/metrics"}
"""The last two to this machine, see test_health.py."""


@pytest.mark.parametrize(("method", "path"), [each for each in ALL_ROUTES if each[1] not in OPEN])
def test_every_other_route_wants_to_know_who_asks(method: str, path: str) -> None:
    client = client_of(SmallRunner(None, demo=True))
    for headers in (
        {},
        bearer("x"),
        bearer(token_of("alice", secret="not-our-secret-but-long-enough-to-be")),
    ):
        assert client.request(method, path, headers=headers).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"), [each for each in ALL_ROUTES if each[1].startswith(("/api/runner", "/api/cron"))]
)
def test_the_runner_is_for_admins_and_says_when_it_is_disabled(method: str, path: str) -> None:
    system = SmallRunner(None)
    assert client_of(system).request(method, path, headers=as_user("alice")).status_code == 403
    disabled = client_of(system, make_settings(ENABLE_STRATEGY_RUNNER="false"))
    answer = disabled.request(method, path, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (503, "RUNNER_DISABLED")


def demo_client(**more: Any) -> Any:
    return client_of(SmallRunner(None, demo=True), **more)


def test_the_demos_page_logs_in_by_a_cookie_no_script_can_read() -> None:
    client = demo_client()
    answer = client.post("/api/demo/login")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"].lower()
    assert SESSION_COOKIE in cookie
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/runner/actors").status_code == 200
    assert client.post("/api/demo/clock", json={"speed": 10}).json()["clock"]["speed"] == 10
    assert client.post("/api/demo/clock", json={"paused": True}).json()["clock"] == {
        "now": "2026-03-10T12:00:00Z",
        "speed": 10.0,
        "paused": True,
    }


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"address": "192.0.2.7"},
        {"base_url": "http://evil.example"},
        {"base_url": "http://192.0.2.1:8080"},
        {"address": "testclient"},
    ],
)
def test_the_demos_cookie_is_for_this_machine(elsewhere: dict[str, str]) -> None:
    refused = demo_client(**elsewhere).post("/api/demo/login", headers={"X-Forwarded-For": "127.0.0.1"})
    assert (refused.status_code, refused.json()["code"]) == (403, "LOOPBACK_ONLY")
    assert "set-cookie" not in refused.headers
    headers = {"cookie": f"{SESSION_COOKIE}={token_of('demo-operator', admin=True)}"}
    assert demo_client(**elsewhere).get("/api/runner/actors", headers=headers).status_code == 401


def test_another_sites_page_cannot_use_the_cookie_to_change_anything() -> None:
    client = demo_client()
    client.post("/api/demo/login")
    foreign = {"Origin": "http://127.0.0.1:9999"}
    assert client.post("/api/demo/clock", json={"paused": True}, headers=foreign).status_code == 401
    own = {"Origin": "http://127.0.0.1:8080"}
    assert client.post("/api/demo/clock", json={"paused": True}, headers=own).status_code == 200


def test_outside_a_demo_there_is_no_cookie() -> None:
    client = client_of(SmallRunner(None))
    assert client.post("/api/demo/login").status_code == 404
    headers = {"cookie": f"{SESSION_COOKIE}={token_of('root', admin=True)}"}
    assert client.get("/api/runner/actors", headers=headers).status_code == 401


def test_who_guesses_is_stopped_and_forwarding_headers_do_not_help() -> None:
    client = client_of(SmallRunner(None), make_settings(RUNNER_CRON_SECRET="right"))
    statuses = [
        client.post(
            CRON, headers={"x-cron-secret": f"wrong {n}", "X-Forwarded-For": f"192.0.2.{n}"}
        ).status_code
        for n in range(FAILURES_PER_WINDOW + 1)
    ]
    assert statuses == [401] * FAILURES_PER_WINDOW + [429]
    stopped = client.post(CRON, headers={"x-cron-secret": "right"})
    assert (stopped.status_code, stopped.json()["code"]) == (429, "TOO_MANY_REQUESTS")
    assert 0 < int(stopped.headers["retry-after"]) <= WINDOW_S
    assert client.get("/api/runner/actors", headers=bearer("x")).status_code == 429
    assert client.get("/api/runner/actors", headers=ADMIN).status_code == 200


def test_attempts_are_forgotten_after_a_while_and_callers_are_bounded() -> None:
    now_s = 0.0
    attempts = Attempts(FAILURES_PER_WINDOW, lambda: now_s)
    for _ in range(FAILURES_PER_WINDOW):
        attempts.tried("a")
    assert attempts.retry_after_s("a") == WINDOW_S
    assert attempts.retry_after_s("b") == 0
    now_s = WINDOW_S
    assert attempts.retry_after_s("a") == 0
    for n in range(MAX_CALLERS + 1):
        attempts.tried(f"caller {n}")
    assert attempts.retry_after_s("a") == 0


def test_requests_of_a_user_and_of_an_address_are_bounded_and_forwarding_headers_do_not_help() -> None:
    few = {"RUNNER_RATE_LIMIT_USER": "3", "RUNNER_RATE_LIMIT_ADDRESS": "8"}
    client = client_of(SmallRunner(None), make_settings(**few))

    def ask(user: str, number: int) -> int:
        headers = {"X-Forwarded-For": f"192.0.2.{number}", "X-Real-IP": f"192.0.2.{number}"}
        return client.get("/api/demo", headers=as_user(user) | headers).status_code

    paths = [client.get("/api/runner/actors", headers=as_user("ann")).status_code for _ in range(4)]
    assert paths == [403, 403, 403, 429], "counted by user"
    assert client.get("/api/runner/actors", headers=ADMIN).status_code == 200
    assert [ask("bob", number) for number in range(4)] == [404, 404, 404, 429], "counted by address"
    refused = client.get("/docs", headers={"X-Forwarded-For": "192.0.2.99"})
    assert (refused.json()["code"], refused.headers["x-content-type-options"]) == (
        "TOO_MANY_REQUESTS",
        "nosniff",
    )
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["requestId"] == refused.headers["x-request-id"]
    assert client.get("/healthz").status_code == 200, "whoever decides whether we live is not counted"


def test_a_bucket_fills_again_and_zero_is_no_limit() -> None:
    now_s = 0.0
    rates = Rates(60, lambda: now_s)
    assert [rates.take("a") for _ in range(60)] == [0.0] * 60
    assert rates.take("a") == 1.0
    assert rates.take("b") == 0.0
    now_s = 2.0
    assert [rates.take("a") for _ in range(3)] == [0.0, 0.0, 1.0]
    for number in range(MAX_CALLERS + 1):
        rates.take(f"caller {number}")
    assert len(rates) == MAX_CALLERS
    assert {Rates(0).take("a") for _ in range(1_000)} == {0.0}


@pytest.mark.parametrize(
    ("socket", "forwarded", "caller"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7, 10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.7, "], "10.0.0.1"),
        ("10.0.0.1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("2001:db8:1:2::9", ["198.51.100.7"], "2001:db8:1:2::/64"),
        ("testclient", ["198.51.100.7"], "unknown"),
    ],
)
def test_a_caller_is_the_socket_or_what_a_proxy_of_ours_says(
    socket: str, forwarded: list[str], caller: str
) -> None:
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    connection = HTTPConnection({"type": "http", "client": (socket, 1), "headers": headers})
    assert Callers(["10.0.0.0/8"]).of(connection) == caller


def test_failed_attempts_behind_a_proxy_of_ours_are_counted_by_who_is_behind_it() -> None:
    settings = make_settings(RUNNER_CRON_SECRET="right", RUNNER_TRUSTED_PROXIES="10.0.0.1")
    client = client_of(SmallRunner(None), settings, address="10.0.0.1")

    def guess(behind: str) -> int:
        headers = {"x-cron-secret": "wrong", "X-Forwarded-For": f"203.0.113.9, {behind}"}
        return client.post(CRON, headers=headers).status_code

    assert [guess("192.0.2.1") for _ in range(FAILURES_PER_WINDOW + 1)] == [401] * FAILURES_PER_WINDOW + [429]
    assert guess("192.0.2.2") == 401


def test_what_a_proxy_on_this_machine_passes_on_is_not_of_this_machine() -> None:
    for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
        assert demo_client().post("/api/demo/login", headers={name: "127.0.0.1"}).status_code == 403


def test_a_request_has_so_many_headers() -> None:
    client = client_of(SmallRunner(None))
    refused = client.get("/docs", headers={f"X-{number}": "1" for number in range(101)})
    assert (refused.status_code, refused.json()["code"]) == (400, "BAD_REQUEST")
