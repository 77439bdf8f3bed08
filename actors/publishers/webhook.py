"""One signed POST to an address a user has named: to the public internet over https, or not at all.

The name is resolved here and the address that was looked at is the one that is connected to, so that a name cannot
answer differently the second time. Redirects are not followed, and what is answered is not read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

import httpx

from core.errors import RunnerError

TIMEOUT_S: Final = 10.0
MAX_URL_CHARS: Final = 2_000
_PORTS: Final = {"https": 443, "http": 80}

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Name and port → addresses. Raises OSError."""


class NotDelivered(RunnerError):
    """The sentence says why, and quotes neither secret nor answer."""


def why_not(error: Exception) -> str:
    """Of anything that failed on the way, in words that quote nothing."""
    return str(error) if isinstance(error, NotDelivered) else f"not delivered ({type(error).__name__})"


def check_url(url: str, *, private_too: bool) -> SplitResult:
    """The URL in its parts; NotDelivered for one that would never be called. Names are not resolved yet."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotDelivered("it is not a URL") from error
    schemes = ("https", "http") if private_too else ("https",)
    if parts.scheme not in schemes or not parts.hostname or len(url) > MAX_URL_CHARS:
        raise NotDelivered(f"it must be an {' or '.join(schemes)} URL with a host")
    if parts.username or parts.password or port == 0 or not url.isascii() or any(c.isspace() for c in url):
        raise NotDelivered("it must have neither credentials nor spaces in it")
    literal = _address(parts.hostname)
    if literal is not None and not private_too and not is_public(literal):
        raise NotDelivered("it must not name a private address")
    return parts


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet; IPv4 in IPv6 counts as what it carries."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        carried = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None) or _nat64(ip)
        if carried is not None:
            ip = carried
    return ip.is_global and not ip.is_multicast


class Webhooks:
    """`private_too`: http and addresses of one's own network as well, as the operator allows."""

    def __init__(self, *, private_too: bool, resolve: Resolve | None = None) -> None:
        self._private_too = private_too
        self._resolve = resolve or _resolved

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        """Raises NotDelivered where it was not taken (any answer but 2xx), or nobody knows."""
        parts = check_url(url, private_too=self._private_too)
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        try:
            async with asyncio.timeout(TIMEOUT_S):
                address = await self._one_of(host, port)
                status = await _send(parts, address, port, body, headers)
        except TimeoutError as error:
            raise NotDelivered(f"no answer within {TIMEOUT_S:g} s") from error
        if not 200 <= status < 300:
            raise NotDelivered(f"answered {status}")

    async def _one_of(self, host: str, port: int) -> str:
        try:
            found = await self._resolve(host, port)
        except OSError as error:
            raise NotDelivered("its name does not resolve") from error
        if not found:
            raise NotDelivered("its name does not resolve")
        if not self._private_too and not all(is_public(address) for address in found):
            raise NotDelivered("its name leads to a private address")
        return found[0]


async def _send(parts: SplitResult, address: str, port: int, body: bytes, headers: dict[str, str]) -> int:
    literal = f"[{address}]" if ":" in address else address
    target = urlunsplit((parts.scheme, f"{literal}:{port}", parts.path or "/", parts.query, ""))
    given = {"Host": parts.netloc, "Content-Type": "application/json", "User-Agent": "strategy-runner"}
    async with httpx.AsyncClient(
        timeout=TIMEOUT_S, trust_env=False, follow_redirects=False, http2=False
    ) as client:
        request = client.build_request(
            "POST",
            target,
            content=body,
            headers=given | headers,
            # The certificate is that of the name, though the address is what is connected to.
            extensions={"sni_hostname": parts.hostname or ""},
        )
        try:
            reply = await client.send(request, stream=True)
        except httpx.HTTPError as error:
            raise NotDelivered(f"no connection ({type(error).__name__})") from error
        await reply.aclose()
        return reply.status_code


async def _resolved(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _address(host: str) -> str | None:
    """The host where it is an address, in any spelling a resolver takes; None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def _nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in ipaddress.ip_network("64:ff9b::/96"):
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return None
