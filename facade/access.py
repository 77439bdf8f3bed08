"""What a request may do: users, admins, cron callers, and the cookie of a demo's page."""

from __future__ import annotations

import ipaddress
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response

from core.config import Settings
from core.redact import Secret
from facade.auth import Principal, TokenVerifier, unauthorized
from facade.callers import FORWARDED_HEADERS, Callers
from facade.errors import ApiError, too_many
from facade.limits import FAILURES_PER_WINDOW, Attempts, Rates
from facade.tokens import issue

SESSION_COOKIE: Final = "runner_session"
SESSION_TTL: Final = timedelta(hours=12)
DEMO_USER: Final = "demo-operator"
CRON_HEADER: Final = "x-cron-secret"
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Access(StrEnum):
    """Who may call a route."""

    ANYONE = "anyone"
    USER = "user"
    ADMIN = "admin"
    CRON = "cron"
    ALERT_KEY = "alert_key"
    """No header at all: the key of one strategy, in the body, which the route looks up itself."""
    OPERATOR = "operator"
    """Numbers of the installation: this machine, METRICS_TOKEN, or an administrator."""


class DemoSession:
    """Logs the demo's pages in, on loopback only: an HttpOnly cookie (decision 32), tokens for users to act as."""

    def __init__(self, secret: Secret, settings: Settings) -> None:
        self._secret = secret
        self._settings = settings

    def log_in(self, connection: HTTPConnection, response: Response) -> None:
        """Set the cookie; ApiError 403 for a caller that is not on this machine."""
        response.set_cookie(
            SESSION_COOKIE,
            self._issued(connection, DEMO_USER, admin=True),
            max_age=int(SESSION_TTL.total_seconds()),
            path="/",
            httponly=True,
            samesite="strict",
        )

    def token_of(self, connection: HTTPConnection, user: str) -> str:
        """For a page that acts as that user, who is no operator; ApiError 403 for a caller elsewhere."""
        return self._issued(connection, user, admin=False)

    def _issued(self, connection: HTTPConnection, user: str, *, admin: bool) -> str:
        if not is_local(connection):
            raise ApiError(403, "The demo's page is for this machine only.", code="LOOPBACK_ONLY")
        return issue(
            secret=self._secret.reveal(),
            user_id=user,
            admin=admin,
            now=datetime.fromtimestamp(time.time(), UTC),
            ttl=SESSION_TTL,
            audience=self._settings.jwt_audience,
            issuer=self._settings.jwt_issuer,
        )

    def token(self, connection: HTTPConnection) -> str | None:
        """The cookie's token where it may be used: on this machine, and not from another site's page."""
        token = connection.cookies.get(SESSION_COOKIE)
        if token is None or not is_local(connection) or not _is_same_origin(connection):
            return None
        return token


