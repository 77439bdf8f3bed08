"""The interface described: for machines and for people, without anything from anywhere else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from core.version import VERSION
from facade.access import Access
from facade.endpoint import Call, route
from facade.openapi import Document, document
from facade.operation import JSON, OperationRoute

_PAGES: Final = Path(__file__).parent.parent / "pages"


async def description(call: Call) -> Response:
    """The interface as OpenAPI 3.1."""
    return Response(msgspec.json.encode(described(call.request)), media_type=JSON)


async def page(call: Call) -> Response:
    """The interface as a page to read."""
    shown = described(call.request)
    by_tag: dict[str, list[dict[str, Any]]] = {}
    for path, methods in shown["paths"].items():
        for method, operation in methods.items():
            each = {"method": method.upper(), "path": path, **operation}
            by_tag.setdefault(operation["tags"][0], []).append(each)
    html = _template().render(info=shown["info"], by_tag=by_tag, schemas=shown["components"]["schemas"])
    return HTMLResponse(html)


def described(request: Request) -> Document:
    """The description of the application that got the request; made once for each application."""
    state = request.app.state
    if not hasattr(state, "openapi"):
        operations = [each.operation for each in request.app.routes if isinstance(each, OperationRoute)]
        state.openapi = document(operations, version=VERSION)
    known: Document = state.openapi
    return known


def type_words(schema: dict[str, Any]) -> str:
    """A field's type as people read it."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(type_words(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(str(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_words(schema.get('items') or {})}"
    kind = str(schema.get("format") or schema.get("type") or "any")
    bounds = [
        f"{word} {schema[key]}"
        for key, word in (
            ("minimum", "from"), ("maximum", "to"), ("minLength", "at least"), ("maxLength", "at most"),
        )
        if key in schema
    ]  # fmt: skip
    return f"{kind}, {' '.join(bounds)}" if bounds else kind


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PAGES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["type_words"] = type_words
    return environment.get_template("docs.html.j2")


ROUTES: list[OperationRoute] = [
    route("GET", "/openapi.json", description, Access.ANYONE, reads_nothing=True),
    route("GET", "/docs", page, Access.ANYONE, produces="text/html", reads_nothing=True),
]
