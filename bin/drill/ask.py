"""One question to the controls of a venue's stand-in (`exchanges/simulator/admin.py`)."""

from __future__ import annotations

from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from core.errors import RunnerError

TIMEOUT_S: Final = 20.0


def ask(base_url: str, method: str, what: str, body: object = None) -> Any:
    """Past the caller's proxies, which are for the world outside. Blocks; raises RunnerError for a refusal."""
    data = None if body is None else msgspec.json.encode(body)
    request = Request(  # noqa: S310 (an address of our own)
        f"{base_url}/simulator/{what}", data=data, method=method, headers={"Content-Type": "application/json"}
    )
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as answer:
            return msgspec.json.decode(answer.read())
    except HTTPError as error:
        said = error.read(300).decode(errors="replace")
        raise RunnerError(f"The simulator at {base_url} answered {error.code}: {said}") from error
