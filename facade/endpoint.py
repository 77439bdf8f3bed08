"""A route: who may call it, what it answers; errors and answers take the same way out everywhere."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4, uuid5

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from core.config import Settings
from core.ids import UserId
from core.live_settings import LiveSettings
from facade.access import Access, DemoSession, Gatekeeper
from facade.auth import Principal
from facade.bridge import Attempt, Bridge, Converter, Keys, Runner, Vault
from facade.decoding import decode, decode_either_case, decode_query, read_body
from facade.errors import UNFORESEEN, ApiError, api_error, not_found
from facade.event_stream import EventHub
from facade.idempotency import idempotency_key, once
from facade.limits import (
    ALERTS_PER_WINDOW,
    CONVERSIONS_PER_WINDOW,
    KEY_CHECKS_PER_WINDOW,
    NUMBER_READS_PER_WINDOW,
    Attempts,
    Rates,
)
from facade.operation import JSON, OperationRoute, operation_of
from facade.schemas.form import Answer, Asked
from facade.schemas.runner import StatusAnswer
from facade.shared_read import STATUS_FOR_S, Shared
from facade.vitals import VitalSigns

ErrorLog = Callable[[Mapping[str, object], BaseException], None]
_ENCODER: Final = msgspec.json.Encoder(decimal_format="string")


class Services:
    """What routes work with; one for each application."""

    def __init__(
        self,
        *,
        settings: Settings,
        bridge: Bridge,
        gatekeeper: Gatekeeper,
        hub: EventHub,
        demo: DemoSession | None,
        error_log: ErrorLog,
        keys: Keys | None = None,
        key_checks: Attempts | None = None,
        job_added: Callable[[], None] = lambda: None,
        vault: Vault | None = None,
        live: LiveSettings | None = None,
    ) -> None:
        self.live = live or LiveSettings(settings)
        self.bridge = bridge
        self.gatekeeper = gatekeeper
        self.hub = hub
        self.vitals = VitalSigns(bridge)
        self.demo = demo
        self.error_log = error_log
        self.keys = keys
        self.job_added = job_added
        self.vault = vault
        self.status: Shared[StatusAnswer] = Shared(STATUS_FOR_S)
        self.key_checks = key_checks or Attempts(KEY_CHECKS_PER_WINDOW)
        self.number_reads = Attempts(NUMBER_READS_PER_WINDOW)
        self.conversions = Attempts(CONVERSIONS_PER_WINDOW)
        self.alerts = Rates(ALERTS_PER_WINDOW)
        self.converter = converter_of(settings)

    @property
    def settings(self) -> Settings:
        """As they are now: some change while the service runs."""
        return self.live.now

    @property
    def runner(self) -> Runner:
        return self.bridge.runner


def converter_of(settings: Settings) -> Converter | None:
    """None where no endpoint and model are configured."""
    if settings.converter_url is None or settings.converter_model is None:
        return None
    return Converter(
        url=settings.converter_url, model=settings.converter_model, key=settings.converter_api_key
    )


class Call:
    """One request at a route, its caller known."""

    def __init__(
        self,
        request: Request,
        services: Services,
        principal: Principal | None,
        attempt: Attempt | None = None,
    ) -> None:
        self.request = request
        self.services = services
        self._principal = principal
        self._attempt = attempt
        self._ids = 0
        self.headers: dict[str, str] = {}
        """Of the answer, beside those every answer has."""

    @property
    def principal(self) -> Principal:
        if self._principal is None:
            raise LookupError("this route is open to callers without a name")
        return self._principal

    @property
    def user_id(self) -> UserId:
        return self.principal.user_id

    def path_id(self, name: str = "id") -> UUID:
        """The id in the path; what is no id names nothing of anybody's: 404."""
        try:
            return UUID(self.request.path_params[name])
        except ValueError as error:
            raise not_found() from error

    def new_id(self) -> UUID:
        """The id of something to be created; a repeat under the same Idempotency-Key is given the same ones in turn."""
        if self._attempt is None:
            return uuid4()
        self._ids += 1
        return uuid5(self._attempt.seed, str(self._ids))

    @property
    def is_repeat(self) -> bool:
        """Whether an earlier attempt was cut off: what is to be created may be there already, under the same ids."""
        return self._attempt is not None and self._attempt.number > 1

    def asked_at(self) -> datetime:
        """Market time of the request, of a repeated one that of its first attempt."""
        return self.services.runner.market_now() if self._attempt is None else self._attempt.asked_at

    @property
    def bridge(self) -> Bridge:
        """To this caller's rows; an administrator, who may name others', and a caller without a name reach all."""
        return _bridge_of(self.services, self._principal, self.request)

    @property
    def settings(self) -> Settings:
        return self.services.settings


