"""Backtests of the caller: replayed in the background, looked at, and gone live with."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import msgspec
from starlette.responses import Response

from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId
from core.job import JobKind
from core.run import Run, RunSettings, TradingMode
from core.strategies.external import replayable
from core.symbols import parse_symbol
from core.timeframe import Timeframe, from_ms
from facade.access import Access
from facade.bridge import (
    STORE_TIMEOUT_S,
    Account,
    AccountKind,
    BacktestJob,
    BacktestRequest,
    Job,
    OpenRun,
    strategy_asked_for,
)
from facade.code import content_of
from facade.creation import paper_account
from facade.cursor import cursor_text, read_cursor
from facade.decoding import within
from facade.endpoint import Call, route
from facade.errors import bad_field, not_found
from facade.jobs import add_job, done_job, job_file, job_shown, own_job
from facade.making import checked
from facade.moments import sane_range
from facade.operation import OperationRoute
from facade.run_settings import settings_of
from facade.schemas.backtests import (
    BacktestAnswer,
    BacktestAsked,
    BacktestChartAnswer,
    BacktestEquityAnswer,
    BacktestsAnswer,
    BacktestShown,
    BacktestTradesAnswer,
    EquityPointShown,
    GoLive,
    StartBacktest,
    WentLiveAnswer,
)
from facade.schemas.form import Page
from facade.views import run_shown, strategy_shown
from facade.work.files import CHART, EQUITY, REPORT, TRADES

MAX_COST_PCT: Final = 10
MAKER_FEE_PCT: Final = Decimal("0.02")
"""As a paper account has it by default; never more than the taker fee that is asked for."""
_NUMBER: Final = re.compile(r"\d{1,9}")
_REPORT_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox allow-scripts"
)
"""The page carries its scripts inside and loads nothing; sandboxed, it has no origin and reaches nothing of ours."""


async def start(call: Call, body: StartBacktest) -> BacktestAnswer:
    """Replay a strategy over stored candles, in the background."""
    request = await _request(call, body)
    job = BacktestJob(venue=_venue(call, body.venue), request=request)
    return _answer(await add_job(call, JobKind.BACKTEST, job))


async def list_backtests(call: Call, query: Page) -> BacktestsAnswer:
    """The caller's backtests."""
    jobs, user_id, limit = call.services.runner.jobs, call.user_id, query.limit
    before = read_cursor(query.cursor)
    found = await call.bridge.call(
        lambda: jobs.of_user(user_id, JobKind.BACKTEST, limit=limit + 1, before=before),
        timeout_s=STORE_TIMEOUT_S,
    )
    page = found[:limit]
    return BacktestsAnswer(
        backtests=tuple(_shown(each) for each in page),
        next_cursor=cursor_text(page[-1].created_at, page[-1].id) if len(found) > limit else None,
    )


async def show(call: Call, query: BacktestAsked) -> BacktestAnswer:
    """One backtest: how far it is, and its figures once it is done."""
    return _answer(await own_job(call, JobKind.BACKTEST, wait_s=query.wait_sec))


async def equity(call: Call) -> BacktestEquityAnswer:
    """Equity and drawdown of a backtest."""
    job = await done_job(call, JobKind.BACKTEST)
    rows = msgspec.json.decode(await job_file(call, job, EQUITY), type=list[tuple[int, float, float]])
    return BacktestEquityAnswer(
        points=tuple(
            EquityPointShown(at=from_ms(at_ms), equity_usdt=amount, drawdown_usdt=depth)
            for at_ms, amount, depth in rows
        )
    )


async def chart(call: Call) -> BacktestChartAnswer:
    """Candles of a backtest, as many as a page shows well."""
    job = await done_job(call, JobKind.BACKTEST)
    told: dict[str, Any] = msgspec.json.decode(await job_file(call, job, CHART))
    return msgspec.convert(told, BacktestChartAnswer)


async def trades(call: Call, query: Page) -> BacktestTradesAnswer:
    """Round trips of a backtest."""
    first = _place(query.cursor)
    job = await done_job(call, JobKind.BACKTEST)
    rows: list[dict[str, Any]] = msgspec.json.decode(await job_file(call, job, TRADES))
    end = first + query.limit
    return BacktestTradesAnswer(
        trades=tuple(rows[first:end]), total=len(rows), next_cursor=str(end) if end < len(rows) else None
    )


async def report(call: Call) -> Response:
    """The report of a backtest, a page that stands alone."""
    job = await done_job(call, JobKind.BACKTEST)
    headers = {"Content-Security-Policy": _REPORT_POLICY, "Cache-Control": "no-store"}
    return Response(await job_file(call, job, REPORT), media_type="text/html; charset=utf-8", headers=headers)


