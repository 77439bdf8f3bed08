"""Alerts of the installation, for its operator."""

from __future__ import annotations

from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S
from facade.endpoint import Call, route
from facade.operation import OperationRoute
from facade.schemas.alerts import AlertsAnswer, AlertsAsked, AlertShown


async def listed(call: Call, query: AlertsAsked) -> AlertsAnswer:
    """What is wrong with the installation, and what was."""
    rows, limit = call.services.runner.alerts, query.limit
    found = await call.bridge.call(
        lambda: rows.latest(open_only=query.open, limit=limit + 1, before=query.cursor),
        timeout_s=STORE_TIMEOUT_S,
    )
    page = found[:limit]
    return AlertsAnswer(
        alerts=tuple(
            AlertShown(
                kind=each.kind,
                subject=each.subject,
                detail=each.detail,
                raised_at=each.raised_at,
                cleared_at=each.cleared_at,
            )
            for each in page
        ),
        next_cursor=page[-1].id if len(found) > limit else None,
    )


ROUTES: list[OperationRoute] = [route("GET", "/api/alerts", listed, Access.ADMIN)]
