"""The application: routes, layers around them, and what is opened and closed with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from core.config import Settings
from core.live_settings import LiveSettings
from core.redact import Secret
from facade.access import DemoSession, Gatekeeper
from facade.admission import Admission
from facade.auth import TokenVerifier, verifier
from facade.bridge import Bridge, Keys, Runner, Vault, Waits
from facade.callers import Callers
from facade.endpoint import ErrorLog, Services, error_response
from facade.errors import ApiError
from facade.event_stream import EventHub
from facade.idempotency import KEY_HEADER, REPLAYED_HEADER
from facade.limits import Attempts, Rates
from facade.middleware import REQUEST_ID_HEADER, AccessLog, EveryRequest
from facade.operation import OperationRoute
from facade.routes import (
    alert_keys,
    alerts,
    backtests,
    code,
    config,
    connections,
    convert,
    demo,
    docs,
    events,
    external,
    flatten,
    health,
    history,
    jobs,
    market_data,
    marketplace,
    notifications,
    portfolios,
    risk,
    runner,
    runs,
    signals,
    strategies,
    subscriptions,
    what_if,
)

INTERFACE: Final[Sequence[OperationRoute]] = (
    *health.ROUTES,
    *runner.ROUTES,
    *flatten.ROUTES,
    *subscriptions.ROUTES,
    *history.ROUTES,
    *marketplace.ROUTES,
    *convert.ROUTES,
    *code.ROUTES,
    *strategies.ROUTES,
    *external.ROUTES,
    *alert_keys.ROUTES,
    *runs.ROUTES,
    *connections.ROUTES,
    *portfolios.ROUTES,
    *risk.ROUTES,
    *jobs.ROUTES,
    *backtests.ROUTES,
    *market_data.ROUTES,
    *what_if.ROUTES,
    *notifications.ROUTES,
    *alerts.ROUTES,
    *config.ROUTES,
    *events.ROUTES,
    *signals.ROUTES,
    *docs.ROUTES,
)
"""What a client may rely on, in the order paths are tried: of two that fit, the first is taken."""
SOCKETS: Final[Sequence[BaseRoute]] = (*events.SOCKETS, *signals.SOCKETS)
"""Streams of INTERFACE again, for those who ask with an upgrade."""


def build_app(
    system: Runner,
    settings: Settings,
    *,
    demo_secret: Secret | None = None,
    tokens: TokenVerifier | None = None,
    pages: Sequence[BaseRoute] = (),
    access_log: AccessLog | None = None,
    error_log: ErrorLog | None = None,
    waits: Waits | None = None,
    keys: Keys | None = None,
    key_checks: Attempts | None = None,
    job_added: Callable[[], None] = lambda: None,
    vault: Vault | None = None,
    live: LiveSettings | None = None,
) -> Starlette:
    """`demo_secret`: the generated one; tokens signed with it count, and the demo's page may log in.

    `tokens` replaces the verifier the settings ask for; `pages` are served beside the interface; without `keys`
    there are no connections to exchanges, without `vault` no webhooks. `live`: the box of settings that change.
    there are no connections to exchanges, without `vault` no webhooks. `job_added` wakes whoever carries jobs out.

    Raises SettingsError when there is nothing to check tokens with.
    """
    bridge = Bridge(system, waits or Waits())
    callers = Callers(settings.runner_trusted_proxies)
    session_secret = settings.jwt_secret or demo_secret
    session = DemoSession(session_secret, settings) if _is_demo(system) and session_secret else None
    services = Services(
        settings=settings,
        bridge=bridge,
        gatekeeper=Gatekeeper(
            settings,
            tokens or verifier(settings, generated_secret=demo_secret),
            callers=callers,
            demo=session,
        ),
        hub=EventHub(bridge, signal_ttl_s=settings.signal_ttl_seconds),
        demo=session,
        error_log=error_log or _to_nobody,
        keys=keys,
        key_checks=key_checks,
        job_added=job_added,
        vault=vault,
        live=live,
    )
    app = Starlette(
        routes=[*INTERFACE, *SOCKETS, *(demo.ROUTES if session is not None else ()), *pages],
        middleware=[
            Middleware(EveryRequest, access_log=access_log),
            *_cors(settings),
            Middleware(Admission, callers=callers, rates=Rates(settings.runner_rate_limit_address)),
        ],
        exception_handlers={HTTPException: _failed, ApiError: _failed, Exception: _failed},
        lifespan=_lifespan,
    )
    app.state.services = services
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    services: Services = app.state.services
    try:
        yield
    finally:
        await services.hub.close()
        services.bridge.close()


def _is_demo(system: Runner) -> bool:
    return system.demo_clock() is not None


def _cors(settings: Settings) -> list[Middleware]:
    """Other origins only where configured, and never with cookies."""
    if not settings.frontend_url:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(settings.frontend_url),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "Last-Event-ID",
                KEY_HEADER,
                REQUEST_ID_HEADER,
            ],
            expose_headers=[REQUEST_ID_HEADER, "ETag", "Retry-After", "ETag", REPLAYED_HEADER],
            max_age=600,
        )
    ]


async def _failed(request: Request, error: Exception) -> Response:
    return error_response(request, error)


def _to_nobody(fields: Mapping[str, object], error: BaseException) -> None:
    """Where nobody keeps a log."""
