"""Asks a running service over HTTP, as a client on the same machine: one request, one answer, every wait bounded."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from bin.commands.token import signing_secret
from core.config import Settings
from core.errors import RunnerError
from facade import tokens

TIMEOUT_S: Final = 10.0
"""Longer than the service itself takes to say that somebody did not answer."""
MAX_ANSWER_BYTES: Final = 16_000_000
TOKEN_TTL: Final = timedelta(minutes=1)
OPERATOR: Final = "command-line"
ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where it listens, not where we do


class NoAnswer(RunnerError):
    """Nobody answers at this address, or what does is not the service."""


class Refused(RunnerError):
    """The service refused; its sentence is the text, `status` the HTTP status."""

    def __init__(self, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.status = status


def no_run(refusal: Refused, run_id: object) -> RunnerError:
    """The refusal, or for what is not there a sentence that names the run."""
    if refusal.status != http.client.NOT_FOUND:
        return refusal
    return RunnerError(f"There is no run {run_id}.")


class ApiClient:
    """`settings` say where the service listens and, unless it is asked as nobody, how to sign for it."""

    def __init__(self, settings: Settings) -> None:
        host = ANY_ADDRESS.get(settings.host, settings.host)
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
        self._settings = settings
        # The service is on this machine or network: a proxy meant for the world has no part in it.
        self._opener = build_opener(ProxyHandler({}))

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """An administrator's question. Raises Refused or NoAnswer."""
        return self._accepted(self._request("GET", f"{path}?{urlencode(query)}" if query else path))

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """An administrator's order. Raises Refused or NoAnswer."""
        return self._accepted(self._request("POST", path, json.dumps(body).encode()))

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether the service is ready, and its answer; open to anyone. Raises NoAnswer."""
        status, answer = self._send(Request(f"{self.address}/readyz"))  # noqa: S310 - http, from our settings
        if "checks" not in answer:
            raise NoAnswer(f"What answers at {self.address} is not this service.")
        return status == http.client.OK, answer

    def _request(self, method: str, path: str, body: bytes | None = None) -> Request:
        settings = self._settings
        token = tokens.issue(
            secret=signing_secret(settings),
            user_id=OPERATOR,
            admin=True,
            now=datetime.now(UTC).replace(microsecond=0),
            ttl=TOKEN_TTL,
            audience=settings.jwt_audience,
            issuer=settings.jwt_issuer,
        )
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return Request(self.address + path, data=body, headers=headers, method=method)  # noqa: S310 - as above

    def _accepted(self, request: Request) -> dict[str, Any]:
        status, answer = self._send(request)
        if status == http.client.UNAUTHORIZED:
            raise Refused(
                f"The service at {self.address} does not take a token signed here; "
                "give this command the service's JWT_SECRET or RUNNER_DATA_DIR.",
                status,
            )
        if status >= http.client.BAD_REQUEST:
            raise Refused(str(answer.get("error") or f"The service answered {status}."), status)
        return answer

    def _send(self, request: Request) -> tuple[int, dict[str, Any]]:
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as response:
                return response.status, self._decoded(response.read(MAX_ANSWER_BYTES))
        except HTTPError as error:
            with error:
                return error.code, self._decoded(error.read(MAX_ANSWER_BYTES))
        except (URLError, TimeoutError, OSError, http.client.HTTPException) as error:
            why = error.reason if isinstance(error, URLError) else error
            if isinstance(why, ConnectionRefusedError):
                raise NoAnswer(f"Nothing answers at {self.address}; is the service running there?") from error
            told = why.strerror if isinstance(why, OSError) and why.strerror else why or type(error).__name__
            raise NoAnswer(f"The service at {self.address} cannot be asked: {told}.") from error

    def _decoded(self, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise NoAnswer(f"What answers at {self.address} is not this service.")
        return answer
