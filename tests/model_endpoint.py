"""An endpoint of OpenAI's protocol on this machine: it answers what it is told to, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_S = 30.0


class ModelEndpoint:
    def __init__(self) -> None:
        self.answers: list[str | bytes | int | None] = []
        """In turn: a model's words, a whole body, a status, or None: nothing for as long as the endpoint is there."""
        self.closing = threading.Event()
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.authorizations: list[str | None] = []
        self.url = ""


@contextmanager
def model_endpoint() -> Iterator[ModelEndpoint]:
    endpoint = ModelEndpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            endpoint.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            endpoint.paths.append(self.path)
            endpoint.authorizations.append(self.headers["Authorization"])
            answer = endpoint.answers.pop(0)
            if answer is None:
                endpoint.closing.wait(WAIT_S)
                return
            status = answer if isinstance(answer, int) else 200
            body = answer if isinstance(answer, bytes) else _completion(str(answer))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status in (301, 302, 307):
                self.send_header("Location", f"{endpoint.url}/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(words: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
    answer = {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice], "usage": {}}
    return json.dumps(answer).encode()