Handler = Callable[..., Awaitable[Answer | Response]]
"""`async def handler(call, body?, query?)`; see facade/operation.py."""


def route(
    method: str,
    path: str,
    handler: Handler,
    access: Access,
    *,
    status: int = 200,
    needs_runner: bool = False,
    either_case: bool = False,
    produces: str = JSON,
    consumes: Sequence[str] = (JSON,),
    reads_nothing: bool = False,
    idempotent: bool | None = None,
) -> OperationRoute:
    """`needs_runner`: 503 RUNNER_DISABLED while ENABLE_STRATEGY_RUNNER is false. `either_case`: the body's fields may
    be in snake_case as well. `reads_nothing`: whatever body and query come are passed over, as schedulers, load
    balancers and links send some of their own making. `idempotent`: an Idempotency-Key holds here; None: on every POST
    of a caller with a name. `consumes`: what senders call the body, which is JSON whatever they call it.
    """
    operation = operation_of(
        method,
        path,
        handler,
        access,
        status=status,
        needs_runner=needs_runner,
        produces=produces,
        consumes=consumes,
        reads_nothing=reads_nothing,
        idempotent=idempotent,
    )
    takes = inspect.signature(handler).parameters

    async def endpoint(request: Request) -> Response:
        services: Services = request.app.state.services
        try:
            principal = await services.gatekeeper.admit(request, access)
            if needs_runner:
                require_runner(services)
            given: dict[str, object] = {}
            if reads_nothing:
                await read_body(request)
            else:
                given["query"] = decode_query(request, operation.query or Asked)
            if operation.body is not None:
                given["body"] = await (decode_either_case if either_case else decode)(request, operation.body)
            wanted = {name: value for name, value in given.items() if name in takes}

            async def carry_out(attempt: Attempt | None) -> Response:
                call = Call(request, services, principal, attempt)
                answer = await handler(call, **wanted)
                return (
                    answer if isinstance(answer, Response) else encode(request, answer, status, call.headers)
                )

            key = idempotency_key(request) if operation.idempotent else None
            if key is None or principal is None:
                return await carry_out(None)
            return await once(
                request,
                _bridge_of(services, principal, request),
                key,
                user_id=principal.user_id,
                operation=f"{method} {path}",
                carry_out=carry_out,
            )
        except Exception as error:  # the one place where errors become answers
            return error_response(request, error)

    return OperationRoute(operation, endpoint)


def _bridge_of(services: Services, principal: Principal | None, request: Request) -> Bridge:
    bridge = services.bridge
    if principal is not None and not principal.admin:
        bridge = bridge.for_user(principal.user_id)
    return bridge if request.method == "GET" else bridge.because_of(request.state.request_id)


def require_runner(services: Services) -> None:
    if not services.settings.enable_strategy_runner:
        raise ApiError(503, "The runner is disabled (ENABLE_STRATEGY_RUNNER).", code="RUNNER_DISABLED")


def encode(
    request: Request, answer: Answer, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    dressed = msgspec.structs.replace(answer, request_id=request.state.request_id)
    return Response(_ENCODER.encode(dressed), status, headers=headers, media_type=JSON)


def error_response(request: Request, error: Exception) -> Response:
    told = api_error(error)
    request_id: str = request.state.request_id
    if told.code == UNFORESEEN:
        services: Services = request.app.state.services
        services.error_log(
            {"action": "http_error", "path": request.url.path, "request_id": request_id}, error
        )
    body = msgspec.json.encode(told.body(request_id))
    return Response(body, told.status, headers=told.headers, media_type=JSON)
