"""MarketData: one candle window per series, kept up to the last close; the only writer of the windows.

At each boundary it asks the feed for what has closed, again every half second until it is there or the slot's
candle deadline has passed, then tells the Evaluator and whoever watches the symbol. A feed that holds the future
is loaded whole: a window's views end at the slot they are asked for, so nothing looks ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from actors.feed import Feed, venue_of
from actors.journal import JournalBuffer
from actors.messages import (
    CandleClosed,
    CandlesTold,
    SeriesAdvanced,
    SeriesWanted,
    Subscribe,
    ToldAll,
    Unwatch,
    Watch,
)
from actors.runtime.behaviour import Behaviour, Context
from actors.windows import MAX_SERIES, Told, Windows
from core.backoff import Backoff
from core.candles import Appended, CandleColumns, CandleWindow
from core.errors import ImpossibleVenueData
from core.market import Series
from core.timeframe import candle_deadline, from_ms
from schema.records import CandleRow

FETCH_TIMEOUT_S = 20.0
FOREVER_S = 10 * 365 * 86_400.0
FOLLOW_AGAIN_S = 5.0
POLL_AGAIN_S = 0.5
SPARE_CANDLES = 1_000
"""Candles a live window keeps beyond the longest lookback asked for."""
MAX_CATCH_UP = 20_000
"""Candles a watcher may be behind, at most; two weeks of minutes."""
CATCH_UP_S = 0.2
"""How soon a watcher whose mailbox was full is told more."""
RELOAD = Backoff(min_s=0.5, max_s=30.0)
REFILL = Backoff(min_s=5.0, max_s=300.0)
MAX_REFILLS = 6
"""How often a window is loaded anew for a hole: a candle that was not there may be when asked again."""


class Boundary(msgspec.Struct, frozen=True, gc=False):
    """Candles close at this market time."""

    close_time: datetime


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """`until` None: the whole window was loaded; otherwise the candle closing then was asked for."""

    series: Series
    columns: CandleColumns
    until: datetime | None


class FetchFailed(msgspec.Struct, frozen=True, kw_only=True):
    series: Series
    until: datetime | None
    error: Exception


class FetchAgain(msgspec.Struct, frozen=True):
    series: Series
    until: datetime | None


class FollowEnded(msgspec.Struct, frozen=True):
    """The feed no longer hears what venues tell by themselves; without an error it never does."""

    error: Exception | None


class FollowAgain(msgspec.Struct, frozen=True):
    """The wait after the feed failed is over."""


class CatchUp(msgspec.Struct, frozen=True):
    """A watcher's mailbox was full: tell the rest."""

    series: Series


_NEW = frozenset({Appended.ADDED, Appended.ADDED_AFTER_GAP})


