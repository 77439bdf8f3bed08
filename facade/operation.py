"""What a route takes and answers, read off its handler: requests are decoded with it and /openapi.json is made of it.

A handler is `async def name(call, body?, query?) -> Answer`: its annotations are the one place where the types
stand, the first line of its docstring is the summary. `-> Answer | ThenAnswer`: the second answers `?asOf=`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from facade.access import Access
from facade.schemas.form import Answer, Asked, Body, Nothing

JSON: Final = "application/json"
_WRITING: Final = frozenset({"POST", "PUT", "PATCH"})
_PATH_FIELD: Final = re.compile(r"{(\w+)}")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One method of one path. `answer` None: not JSON of ours, but `produces`. `past`: the answer under `?asOf=`.

    `consumes`: media types of the body, JSON in each.
    """

    method: str
    path: str
    access: Access
    summary: str
    description: str
    body: type[Body] | None
    query: type[Asked] | None
    answer: type[Answer] | None
    past: type[Answer] | None
    produces: str
    consumes: tuple[str, ...]
    status: int
    needs_runner: bool
    reads_nothing: bool
    idempotent: bool

    @property
    def path_fields(self) -> tuple[str, ...]:
        return tuple(_PATH_FIELD.findall(self.path))


class OperationRoute(Route):
    """A Starlette route that knows its operation."""

    def __init__(self, operation: Operation, endpoint: Callable[..., Any]) -> None:
        super().__init__(
            operation.path,
            endpoint,
            methods=[operation.method],
            name=f"{operation.method} {operation.path}",
        )
        self.operation = operation


def operation_of(
    method: str,
    path: str,
    handler: Callable[..., Any],
    access: Access,
    *,
    status: int,
    needs_runner: bool,
    produces: str,
    consumes: Sequence[str] = (JSON,),
    reads_nothing: bool,
    idempotent: bool | None,
) -> Operation:
    """`idempotent` None: every POST of a caller with a name.

    Raises TypeError for a handler whose annotations are not of that form.
    """
    hints = get_type_hints(handler)
    answer, past = hints.pop("return"), None
    if isinstance(answer, UnionType):
        answer, past = get_args(answer)
    if answer is Response:
        answer = None
    elif not issubclass(answer, Answer):
        raise TypeError(f"{method} {path}: a handler answers an Answer or a Response")
    body, query = hints.pop("body", None), hints.pop("query", None)
    if set(hints) != {"call"}:
        raise TypeError(f"{method} {path}: a handler takes call, body and query, not {', '.join(hints)}")
    if body is None and method in _WRITING and not reads_nothing:
        body = Nothing
    keyed = answer is not None and access in (Access.USER, Access.ADMIN)
    if idempotent is None:
        idempotent = method == "POST" and keyed
    elif idempotent and not keyed:
        raise TypeError(
            f"{method} {path}: without a caller and an Answer there is nothing to keep under a key"
        )
    summary, _, description = (inspect.getdoc(handler) or "").partition("\n")
    return Operation(
        method=method,
        path=path,
        access=access,
        summary=summary,
        description=description.strip(),
        body=body,
        query=query,
        answer=answer,
        past=past,
        produces=produces,
        consumes=tuple(consumes),
        status=status,
        needs_runner=needs_runner,
        reads_nothing=reads_nothing,
        idempotent=idempotent,
    )
