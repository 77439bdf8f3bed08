"""Where a request comes from: the socket's other end, or what a proxy of ours says is behind it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final

from starlette.requests import HTTPConnection

FORWARDED_HEADERS: Final = ("x-forwarded-for", "forwarded", "x-real-ip")
_MAX_HOPS: Final = 20
_SITE_BITS: Final = 64
"""Of an IPv6 address, what one customer is given whole."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Callers:
    """`trusted`: networks of proxies whose word counts; nobody else's X-Forwarded-For is read."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(each) for each in trusted]

    def of(self, connection: HTTPConnection) -> str:
        """The caller's name for limits: its address, of an IPv6 address the network it is in."""
        socket = connection.client.host if connection.client is not None else ""
        address = _address(socket)
        if address is None:
            return "unknown"
        if self._trusts(address):
            # Each proxy adds whom it heard at the end: from there back to the first that is not ours.
            hops = ",".join(connection.headers.getlist("x-forwarded-for")).split(",")
            for hop in reversed(hops[-_MAX_HOPS:]):
                told = _address(hop.strip())
                if told is None:
                    break
                address = told
                if not self._trusts(told):
                    break
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((address, _SITE_BITS), strict=False))
        return str(address)

    def is_proxy(self, host: str) -> bool:
        address = _address(host)
        return address is not None and self._trusts(address)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
