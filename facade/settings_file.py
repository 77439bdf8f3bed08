"""Settings from where they are written: command line, environment, YAML file, this machine."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
import yaml

from core.config import SETTING_NAMES, Settings, parse
from core.errors import SettingsError
from core.symbols import SymbolError, parse_symbol

FILE_IN_FOLDER: Final = "service_config.yaml"
MAX_FILE_BYTES: Final = 1_000_000

_COMMENT: Final = re.compile(r"^\s*//.*$", re.MULTILINE)
"""FreqTrade takes comments, JSON does not."""


class FreqTradeExchange(msgspec.Struct, frozen=True):
    pair_whitelist: tuple[str, ...]


class FreqTradeConfig(msgspec.Struct, frozen=True):
    """What is read of it."""

    exchange: FreqTradeExchange


def load_settings(
    command_line: Mapping[str, str] | None = None,
    *,
    config: str | None = None,
    environ: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
) -> Settings:
    """The settings in force; raises SettingsError naming every problem.

    `config` (or RUNNER_CONFIG) is a YAML file or a folder holding one; `defaults` come after it and are the
    caller's own, as `serve --demo` has some.
    """
    environ = os.environ if environ is None else environ
    path = config or environ.get("RUNNER_CONFIG", "").strip()
    sources: list[tuple[str, Mapping[str, str]]] = [
        ("command line", command_line or {}),
        ("environment", {name: text for name, text in environ.items() if name in SETTING_NAMES}),
    ]
    if path:
        file = _locate(Path(path))
        sources.append((str(file), read_file(file)))
    sources.append(("default", {**machine_defaults(), **(defaults or {})}))
    settings = parse(sources)
    if settings.freqtrade_config is None or "SYMBOL_WHITELIST" in settings.origins:
        return settings
    found = {"SYMBOL_WHITELIST": ",".join(freqtrade_symbols(Path(settings.freqtrade_config)))}
    return parse([*sources, (settings.freqtrade_config, found)])


def freqtrade_symbols(path: Path) -> tuple[str, ...]:
    """Symbols of a FreqTrade configuration's pair whitelist; SettingsError for a file without one."""
    try:
        text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
        pairs = msgspec.json.decode(text, type=FreqTradeConfig).exchange.pair_whitelist
        found = tuple(dict.fromkeys(parse_symbol(pair) for pair in pairs))
    except OSError as error:
        raise SettingsError(f"FREQTRADE_CONFIG: {path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"FREQTRADE_CONFIG: {path} holds no exchange.pair_whitelist: {error}.") from error
    except SymbolError as error:
        raise SettingsError(f"FREQTRADE_CONFIG: {error}") from error
    if not found:
        raise SettingsError(f"FREQTRADE_CONFIG: the pair whitelist of {path} is empty.")
    return found


def read_file(path: Path) -> dict[str, str]:
    """Settings of a YAML file, keys in upper case, lists as comma lists; SettingsError for anything else."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error.strerror}.") from error
    if len(text) > MAX_FILE_BYTES:
        raise SettingsError(f"The settings file {path} is larger than {MAX_FILE_BYTES} bytes.")
    try:
        loaded = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"The settings file {path} is not YAML{_place(error)}.") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise SettingsError(f"The settings file {path} must hold `name: value` lines.")
    problems = [str(name) for name, value in loaded.items() if _as_text(value) is None]
    if problems:
        raise SettingsError(f"The settings file {path} holds no plain value for {', '.join(problems)}.")
    return {str(name).upper(): _as_text(value) or "" for name, value in loaded.items()}


def machine_defaults() -> dict[str, str]:
    """Defaults that only the machine knows."""
    return {
        "WORKER_ID": f"{socket.gethostname()}-{os.getpid()}",
        "LOG_FORMAT": "console" if sys.stderr.isatty() else "json",
        "SANDBOX_WORKERS": str(os.cpu_count() or 1),
    }


def _locate(path: Path) -> Path:
    return path / FILE_IN_FOLDER if path.is_dir() else path


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" (line {mark.line + 1})" if mark is not None else ""


def _as_text(value: object) -> str | None:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | str):
        return str(value)
    if isinstance(value, list):
        items = [_as_text(each) for each in value if not isinstance(each, list)]
        return ",".join(each for each in items if each is not None) if len(items) == len(value) else None
    return None
