"""One venue host as all tenants of a process share it: connections, budgets, turns and bans."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import RunnerError
from exchanges.budgets import HostBudget, SharedBudget, Ticket
from exchanges.errors import Banned, RateLimited
from exchanges.http import HttpPool
from exchanges.limits import Limits, said
from exchanges.web_socket import Sleep
from exchanges.wire import Answer, NoAnswer, Request, Send

MAX_WAIT_S: Final = 3.0
"""Less than the venues' windows for time stamps: what has waited longer would be refused for its age."""
LOOK_AGAIN_S: Final = 1.0
"""How long the wait for a window's end goes on without a look at the clock."""
ASK_AGAIN_S: Final = 1.0
"""Pause before a share is asked for again, after one that could not be had."""


class HostLoad(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what one address allows is used, and for how long nothing may be sent there."""

    host: str
    weight: int
    limit: int
    waiting: int
    paused_s: float


class VenueHost:
    """`close` it. `shared` None: this process has the address for itself. Windows are of the clock's market time."""

    def __init__(
        self,
        pool: HttpPool,
        limits: Limits,
        *,
        clock: Clock,
        shared: SharedBudget | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._pool = pool
        self._limits = limits
        self._clock = clock
        self._sleep = sleep
        self._shared = shared
        self._budget = HostBudget(limits, shared=shared is not None)
        self._banned_until: datetime | None = None
        self._turns: dict[Ticket, asyncio.Future[None]] = {}
        self._doorkeeper: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return len(self._turns)

    def load(self, host: str) -> HostLoad:
        """As it is now; may be read from another thread."""
        weight, paused_s = self._budget.seen(self._now_s())
        banned = self._banned_until
        banned_s = 0.0 if banned is None else (banned - self._clock.now()).total_seconds()
        return HostLoad(
            host=host,
            weight=weight,
            limit=self._limits.weight,
            waiting=self.waiting,
            paused_s=max(0.0, paused_s, banned_s),
        )

    def bound(self, *, tenant: str, account: str) -> Send:
        """One tenant's way here with one account."""

        async def send(request: Request, *, timeout_s: float) -> Answer:
            return await self.send(request, tenant=tenant, account=account, timeout_s=timeout_s)

        return send

    async def send(self, request: Request, *, tenant: str, account: str, timeout_s: float) -> Answer:
        """Raises as `Send` does. `timeout_s` counts the wait for a turn."""
        began_s = self._clock.monotonic()
        self._refuse_banned()
        ticket = Ticket(tenant=tenant, account=account, cost=request.cost)
        if not self._budget.try_take(ticket, self._now_s()):
            await self._turn(ticket, min(timeout_s, MAX_WAIT_S))
            self._refuse_banned()
            timeout_s -= self._clock.monotonic() - began_s
            if timeout_s <= 0:
                raise NoAnswer(f"The turn at {self._pool.host} came too late.", timed_out=True, sent=False)
        if self._shared is not None:
            self._ask_for_share(request.cost.weight)
        answer = await self._pool.send(request, timeout_s=timeout_s)
        self._heed(account, answer)
        return answer

    def banned(self, until: datetime) -> None:
        """The address is banned, as this process or another has heard: nobody sends, whoever waits is refused."""
        if self._banned_until is None or until > self._banned_until:
            self._banned_until = until
            for ticket in self._budget.all_waiting():
                self._budget.give_up(ticket)
                turn = self._turns.get(ticket)
                if turn is not None and not turn.done():
                    turn.set_exception(self._ban(until))

    async def close(self) -> None:
        tasks = [task for task in (self._doorkeeper, self._asking, *self._telling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._pool.close()

    def _now_s(self) -> float:
        """Seconds as the venue counts its windows: a stand-in's run as fast as the demo's time."""
        return self._clock.now().timestamp()

    def _refuse_banned(self) -> None:
        heard = self._shared.banned_until(self._pool.address) if self._shared is not None else None
        if heard is not None and heard > self._clock.now():
            self.banned(heard)
        if self._banned_until is not None:
            if self._clock.now() < self._banned_until:
                raise self._ban(self._banned_until)
            self._banned_until = None

    def _ban(self, until: datetime) -> Banned:
        return Banned(
            f"{self._pool.host} has banned this address until {until:%Y-%m-%d %H:%M:%S}.", until=until
        )

    async def _turn(self, ticket: Ticket, wait_s: float) -> None:
        host = self._pool.host
        if not self._budget.queue(ticket):
            raise RateLimited(f"Too many requests of one tenant wait for {host}.", retry_after_s=wait_s)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns[ticket] = turn
        self._open_door()
        if self._shared is not None:
            self._ask_for_share(ticket.cost.weight)
        late = asyncio.create_task(self._give_up(turn, wait_s))
        try:
            await turn
        except TimeoutError:
            left_s = max(self._budget.wait_s(ticket, self._now_s()), 0.0)
            raise RateLimited(f"No budget left at {host}.", retry_after_s=left_s) from None
        finally:
            late.cancel()
            del self._turns[ticket]
            self._budget.give_up(ticket)

    async def _give_up(self, turn: asyncio.Future[None], wait_s: float) -> None:
        await self._sleep(wait_s)
        if not turn.done():
            turn.set_exception(TimeoutError())

    def _open_door(self) -> None:
        """Let in who may, and somebody to watch the door for those who may not yet."""
        if self._doorkeeper is not None:
            self._doorkeeper.cancel()
        wake_s = self._let_in()
        self._doorkeeper = asyncio.create_task(self._watch_door(wake_s)) if wake_s < float("inf") else None

    async def _watch_door(self, wake_s: float) -> None:
        while wake_s < float("inf"):
            # A millisecond at least, for a clock that reads a hair less than it was told to wait for; and venue time
            # may stand still, or begin to run faster.
            left_s = self._clock.seconds_until(datetime.fromtimestamp(wake_s, UTC))
            await self._sleep(min(max(left_s, 0.001), LOOK_AGAIN_S))
            wake_s = self._let_in()

    def _let_in(self) -> float:
        granted, wake_s = self._budget.let_in(self._now_s())
        for ticket in granted:
            turn = self._turns.get(ticket)
            if turn is not None and not turn.done():
                turn.set_result(None)
        return wake_s

    def _heed(self, account: str, answer: Answer) -> None:
        heard = said(self._limits, answer, self._clock.now())
        self._budget.said(account, heard, self._now_s())
        if heard.banned_until is not None:
            self.banned(heard.banned_until)
            if self._shared is not None:
                telling = asyncio.create_task(self._tell_ban(self._shared, heard.banned_until))
                self._telling.add(telling)
                telling.add_done_callback(self._telling.discard)

    async def _tell_ban(self, shared: SharedBudget, until: datetime) -> None:
        """Until it is known to all, or over."""
        while self._clock.now() < until:
            try:
                await shared.ban(self._pool.address, until)
            except RunnerError:
                await self._sleep(ASK_AGAIN_S)
            else:
                return

    def _ask_for_share(self, weight: int) -> None:
        held = self._budget.held
        assert held is not None
        if self._asking is None and held.is_short(weight, self._now_s()):
            self._asking = asyncio.create_task(self._ask(max(held.chunk, weight)))
            self._asking.add_done_callback(self._asked)

    def _asked(self, asking: asyncio.Task[None]) -> None:
        self._asking = None
        if not asking.cancelled() and self._turns:
            self._open_door()
            self._ask_for_share(max(ticket.cost.weight for ticket in self._turns))

    async def _ask(self, wanted: int) -> None:
        assert self._shared is not None
        held = self._budget.held
        assert held is not None
        asked_s = self._now_s()
        try:
            share = await self._shared.take(self._pool.address, self._limits, wanted)
        except RunnerError:
            await self._sleep(ASK_AGAIN_S)
            return
        held.given(share, asked_s)
        if share.banned_until is not None and share.banned_until > self._clock.now():
            self.banned(share.banned_until)
        if share.weight == 0:
            # Used up: the next window brings more.
            await self._sleep(min(max(share.ends_in_s, 0.01), ASK_AGAIN_S))
