"""What follows a stream ends with its account, and with its caller."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from exchanges.following import Following


class Forever:
    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.began = asyncio.Event()

    async def follow(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


def test_closing_ends_the_following_and_its_caller_goes_on() -> None:
    async def play() -> bool:
        stream, following = Forever(), Following()
        caller = asyncio.ensure_future(following.run(stream.follow()))
        await stream.began.wait()
        following.end()
        await asyncio.wait_for(caller, 5.0)
        return stream.ended.is_set()

    assert asyncio.run(play())


def test_cancelling_the_caller_ends_the_following() -> None:
    async def play() -> bool:
        stream, following = Forever(), Following()
        caller = asyncio.ensure_future(following.run(stream.follow()))
        await stream.began.wait()
        caller.cancel()
        with suppress(asyncio.CancelledError):
            await caller
        await stream.ended.wait()
        return caller.cancelled()

    assert asyncio.run(asyncio.wait_for(play(), 5.0))


def test_an_account_that_was_left_follows_nothing() -> None:
    async def play() -> bool:
        stream, following = Forever(), Following()
        following.end()
        await asyncio.wait_for(following.run(stream.follow()), 5.0)
        return stream.began.is_set()

    assert asyncio.run(play()) is False
