"""Errors as a client sees them: one place turns what went wrong into status, stable code and sentence.

ApiError
└── raised by routes; everything else is mapped by `api_error`
    IllegalTransition, Conflict → 409   a venue's key that is not taken → 422
    StoreUnavailable, a dead actor, a venue → 503   no answer in time → 504
    input that does not decode, other RunnerErrors → 400   anything unforeseen → 500, logged, nothing told
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from starlette.exceptions import HTTPException

from core.errors import Conflict, IllegalTransition, Reason, RunnerError
from core.parameters import ParameterError
from core.past import Unknowable
from core.strategies.graph.problems import GraphError
from facade.bridge import (
    BridgeTimeout,
    KeyInUse,
    KeyRefused,
    RunnerAway,
    SandboxAway,
    Starved,
    StoreUnavailable,
    VenueAway,
)

UNFORESEEN: Final = "INTERNAL_ERROR"
_HTTP_CODES: Final = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "BODY_TOO_LARGE",
    422: "REFUSED",
    423: "KILL_SWITCH",
    429: "TOO_MANY_REQUESTS",
    503: "UNAVAILABLE",
    504: "TIMEOUT",
}
_SENTENCES: Final = {
    404: "There is nothing here, or it is not yours.",
    405: "This path does not take that method.",
}
_AT_FIELD: Final = re.compile(r"^(?P<why>.*?) - at `\$\.?(?P<field>[^`]*)`$")
_UNKNOWN_FIELD: Final = re.compile(r"unknown field `(?P<field>[^`]*)`")
_MISSING_FIELD: Final = re.compile(r"missing required field `(?P<field>[^`]*)`")


class Detail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem, at a field where it is one's."""

    field: str | None = None
    message: str | None = None
    id: str | None = None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    ok: bool = False
    error: str
    code: str
    request_id: str
    details: tuple[Detail, ...] = ()


class ApiError(Exception):
    """A refusal with its status and code."""

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        code: str | None = None,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.code = code or _HTTP_CODES[status]
        self.details = tuple(details)
        self.headers = dict(headers or {})

    def body(self, request_id: str) -> ErrorBody:
        return ErrorBody(error=self.sentence, code=self.code, request_id=request_id, details=self.details)


def too_many(sentence: str, wait_s: float) -> ApiError:
    return ApiError(429, sentence, headers={"Retry-After": str(math.ceil(wait_s))})


def not_found() -> ApiError:
    """The same answer for what is not there and what is somebody else's (I12)."""
    return ApiError(404, _SENTENCES[404])


def bad_field(field: str, message: str) -> ApiError:
    return ApiError(400, f"{field}: {message}", details=[Detail(field=field, message=message)])


def refused(reason: Reason, sentence: str) -> ApiError:
    """A rule's refusal; the global kill switch has a status of its own."""
    status = 423 if reason is Reason.KILL_SWITCH else 422
    return ApiError(status, sentence, code=reason.value.upper())


def api_error(error: Exception) -> ApiError:
    """What a client is told about `error`."""
    match error:
        case ApiError():
            return error
        case HTTPException():
            return _from_http(error)
        case msgspec.MsgspecError():
            return _from_decoding(error)
        case IllegalTransition():
            return ApiError(409, _sentence(error), code="ILLEGAL_STATE")
        case Conflict():
            return _from_conflict(error)
        case StoreUnavailable():
            return ApiError(503, "The database cannot be reached right now.", code="DATABASE_UNAVAILABLE")
        case KeyRefused():
            details = [Detail(field="apiKey", message=_sentence(error))]
            return ApiError(422, _sentence(error), code=error.code.upper(), details=details)
        case VenueAway():
            return ApiError(503, _sentence(error), code="VENUE_UNAVAILABLE")
        case SandboxAway() | Starved():
            return ApiError(503, _sentence(error), code="SANDBOX_UNAVAILABLE")
        case RunnerAway():
            return ApiError(503, _sentence(error), code="RUNNER_UNAVAILABLE")
        case BridgeTimeout():
            return ApiError(504, _sentence(error))
        case ParameterError():
            details = [Detail(field="params", message=problem) for problem in error.problems]
            return ApiError(400, _sentence(error), details=details)
        case GraphError():
            return _from_graph(error)
        case Unknowable():
            details = [Detail(field=name, message="is not known of that time") for name in error.names]
            return ApiError(422, _sentence(error), code="HISTORY_MISSING", details=details)
        case RunnerError():
            return ApiError(400, _sentence(error))
        case _:
            return ApiError(
                500, "Something went wrong here; the request id names it in our log.", code=UNFORESEEN
            )


def _from_conflict(error: Conflict) -> ApiError:
    if not isinstance(error, KeyInUse):
        return ApiError(409, _sentence(error))
    details = [Detail(field="apiKey", message=_sentence(error))]
    return ApiError(409, _sentence(error), code="KEY_IN_USE", details=details)


def _from_graph(error: GraphError) -> ApiError:
    problems = error.problems
    sentence = f"nodeGraph.{problems[0]}" if problems[0].place else str(problems[0])
    if len(problems) > 1:
        sentence = f"The graph has {len(problems)} problems, the first: {sentence}"
    details = [
        Detail(field=f"nodeGraph.{problem.place}".rstrip("."), id=problem.node, message=problem.message)
        for problem in problems
    ]
    return ApiError(400, sentence, code="BAD_GRAPH", details=details)


def _from_http(error: HTTPException) -> ApiError:
    status = error.status_code if error.status_code in _HTTP_CODES else 400
    sentence = _SENTENCES.get(status, "The request cannot be answered.")
    return ApiError(status, sentence, headers=error.headers)


def _from_decoding(error: Exception) -> ApiError:
    text = str(error)
    at = _AT_FIELD.match(text)
    why, path = (at["why"], at["field"]) if at else (text, "")
    named = _UNKNOWN_FIELD.search(why) or _MISSING_FIELD.search(why)
    field = ".".join(part for part in (path, named["field"] if named else "") if part)
    if not field:
        return ApiError(400, f"The request cannot be read: {why}.", details=[Detail(message=why)])
    return ApiError(400, f"{field}: {why}.", details=[Detail(field=field, message=why)])


def _sentence(error: Exception) -> str:
    """The error's text as a sentence; a name it begins with keeps its spelling."""
    text = str(error)
    if text.partition(" ")[0].isalpha():
        text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."