class Gatekeeper:
    """Lets requests through to the route they ask for, or says why not."""

    def __init__(
        self,
        settings: Settings,
        verifier: TokenVerifier,
        *,
        demo: DemoSession | None = None,
        failures: Attempts | None = None,
        callers: Callers | None = None,
    ) -> None:
        self._runner_cron_secret = settings.runner_cron_secret
        self._metrics_token = settings.metrics_token
        self._bearer_secret = settings.cron_secret or settings.admin_api_key
        self._verifier = verifier
        self._demo = demo
        self._failures = failures or Attempts(FAILURES_PER_WINDOW)
        self._callers = callers or Callers(settings.runner_trusted_proxies)
        self._rates = Rates(settings.runner_rate_limit_user)

    async def admit(self, connection: HTTPConnection, access: Access) -> Principal | None:
        """The caller; None where nobody in particular is asking (open paths, a cron secret), or it is not known yet."""
        if access in (Access.ANYONE, Access.ALERT_KEY):
            return None
        if access is Access.CRON and self._is_cron(connection):
            return None
        if access is Access.OPERATOR and self._is_operator(connection):
            return None
        principal = await self._principal(connection)
        wait_s = self._rates.take(principal.user_id)
        if wait_s:
            raise too_many("Too many requests; RUNNER_RATE_LIMIT_USER a minute are allowed.", wait_s)
        if access is not Access.USER and not principal.admin:
            raise ApiError(403, "This is for administrators.")
        return principal

    def unknown_alert_key(self, connection: HTTPConnection) -> ApiError:
        """The one answer to any key that is nobody's; ApiError 429 for an address that has tried too many.

        A right key is never held back for wrong ones: a service's few addresses send the alerts of all its users.
        """
        self._fail(connection)
        sentence = "This alert key is not known here."
        return ApiError(401, sentence, headers={"WWW-Authenticate": "AlertKey"})

    async def _principal(self, connection: HTTPConnection) -> Principal:
        token = _bearer(connection)
        if token is None and self._demo is not None:
            token = self._demo.token(connection)
        if token is None:
            raise unauthorized("This needs a token: Authorization: Bearer <JWT>.")
        try:
            return await self._verifier.principal(token)
        except ApiError as error:
            if error.status == 401:
                self._fail(connection)
            raise

    def _is_cron(self, connection: HTTPConnection) -> bool:
        """Whether a cron secret was sent and is right. Nobody guesses on while over the limit."""
        offered = connection.headers.get(CRON_HEADER)
        bearer = _bearer(connection)
        if offered is not None and self._runner_cron_secret is None:
            raise ApiError(503, "RUNNER_CRON_SECRET is not configured.", code="CRON_SECRET_NOT_CONFIGURED")
        if offered is None and (bearer is None or self._bearer_secret is None):
            return False
        guesses_bearer = bearer is not None and bearer.count(".") != 2
        if offered is not None or guesses_bearer:
            self._refuse_over_limit(connection)
        if offered is not None and self._runner_cron_secret is not None:
            if self._runner_cron_secret.matches(offered):
                return True
            if bearer is None:
                self._fail(connection)
                raise unauthorized("The cron secret is not the right one.")
        return bearer is not None and self._bearer_secret is not None and self._bearer_secret.matches(bearer)

    def _is_operator(self, connection: HTTPConnection) -> bool:
        """Whether it comes from this machine, or with METRICS_TOKEN. Nobody guesses on while over the limit."""
        bearer = _bearer(connection)
        if bearer is None:
            return is_local(connection)
        if self._metrics_token is None or bearer.count(".") == 2:
            return False
        self._refuse_over_limit(connection)
        return self._metrics_token.matches(bearer)

    def _fail(self, connection: HTTPConnection) -> None:
        self._refuse_over_limit(connection)
        self._failures.tried(self._callers.of(connection))

    def _refuse_over_limit(self, connection: HTTPConnection) -> None:
        wait_s = self._failures.retry_after_s(self._callers.of(connection))
        if wait_s > 0:
            raise too_many("Too many failed attempts to authenticate.", wait_s)


def is_local(connection: HTTPConnection) -> bool:
    """Whether the caller is on this machine and meant it: loopback socket, loopback name in Host.

    The name is checked because a foreign page can make its own name resolve to 127.0.0.1. Behind a proxy on this
    machine everybody has a loopback socket, so what was forwarded is never local.
    """
    if any(name in connection.headers for name in FORWARDED_HEADERS):
        return False
    host = connection.headers.get("host", "")
    try:
        name = urlsplit(f"//{host}").hostname
        address = ipaddress.ip_address(connection.client.host if connection.client is not None else "")
    except ValueError:
        return False
    return address.is_loopback and name in _LOOPBACK_NAMES


def _is_same_origin(connection: HTTPConnection) -> bool:
    """Ports of one machine count as one site for cookies, so a change also needs our own origin."""
    if connection.scope.get("method", "GET") in _READING:
        return True
    origin = connection.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == connection.headers.get("host")


def _bearer(connection: HTTPConnection) -> str | None:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
