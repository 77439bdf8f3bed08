"""A bare Starlette route for `bench http`, served as the service is: `python -m bin.commands.bench_http_server BYTES`
prints its port and lives until its stdin ends.
"""

from __future__ import annotations

import asyncio
import sys
import threading

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from facade.server import listen


def main() -> None:
    body = b'{"ok":true,"filling":"' + b"x" * int(sys.argv[1]) + b'"}'

    async def answer(request: Request) -> Response:
        return Response(body, media_type="application/json")

    listening = listen("127.0.0.1", 0)
    app = Starlette(routes=[Route("/", answer)])
    # The same parser as the service's: what it costs to hear a request is no part of the comparison.
    server = uvicorn.Server(
        uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
    )

    def end_with_stdin() -> None:
        while sys.stdin.buffer.read(1):
            pass
        server.should_exit = True

    threading.Thread(target=end_with_stdin, daemon=True).start()
    print(listening.getsockname()[1], flush=True)
    with asyncio.Runner() as runner:
        runner.run(server.serve(sockets=[listening]))


if __name__ == "__main__":
    main()