async def go_live(call: Call, body: GoLive) -> WentLiveAnswer:
    """A strategy and a draft run with the settings of a backtest."""
    asked = _asked(await done_job(call, JobKind.BACKTEST))
    request = asked.request
    strategy = StrategyDefinition(
        id=StrategyId(call.new_id()),
        owner_id=call.user_id,
        name=body.name or f"{request.template} {request.symbol} {request.timeframe}",
        template=request.template,
        kind=request.kind,
        source=request.source,
        parameters=request.parameters,
        symbol=request.symbol,
        timeframe=request.timeframe,
        venue=_venue(call, asked.venue),
    )
    run_id = RunId(call.new_id())
    account, is_new = await _account(call, body, strategy, request)
    run = Run(
        id=run_id,
        user_id=call.user_id,
        strategy=strategy,
        account_id=account.id,
        trading_mode=TradingMode.PAPER if account.kind is AccountKind.PORTFOLIO else TradingMode.LIVE,
        settings=request.settings,
    )
    made = await call.bridge.ask(lambda store: store.run(run_id)) if call.is_repeat else None
    if made is None:
        op = OpenRun(run=run, strategy=strategy, account=account if is_new else None)
        await call.bridge.ask(lambda store: store.arrange(op))
        call.services.runner.rows_changed()
    now = call.services.runner.market_now()
    shown = run_shown(run, now)
    return WentLiveAnswer(
        id=strategy.id,
        strategy=strategy_shown(strategy, [shown], call.user_id, now),
        run_id=run.id,
        run=shown,
    )


async def _account(
    call: Call, body: GoLive, strategy: StrategyDefinition, request: BacktestRequest
) -> tuple[Account, bool]:
    """The caller's account that is named, of that kind, or 404; without one a portfolio on the backtest's terms."""
    if body.connection_id is not None and body.portfolio_id is not None:
        raise bad_field("portfolioId", "is given beside connectionId; a run trades on one account")
    wanted = body.connection_id or body.portfolio_id
    if wanted is None:
        new = paper_account(AccountId(call.new_id()), call.user_id, strategy, request.settings.capital)
        return msgspec.structs.replace(
            new,
            taker_fee_pct=request.taker_fee_pct,
            maker_fee_pct=request.maker_fee_pct,
            slippage_pct=request.slippage_pct,
        ), True
    kind = AccountKind.PORTFOLIO if body.connection_id is None else AccountKind.CONNECTION
    found = await call.bridge.ask(lambda store: store.account(AccountId(wanted)))
    if found is None or found.user_id != call.user_id or found.kind is not kind:
        raise not_found()
    return found, False


async def _request(call: Call, body: StartBacktest) -> BacktestRequest:
    content = await content_of(call, body, symbol=body.symbol, timeframe=body.timeframe)
    replayable(content.kind)
    sane_range(body.start, body.end)
    fee = within("feePct", body.fee_pct, 0, MAX_COST_PCT)
    limits, user_id = call.services.runner.limits, call.user_id
    own = await call.bridge.call(lambda: limits.of(user_id), timeout_s=STORE_TIMEOUT_S)
    request = BacktestRequest(
        template=content.template,
        kind=content.kind,
        source=content.source,
        symbol=parse_symbol(body.symbol),
        timeframe=Timeframe.parse(body.timeframe),
        parameters={**content.defaults, **body.strategy_params},
        start=body.start,
        end=body.end,
        settings=settings_of(body, RunSettings(), capital=body.capital),
        limits=own.limits if body.gates else None,
        taker_fee_pct=fee,
        maker_fee_pct=min(fee, MAKER_FEE_PCT),
        slippage_pct=within("slippagePct", body.slippage_pct, 0, MAX_COST_PCT),
    )
    whole = checked(strategy_asked_for(request))
    return msgspec.structs.replace(request, source=whole.source, parameters=whole.parameters)


def _venue(call: Call, named: str | None) -> str:
    venues = call.services.runner.venues
    if named is not None and named not in venues:
        raise bad_field("venue", f"must be one whose candles there are: {', '.join(venues)}")
    return named or venues[0]


def _asked(job: Job) -> BacktestJob:
    return msgspec.convert(job.params, BacktestJob)


def _shown(job: Job) -> BacktestShown:
    asked = _asked(job)
    return BacktestShown(
        job=job_shown(job),
        template=asked.request.template,
        params=asked.request.parameters,
        venue=asked.venue,
        symbol=asked.request.symbol,
        timeframe=asked.request.timeframe,
        summary=None if job.result is None else job.result["summary"],
    )


def _answer(job: Job) -> BacktestAnswer:
    told = job.result or {}
    return BacktestAnswer(
        id=job.id,
        backtest=_shown(job),
        candles=told.get("candles"),
        seconds=told.get("seconds"),
        replayed=told.get("replayed"),
        open_position=told.get("openPosition"),
        ticks=tuple(told.get("ticks", ())),
    )


def _place(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if _NUMBER.fullmatch(cursor) is None:
        raise bad_field("cursor", "must be one that a page before gave")
    return int(cursor)


ROUTES: list[OperationRoute] = [
    route("POST", "/api/backtests", start, Access.USER, status=202),
    route("GET", "/api/backtests", list_backtests, Access.USER),
    route("GET", "/api/backtests/{id}", show, Access.USER),
    route("GET", "/api/backtests/{id}/equity", equity, Access.USER),
    route("GET", "/api/backtests/{id}/chart", chart, Access.USER),
    route("GET", "/api/backtests/{id}/trades", trades, Access.USER),
    route("GET", "/api/backtests/{id}/report", report, Access.USER, produces="text/html"),
    route("POST", "/api/backtests/{id}/go-live", go_live, Access.USER, status=201),
]
