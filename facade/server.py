"""Serving the application: uvicorn with every limit stated; a port that is taken is one sentence."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final

import uvicorn
from starlette.applications import Starlette

from core.errors import RunnerError
from facade.callers import Callers
from facade.endpoint import Services
from facade.patience import Crowd, Patience, protocol_in, socket_in

KEEP_ALIVE_S: Final = 30
SHUTDOWN_S: Final = 5
MAX_CONNECTIONS: Final = 2_000
BACKLOG: Final = 1_024
MAX_HEADER_BYTES: Final = 32_768
MAX_MESSAGE_BYTES: Final = 4_096
"""Of a WebSocket's messages to us, of which there are to be none."""
PING_S: Final = 20.0
SEND_BUFFER_BYTES: Final = 65_536
"""What the kernel holds of answers a caller does not take. Left to itself it holds megabytes, so that each stalled
reader of a stream would be told thousands of events before it is noticed.
"""


class Server(uvicorn.Server):
    """Answers on while the process stands down; ends event streams first when it stops: they would keep their
    connections open.
    """

    def __init__(self, config: uvicorn.Config, before_exit: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._before_exit = before_exit

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal has the process stand down, and it says that it is not ready; a second one ends that."""
        before_exit, self._before_exit = self._before_exit, None
        if before_exit is None:
            super().handle_exit(sig, frame)
            return
        self._captured_signals.append(sig)

        def stand_down() -> None:
            try:
                before_exit()
            finally:
                self.should_exit = True

        threading.Thread(target=stand_down, name="stand-down", daemon=True).start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        services: Services = self.config.app.state.services  # type: ignore[union-attr]
        await services.hub.close()
        await super().shutdown(sockets)


def server(
    app: Starlette, patience: Patience | None = None, before_exit: Callable[[], None] | None = None
) -> Server:
    """A server for `app` to be run on a listening socket: `await server(app).serve([listen(...)])`."""
    services: Services = app.state.services
    crowd = Crowd(Callers(services.settings.runner_trusted_proxies), patience or Patience())
    return Server(
        uvicorn.Config(
            app,
            http=protocol_in(crowd),
            ws=socket_in(crowd),
            ws_max_size=MAX_MESSAGE_BYTES,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PING_S,
            ws_per_message_deflate=False,  # a window for each of thousands of streams
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            # The socket's address decides about limits and the demo's log-in; proxies of ours: facade/callers.py.
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
            limit_concurrency=MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ),
        before_exit,
    )


def serve(
    app: Starlette,
    listening: socket.socket,
    *,
    stop_with: Callable[[Callable[[], None]], None],
    before_exit: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, or until what `stop_with` was handed is called from another thread.

    `before_exit` is called on a thread of its own at the first signal; the server answers until it returns.
    """

    async def until_stopped() -> None:
        served = server(app, before_exit=before_exit)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(setattr, served, "should_exit", True)

        stop_with(stop)
        await served.serve(sockets=[listening])

    with asyncio.Runner() as runner:
        runner.run(until_stopped())


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; RunnerError with one sentence when there can be none."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise RunnerError(f"HOST {host} is no address of this machine.") from error
    opened = socket.socket(family, kind, protocol)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # of each connection
        opened.bind(address)
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise RunnerError(_why(error, host, port)) from error
    opened.setblocking(False)
    return opened


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {host} is taken; stop what uses it or choose another with --port."
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Port {port} on {host} needs rights this user does not have; choose one above 1023."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HOST {host} is no address of this machine."
    return f"Port {port} on {host} cannot be opened: {error.strerror}."
