"""Which Bybit call there is, what it demands, and from which budget of a second it takes."""

from __future__ import annotations

import msgspec

from exchanges.simulator.bybit_call import Handler


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """`group`: calls of an account that share a budget; empty: only the address's counts. `writes`: may trade."""

    handler: Handler
    is_signed: bool = True
    group: str = ""
    is_order: bool = False
    writes: bool = False


Routes = dict[tuple[str, str], Route]


def public(handler: Handler) -> Route:
    return Route(handler=handler, is_signed=False)


def reading(handler: Handler, group: str) -> Route:
    return Route(handler=handler, group=group)


def ordering(handler: Handler, group: str) -> Route:
    return Route(handler=handler, group=group, is_order=True, writes=True)