class MarketData(Behaviour):
    __slots__ = (
        "_failures",
        "_feed",
        "_journal",
        "_loading",
        "_lookback",
        "_next",
        "_preload",
        "_refills",
        "_told",
        "_windows",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        feed: Feed,
        windows: Windows,
        journal: JournalBuffer,
        preload: tuple[datetime, datetime] | None = None,
    ) -> None:
        """`preload`: load this whole range of a held feed at once (replay), not each candle as it closes."""
        super().__init__(ctx)
        self._feed = feed
        self._windows = windows
        self._journal = journal
        self._preload = preload
        self._lookback = windows.lookback
        self._told = windows.told
        self._loading: set[Series] = set()
        self._failures: dict[Series, int] = {}
        self._refills: dict[Series, int] = {}
        self._next: datetime | None = None

    def started(self) -> None:
        """After a restart: what was asked for before is loaded anew."""
        if not self._feed.holds_future:
            self._follow()
        for series in self._lookback:
            self._fetch(series, None)

    def receive(self, message: object) -> None:
        match message:
            case Subscribe():
                self._subscribe(message.series, message.lookback)
            case SeriesWanted():
                self._leave_others(message)
            case Watch():
                self._watch(message)
            case Unwatch():
                self._unwatch(message)
            case ToldAll():
                self._told_all(message)
            case Boundary():
                self._boundary(message.close_time)
            case Fetched():
                self._fetched(message)
            case FetchFailed():
                self._fetch_failed(message)
            case FetchAgain():
                if message.series in self._lookback:
                    self._fetch(message.series, message.until)
            case FollowEnded() | FollowAgain():
                self._follow_on(message)
            case CatchUp():
                self._tell_watchers(message.series)
                self._arm()
            case _:
                raise TypeError(f"market_data cannot handle {type(message).__name__}")

    def _subscribe(self, series: Series, lookback: int) -> None:
        held = self._lookback.get(series, 0)
        if held >= lookback or (held and self._preload is not None):
            return
        if series not in self._lookback and len(self._lookback) >= MAX_SERIES:
            return  # its slots are skipped for lack of candles
        self._lookback[series] = lookback
        self._fetch(series, None)

    def _leave_others(self, wanted: SeriesWanted) -> None:
        """What nobody looks at is asked for no more; whoever wants it again has it loaded anew."""
        if self._preload is not None:
            return
        for series in self._lookback.keys() - {*wanted.series, *self._told}:
            del self._lookback[series]
            self._windows.drop(series)
            self._loading.discard(series)
            self._failures.pop(series, None)
            self._refills.pop(series, None)

    # -- watchers -------------------------------------------------------------------------------

    def _finest(self, venue: str, symbol: str) -> Series:
        return Series(
            venue=venue_of(self._feed, venue),
            market=self._feed.market(symbol),
            symbol=symbol,
            timeframe=self._feed.finest(symbol),
        )

    def _watch(self, watch: Watch) -> None:
        series = self._finest(watch.venue, watch.symbol)
        told = Told(watch.since, watch.quiet if self._preload else None, watch.due)
        self._told.setdefault(series, {})[watch.watcher] = told
        behind = (self.ctx.clock.now() - watch.since) // series.timeframe.delta + 2
        self._subscribe(series, min(MAX_CATCH_UP, max(2, behind)))
        self._tell_watchers(series)
        self._arm()

    def _unwatch(self, unwatch: Unwatch) -> None:
        series = self._finest(unwatch.venue, unwatch.symbol)
        watchers = self._told.get(series, {})
        watchers.pop(unwatch.watcher, None)
        if not watchers:
            self._told.pop(series, None)

    def _told_all(self, ask: ToldAll) -> None:
        if self._preload and ask.until > self.ctx.clock.now():
            self.ctx.at(ask.until, ask)
            return
        series = self._finest(ask.venue, ask.symbol)
        self._tell_watchers(series)
        told = self._told.get(series, {}).get(ask.watcher)
        if told is not None:
            self.ctx.tell(
                ask.watcher, CandlesTold(symbol=ask.symbol, timeframe=series.timeframe, close_time=told.upto)
            )

    def _tell_watchers(self, series: Series) -> None:
        window, watchers = self._windows.get(series), self._told.get(series)
        if window is None or not watchers or window.last_close is None:
            return
        reach = min(window.last_close, series.timeframe.floor(self.ctx.clock.now()))
        behind = [
            watcher for watcher, told in watchers.items() if not self._tell(watcher, series, told, reach)
        ]
        if behind:
            self.ctx.after(CATCH_UP_S, CatchUp(series))

    def _tell(self, watcher: str, series: Series, told: Told, reach: datetime) -> bool:
        """Whether the watcher now has every candle it wants up to `reach`; one that is gone needs none."""
        window, step = self._windows.get(series), series.timeframe
        if told.upto >= reach or window is None:
            return True
        columns = window.columns
        stop = columns.first_after(reach, step)
        # `upto` may lie inside a candle, where a position was opened: that candle is told too.
        while (number := told.next_of(columns, step, stop)) < stop:
            candle = columns.candle(number)
            close_time = from_ms(candle.open_time_ms + step.ms)
            closed = CandleClosed(symbol=series.symbol, timeframe=step, close_time=close_time, candle=candle)
            if not self.ctx.tell(watcher, closed):
                return not self._is_there(watcher)
            told.upto = close_time
        told.upto = reach
        return True

    def _is_there(self, watcher: str) -> bool:
        try:
            return self.ctx.ref(watcher).is_alive()
        except LookupError:
            return False

    # -- boundaries -----------------------------------------------------------------------------

    def _arm(self) -> None:
        """Wake at the next close of any series that has to be looked after."""
        now, nearest = self.ctx.clock.now(), self._next
        closes = (
            self._next_told()
            if self._preload
            else (each.timeframe.next_close(now) for each in self._lookback)
        )
        for close in closes:
            if close <= now:
                continue  # its watcher could not take it yet: `CatchUp` has its timer
            if nearest is None or close < nearest:
                nearest = close
        if nearest is not None and nearest is not self._next:
            self._next = nearest
            self.ctx.at(nearest, Boundary(nearest))

    def _next_told(self) -> Iterator[datetime]:
        """Of what is there already, when the next candle closes that each watcher wants to hear of."""
        for series, watchers in self._told.items():
            window = self._windows.get(series)
            if window is None:
                continue
            columns, step = window.columns, series.timeframe
            for told in watchers.values():
                number = told.next_of(columns, step, len(columns))
                if number < len(columns):
                    yield from_ms(int(columns.open_time[number]) + step.ms)

    def _boundary(self, close_time: datetime) -> None:
        if self._next == close_time:
            self._next = None
        if self._preload:
            for series in list(self._told):
                self._tell_watchers(series)
        else:
            for series in self._lookback:
                if series.timeframe.is_slot(close_time) and series not in self._loading:
                    self._fetch(series, close_time)
        self._arm()

    # -- what comes by itself -------------------------------------------------------------------

    def _follow(self) -> None:
        self.ctx.run(self._feed.follow(), lambda _: FollowEnded(None), FollowEnded, timeout_s=FOREVER_S)

    def _follow_on(self, news: FollowEnded | FollowAgain) -> None:
        if isinstance(news, FollowAgain):
            self._follow()
        elif news.error is not None:
            self.ctx.after(FOLLOW_AGAIN_S, FollowAgain())

    # -- fetching -------------------------------------------------------------------------------

    def _fetch(self, series: Series, until: datetime | None) -> None:
        if until is None:
            self._loading.add(series)
        start, end = self._range(series, until)
        self.ctx.run(
            self._feed.candles(series, start, end),
            lambda columns: Fetched(series=series, columns=columns, until=until),
            lambda error: FetchFailed(series=series, until=until, error=error),
            timeout_s=FETCH_TIMEOUT_S,
        )

    def _range(self, series: Series, until: datetime | None) -> tuple[datetime, datetime]:
        window, step = self._windows.get(series), series.timeframe.delta
        now = self.ctx.clock.now()
        if until is not None:
            reach = None if window is None else window.last_close
            return reach if reach is not None else until - step, until
        if self._preload is not None:
            return self._preload
        end = series.timeframe.floor(now)
        return end - step * (self._lookback[series] + 1), end

    def _fetched(self, fetched: Fetched) -> None:
        series = fetched.series
        if series not in self._lookback:
            return  # left meanwhile
        if fetched.until is None:
            self._load(series, fetched.columns)
        else:
            self._append(series, fetched.columns, fetched.until)
        self._tell_watchers(series)

    def _load(self, series: Series, columns: CandleColumns) -> None:
        capacity = max(len(columns), 1) if self._preload else self._lookback[series] + SPARE_CANDLES
        window = CandleWindow(series.timeframe, capacity)
        try:
            window.load(columns)
        except ImpossibleVenueData as error:
            self._fetch_failed(FetchFailed(series=series, until=None, error=error))
            return
        self._windows.put(series, window)
        self._failures.pop(series, None)
        self._loading.discard(series)
        if window.has_hole:
            self._refill(series)
        else:
            self._refills.pop(series, None)
        if window.last_close is not None:
            self._advanced(series, window.last_close)
        if not self._preload and window.last_close != series.timeframe.floor(self.ctx.clock.now()):
            self._fetch(series, series.timeframe.floor(self.ctx.clock.now()))  # a boundary passed meanwhile
        self._arm()

    def _append(self, series: Series, columns: CandleColumns, until: datetime) -> None:
        window = self._windows.get(series)
        if window is None:
            return
        for candle in columns:
            try:
                appended = window.append(candle)
            except ImpossibleVenueData:
                continue  # it enters nothing: slots are skipped for the hole it leaves (I10)
            if appended in _NEW:
                self._journal.closed(CandleRow(series=series, candle=candle))
            if appended is Appended.ADDED_AFTER_GAP:
                self._refills.pop(series, None)
                self._refill(series)
        self._failures.pop(series, None)
        if window.last_close is not None and window.last_close >= until:
            self._advanced(series, until)
            self.ctx.tell("scheduler", SeriesAdvanced(series=series, close_time=until))
        elif self.ctx.clock.now() < candle_deadline(until):
            self.ctx.after(POLL_AGAIN_S, FetchAgain(series, until))

    def _refill(self, series: Series) -> None:
        """Until the hole is filled, or has left the window, every slot of the series is skipped (I10)."""
        attempt = self._refills.get(series, 0)
        if not self._preload and attempt < MAX_REFILLS:
            self._refills[series] = attempt + 1
            self.ctx.after(REFILL.delay_s(attempt, 0.0), FetchAgain(series, None))

    def _advanced(self, series: Series, close_time: datetime) -> None:
        self.ctx.ref("evaluator").tell(SeriesAdvanced(series=series, close_time=close_time))

    def _fetch_failed(self, failed: FetchFailed) -> None:
        """A market-data failure: slots are skipped meanwhile, no run is blamed (decision 22)."""
        if failed.series not in self._lookback:
            return
        if failed.until is not None and self.ctx.clock.now() >= candle_deadline(failed.until):
            return
        attempt = self._failures.get(failed.series, 0)
        self._failures[failed.series] = attempt + 1
        self.ctx.after(RELOAD.delay_s(attempt, 0.0), FetchAgain(failed.series, failed.until))
