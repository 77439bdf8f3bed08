"""Secrets the service makes for itself, for demo and development: files in its data directory, mode 600."""

from __future__ import annotations

import base64
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from core.config import Settings
from core.config_readers import MASTER_KEY_BYTES, master_keys
from core.errors import RunnerError
from core.redact import Secret

SECRET_BYTES = 32
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
READABLE_BY_OTHERS = 0o077


def sealing_keys(settings: Settings) -> Secret | None:
    """RUNNER_MASTER_KEYS; unset, and for the embedded database alone, those generated into the data directory.

    None: a database elsewhere whose keys would be sealed by a file that only this machine has. Raises RunnerError.
    """
    if settings.runner_master_keys is not None or settings.database_url is not None:
        return settings.runner_master_keys
    made = load_or_create(Path(settings.runner_data_dir), "master_keys", make=_new_master_key)
    try:
        return master_keys(made)
    except ValueError as error:
        raise RunnerError(f"The generated master keys in {settings.runner_data_dir} {error}.") from None


def load_or_create(data_dir: Path, name: str, *, make: Callable[[], str] | None = None) -> str:
    """The secret `name` of this data directory, made on first use; every process gets the same one.

    Raises RunnerError when the file cannot be made, or is empty or open to other users.
    """
    if not NAME.fullmatch(name):
        raise ValueError(f"not a name of a secret: {name!r}")
    path = data_dir / "secrets" / name
    try:
        if not path.exists():
            _create(path, (make or _new_secret)())
        return _read(path)
    except OSError as error:
        raise RunnerError(f"The secret {path} cannot be used: {error.strerror}.") from error


def _new_secret() -> str:
    return secrets.token_urlsafe(SECRET_BYTES)


def _new_master_key() -> str:
    """Named at random, so that what one data directory sealed is not taken for another's."""
    return (
        f"generated-{secrets.token_hex(4)}:{base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)).decode()}"
    )


def _create(path: Path, secret: str) -> None:
    """Writes a new secret whole or not at all; where two processes do so at once, the first one's stands."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 600
    try:
        with os.fdopen(file, "w") as writer:
            writer.write(secret)
            writer.flush()
            os.fsync(writer.fileno())
        try:
            os.link(unfinished, path)  # unlike a rename, refuses when another was quicker
        except FileExistsError:
            return
    finally:
        os.unlink(unfinished)


def _read(path: Path) -> str:
    if path.stat().st_mode & READABLE_BY_OTHERS:
        raise RunnerError(f"The secret {path} is open to other users of this machine; run: chmod 600 {path}")
    secret = path.read_text().strip()
    if not secret:
        raise RunnerError(f"The secret {path} is empty; delete the file and a new one is made.")
    return secret
