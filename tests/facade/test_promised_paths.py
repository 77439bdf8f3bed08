"""Paths that clients were promised stay what they are: each is a route, and stands in docs/api.md."""

from __future__ import annotations

import re
from pathlib import Path

from facade.app import INTERFACE

DOCS = Path(__file__).parents[2] / "docs" / "api.md"
PROMISED = """
POST /api/runner/cron
GET|POST /api/cron/strategies
GET|POST /api/cron/strategy-executor
POST /api/runner/execute-tick
GET /api/runner/status
GET /api/runner/tick-runs
POST /api/runner/simulate-trade-result
PUT /api/runner/kill-switch
POST /api/runner/flatten
GET /api/runner/actors
GET|POST /api/strategies
GET|PATCH|DELETE /api/strategies/{id}
PUT /api/strategies/{id}/status
POST /api/strategies/{id}/start
POST /api/strategies/{id}/pause
POST /api/strategies/{id}/resume
POST /api/strategies/{id}/stop
POST /api/strategies/{id}/execute-tick
POST /api/strategies/deploy
POST /api/strategies/{id}/deploy
PUT /api/strategies/{id}/settings
POST /api/strategies/{id}/subscribe
GET /api/strategies/subscriptions
GET|PUT|DELETE /api/strategies/subscriptions/{id}
POST /api/strategies/subscriptions/{id}/pause
POST /api/strategies/subscriptions/{id}/resume
GET /api/strategies/subscriptions/{id}/stats
GET /api/strategies/{id}/stats
GET /api/strategies/{id}/executions
GET /api/strategies/{id}/logs
GET /api/strategies/{id}/events
GET /api/strategies/{id}/orders
GET /api/strategies/{id}/trades
GET /api/strategies/{id}/positions
GET /api/strategies/{id}/stream
GET /api/runs/{id}/stream
GET /api/marketplace
POST /api/strategies/validate
POST /api/convert
GET|POST /api/connections
GET|PATCH|DELETE /api/connections/{id}
POST /api/connections/{id}/test
PUT /api/connections/{id}/kill-switch
POST /api/connections/{id}/rotate
GET /api/connections/{id}/balance
GET /api/connections/{id}/positions
GET /api/connections/{id}/equity
GET|POST /api/portfolios
GET|PATCH|DELETE /api/portfolios/{id}
GET /api/portfolios/{id}/equity
GET /api/portfolios/{id}/trades
GET /api/portfolios/{id}/positions
GET|PUT /api/notifications
GET|PATCH /api/config
GET /api/risk
PUT /api/risk/limits
POST /api/risk/{userId}/resume
GET /api/market-data/candles
GET /api/market-data/coverage
POST /api/market-data/backfill
POST /api/backtests
GET /api/backtests/{id}
GET /api/backtests/{id}/equity
GET /api/backtests/{id}/trades
GET /api/backtests/{id}/report
POST /api/backtests/{id}/go-live
GET /api/signals
GET /api/signals/stream
GET /api/events/stream
GET /healthz
GET /readyz
GET /api/health
GET /metrics
GET /openapi.json
GET /docs
"""


def promised() -> list[str]:
    lines = [line.split(" ") for line in PROMISED.split("\n") if line]
    return [f"{method} {path}" for methods, path in lines for method in methods.split("|")]


def test_every_promised_path_is_a_route() -> None:
    routes = {f"{each.operation.method} {each.operation.path}" for each in INTERFACE}
    assert [each for each in promised() if each not in routes] == []


def test_every_promised_path_stands_in_the_docs() -> None:
    written = {
        f"{method} {path}"
        for method, path in re.findall(r"^\| (\w+) `([^`]+)` \|", DOCS.read_text(), re.MULTILINE)
    }
    assert [each for each in promised() if each not in written] == []
