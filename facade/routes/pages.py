"""The pages and their files: a document each, plain modules beside them, nothing from anywhere else."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import jinja2
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from core.timeframe import Timeframe
from facade.access import Access, is_local
from facade.endpoint import Call, route
from facade.middleware import SECURITY_HEADERS
from facade.overview import OverviewReads
from facade.price_chart import MarketView
from facade.routes.overview import OverviewRoutes

FACADE: Final = Path(__file__).parent.parent
STATIC: Final = FACADE / "static"
CHART_STYLE_HASH: Final = "sha256-3pRED1tOXas1FXFoPb9TGCjmYe9XQsmO9OV23khV2nY="
"""Of the one style sheet the chart library writes into the page itself: that of its attribution's link."""
_POLICY: Final = "Content-Security-Policy"


class Files(StaticFiles):
    """Asked about at each load and answered 304: after an upgrade no page runs on old modules."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def page_routes(market: MarketView, reads: OverviewReads) -> list[BaseRoute]:
    """The pages at `/` and `/strategies`, their files and data; for `build_app(pages=…)`."""
    return [
        route("GET", "/", show, Access.ANYONE, produces="text/html", reads_nothing=True),
        route("GET", "/strategies", strategies, Access.ANYONE, produces="text/html", reads_nothing=True),
        Route("/favicon.ico", favicon, methods=["GET"]),
        Mount("/static", Files(directory=STATIC), name="static"),
        *OverviewRoutes(market, reads).routes(),
    ]


async def show(call: Call) -> Response:
    """The document; in a demo, a caller on this machine is logged in with it."""
    demo = call.services.demo
    html = _templates().get_template("index.html.j2").render(page="runs", demo=demo is not None)
    response = HTMLResponse(html, headers={_POLICY: _policy(), "Cache-Control": "no-store"})
    if demo is not None and is_local(call.request):
        demo.log_in(call.request, response)
    return response


async def strategies(call: Call) -> Response:
    """The document on which users write, try, deploy and subscribe to strategies."""
    settings = call.settings
    html = (
        _templates()
        .get_template("strategies.html.j2")
        .render(
            page="strategies",
            demo=call.services.demo is not None,
            symbols=settings.symbol_whitelist,
            timeframes=[each.value for each in Timeframe],
            max_leverage=settings.max_leverage,
        )
    )
    return HTMLResponse(html, headers={_POLICY: _policy(), "Cache-Control": "no-store"})


async def favicon(request: Request) -> Response:
    return FileResponse(STATIC / "favicon.svg", media_type="image/svg+xml")


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(FACADE / "pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _policy() -> str:
    return SECURITY_HEADERS[_POLICY].replace("style-src 'self'", f"style-src 'self' '{CHART_STYLE_HASH}'")
