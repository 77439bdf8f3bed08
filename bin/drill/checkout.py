"""Commands of a checkout, run as a user types them: arguments, settings in the environment, what it said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from shutil import which
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

import msgspec

from bin.drill.node import KEPT
from core.errors import RunnerError
from schema.postgres_binaries import find_binaries

COMMAND_TIMEOUT_S: Final = 60.0
REQUEST_TIMEOUT_S: Final = 10.0


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """`text`: both streams."""

    code: int
    out: str
    text: str


class Checkout:
    """`bin/runner` of a folder, without the making of an environment, and PostgreSQL's own programs."""

    def __init__(self, root: Path, folder: Path, *, own_server: bool) -> None:
        """`own_server`: PostgreSQL's programs are the embedded one's, else those in the PATH: an older server refuses a
        newer `pg_restore`."""
        self.root = root
        self.heard: list[str] = []
        self._folder = folder
        self._own_server = own_server

    def runner(self, *arguments: str, settings: Mapping[str, str], stdin: str = "", code: int = 0) -> str:
        """What it wrote to stdout. Raises RunnerError for another exit code than `code`."""
        command = [sys.executable, "-P", "-m", "bin.commands", *arguments]
        said = self._run(command, {**settings, "PYTHONPATH": str(self.root)}, stdin)
        if said.code != code:
            raise RunnerError(f"bin/runner {arguments[0]} ended with {said.code}: {said.text[-600:].strip()}")
        return said.out if code == 0 else said.text

    def postgres(self, program: str, *arguments: str) -> str:
        found = str(find_binaries() / program) if self._own_server else which(program)
        if found is None:
            raise RunnerError(f"There is no {program} in the PATH.")
        said = self._run([found, *arguments], {"LC_ALL": "C"}, "")
        if said.code != 0:
            raise RunnerError(f"{program} ended with {said.code}: {said.text[-600:].strip()}")
        return said.out

    def _run(self, command: list[str], settings: Mapping[str, str], stdin: str) -> Said:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        done = subprocess.run(  # noqa: S603 (our own program, no shell)
            command,
            cwd=self._folder,
            env={**kept, **settings},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        self.heard.append(done.stdout + done.stderr)
        return Said(code=done.returncode, out=done.stdout, text=done.stdout + done.stderr)


class Client:
    """The API as curl asks it, past the caller's proxies."""

    def __init__(self, address: str, token: str) -> None:
        self._address = address.rstrip("/")
        self._token = token
        self._opener: OpenerDirector = build_opener(ProxyHandler({}))

    def ask(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        """Raises RunnerError for another status than `status`."""
        request = self._request(method, path, body)
        try:
            with self._opener.open(request, timeout=REQUEST_TIMEOUT_S) as answer:
                found, text = answer.status, answer.read()
        except HTTPError as error:
            found, text = error.code, error.read()
        if found != status:
            raise RunnerError(f"{method} {path} answered {found}, not {status}: {text[:400].decode()}")
        return json.loads(text) if text[:1] == b"{" else text.decode()

    def answers(self, path: str) -> bool:
        """With 200."""
        try:
            self.ask("GET", path)
        except RunnerError:
            return False
        return True

    def follow(self, path: str, awaited: str) -> list[str]:
        """Types of events of a stream from its beginning, up to the first of the awaited type."""
        request = self._request("GET", path, None)
        request.add_header("Last-Event-ID", "0")
        types: list[str] = []
        with self._opener.open(request, timeout=REQUEST_TIMEOUT_S) as answer:
            for line in answer:
                if line.startswith(b"event: "):
                    types.append(line.removeprefix(b"event: ").decode().strip())
                    if types[-1] == awaited:
                        break
        return types

    def _request(self, method: str, path: str, body: object) -> Request:
        return Request(  # noqa: S310 (an address of our own)
            self._address + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
