"""The checks of `bin/runner smoke`: who asks what of a deployed service, and what must come back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from core.config import Settings
from facade import tokens

TIMEOUT_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 16_000_000
TOKEN_TTL: Final = timedelta(minutes=5)
ADMIN, USER = "smoke-admin", "smoke-user"
NOBODYS_RUN: Final = "00000000-0000-0000-0000-00000000dead"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """`status` answers that are right. `lacks`: what this command was not told, without which it cannot ask."""

    name: str
    method: str = "GET"
    path: str
    headers: Mapping[str, str] = {}
    status: Sequence[int] = (200,)
    field: str | None = None
    """A field the answer must have."""
    body: bytes | None = None
    lacks: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    verdict: str
    why: str = ""


def checks(settings: Settings) -> list[Check]:
    """In the order of their weight: is it there, is it shut to strangers, does it serve who may come in."""
    return [*_of_strangers(), *_of_users(settings), *_of_cron(settings)]


def _of_cron(settings: Settings) -> list[Check]:
    cron = settings.runner_cron_secret or settings.cron_secret or settings.admin_api_key
    no_cron = None if cron is not None else "RUNNER_CRON_SECRET"
    due = {"x-cron-secret": "" if cron is None else cron.reveal()}
    enabled = (200,) if settings.enable_strategy_runner else (200, 503)
    return [
        Check(
            name="cron runs what is due",
            method="POST",
            path="/api/runner/cron",
            headers=due,
            status=enabled,
            lacks=no_cron,
        ),
        Check(
            name="cron by GET does the same",
            path="/api/cron/strategies",
            headers=due,
            status=enabled,
            lacks=no_cron,
        ),
    ]


def _of_strangers() -> list[Check]:
    return [
        Check(name="the process answers", path="/healthz"),
        Check(name="it is ready", path="/readyz", field="checks"),
        Check(name="the interface is described", path="/openapi.json", field="openapi"),
        Check(name="nobody sees strategies", path="/api/strategies", status=(401,)),
        Check(name="nobody sees the runner", path="/api/runner/status", status=(401,)),
        Check(name="nobody calls cron", method="POST", path="/api/runner/cron", status=(401, 403, 503)),
        Check(
            name="a made-up token is refused",
            path="/api/strategies",
            headers={"Authorization": "Bearer e30.e30.e30"},
            status=(401,),
        ),
        Check(
            name="a made-up cron secret is refused",
            method="POST",
            path="/api/runner/cron",
            headers={"x-cron-secret": "made-up"},
            status=(401, 403, 503),
        ),
    ]


def _of_users(settings: Settings) -> list[Check]:
    admin, user = _bearer(settings, ADMIN, admin=True), _bearer(settings, USER, admin=False)
    no_secret = None if settings.jwt_secret is not None else "JWT_SECRET"
    enabled = (200,) if settings.enable_strategy_runner else (200, 503)
    return [
        Check(name="a user sees their strategies", path="/api/strategies", headers=user, lacks=no_secret),
        Check(name="a user sees their risk", path="/api/risk", headers=user, lacks=no_secret),
        Check(
            name="a user does not see the runner",
            path="/api/runner/status",
            headers=user,
            status=(403,),
            lacks=no_secret,
        ),
        Check(
            name="a user does not throw the switch",
            method="PUT",
            path="/api/runner/kill-switch",
            headers=user,
            body=b'{"on": true}',
            status=(403,),
            lacks=no_secret,
        ),
        Check(
            name="somebody else's run is not found",
            path=f"/api/runs/{NOBODYS_RUN}",
            headers=user,
            status=(404,),
            lacks=no_secret,
        ),
        Check(
            name="an admin sees the runner",
            path="/api/runner/status",
            headers=admin,
            status=enabled,
            lacks=no_secret,
        ),
    ]


def run(check: Check, url: str, settings: Settings, told: Callable[[Outcome], None]) -> Outcome:
    if check.lacks is not None:
        outcome = Outcome(name=check.name, verdict="SKIP", why=f"{check.lacks} is not set here")
    else:
        why = _wrong(check, url.rstrip("/"))
        outcome = Outcome(name=check.name, verdict="FAIL" if why else "PASS", why=why)
    told(outcome)
    return outcome


def _wrong(check: Check, url: str) -> str:
    """What was not as it should be; nothing otherwise."""
    headers = {"Content-Type": "application/json", **check.headers}
    try:
        request = Request(url + check.path, data=check.body, headers=headers, method=check.method)  # noqa: S310
        status, answer = _sent(request)
    except (OSError, ValueError) as error:
        return f"no answer: {getattr(error, 'reason', error)}"
    if status not in check.status:
        wanted = " or ".join(map(str, check.status))
        return f"answered {status} {answer.get('code', '')}, not {wanted}"
    if check.field is not None and check.field not in answer:
        return f"the answer has no {check.field}"
    return ""


def _sent(request: Request) -> tuple[int, dict[str, Any]]:
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return response.status, _decoded(response.read(MAX_ANSWER_BYTES))
    except HTTPError as error:
        with error:
            return error.code, _decoded(error.read(MAX_ANSWER_BYTES))


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _bearer(settings: Settings, user: str, *, admin: bool) -> dict[str, str]:
    if settings.jwt_secret is None:
        return {}
    token = tokens.issue(
        secret=settings.jwt_secret.reveal(),
        user_id=user,
        admin=admin,
        now=datetime.now(UTC).replace(microsecond=0),
        ttl=TOKEN_TTL,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
    )
    return {"Authorization": f"Bearer {token}"}
