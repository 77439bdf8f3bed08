"""`Idempotency-Key`: a request repeated under its key is answered again, not carried out again.

What was refused before anything began (a body that does not decode, a token that does not hold) is not kept, nor is
a refusal that changed nothing; a failure leaves the request to be tried again with the ids it had.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import uuid4

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from core.ids import UserId
from facade.bridge import (
    STORE_TIMEOUT_S,
    Attempt,
    Bridge,
    BridgeTimeout,
    Busy,
    IdempotencyKeys,
    Kept,
    KeyedRequest,
    Reused,
    RunnerAway,
    StoreUnavailable,
    TooManyKeys,
)
from facade.errors import ApiError, api_error, bad_field, too_many

KEY_HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotency-Replayed"
KEY_FORM: Final = "[A-Za-z0-9._:-]{8,64}"
_KEY: Final = re.compile(KEY_FORM)
_ASK_AGAIN_S: Final = 1
_JSON: Final = "application/json"
_NOT_WRITTEN: Final = (StoreUnavailable, BridgeTimeout, RunnerAway)


def idempotency_key(request: Request) -> str | None:
    """ApiError 400 for a key that is none."""
    key = request.headers.get(KEY_HEADER)
    if key is not None and not _KEY.fullmatch(key):
        raise bad_field(KEY_HEADER, "has 8 to 64 letters, digits and . _ : -")
    return key


async def once(
    request: Request,
    bridge: Bridge,
    key: str,
    *,
    user_id: UserId,
    operation: str,
    carry_out: Callable[[Attempt], Awaitable[Response]],
) -> Response:
    """The answer of `carry_out`, kept; or the one kept before. Raises what `carry_out` raises.

    `operation`: method and path as the route has them.
    """
    asked = KeyedRequest(
        user_id=user_id,
        key=key,
        operation=operation,
        content=f"{request.url.path}?{request.url.query}\n".encode() + await request.body(),
    )
    keys = bridge.runner.idempotency
    begun = await bridge.call(lambda: keys.begin(asked, seed=uuid4()), timeout_s=STORE_TIMEOUT_S)
    match begun:
        case Kept():
            return _again(request, begun)
        case Busy():
            raise ApiError(
                409,
                "A request with this Idempotency-Key is still being carried out.",
                code="IDEMPOTENCY_KEY_IN_USE",
                headers={"Retry-After": str(_ASK_AGAIN_S)},
            )
        case Reused():
            raise ApiError(
                422,
                "This Idempotency-Key was used for another request.",
                code="IDEMPOTENCY_KEY_REUSED",
            )
        case TooManyKeys():
            raise too_many("Too many idempotency keys were used within a day.", 3_600)
    try:
        response = await carry_out(begun)
    except Exception as error:
        refused = api_error(error).status
        await _give_up(bridge, keys, asked, begun, changed_nothing=400 <= refused < 500)
        raise
    # Where this fails it was carried out all the same: a repeat finds what was made by its ids, once this attempt
    # counts as dead.
    with suppress(*_NOT_WRITTEN):
        await bridge.call(
            lambda: keys.finish(asked, begun, status=response.status_code, answer=bytes(response.body)),
            timeout_s=STORE_TIMEOUT_S,
        )
    return response


async def _give_up(
    bridge: Bridge, keys: IdempotencyKeys, asked: KeyedRequest, attempt: Attempt, *, changed_nothing: bool
) -> None:
    with suppress(*_NOT_WRITTEN):  # it counts as dead in a minute
        await bridge.call(
            lambda: keys.give_up(asked, attempt, changed_nothing=changed_nothing),
            timeout_s=STORE_TIMEOUT_S,
        )


def _again(request: Request, kept: Kept) -> Response:
    """The kept answer under this request's own id."""
    fields = msgspec.json.decode(kept.answer, type=dict[str, msgspec.Raw])
    fields["requestId"] = msgspec.Raw(msgspec.json.encode(request.state.request_id))
    return Response(
        msgspec.json.encode(fields), kept.status, headers={REPLAYED_HEADER: "true"}, media_type=_JSON
    )
