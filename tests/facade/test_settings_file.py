"""Settings from command line, environment and YAML file."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.config import shown
from core.errors import SettingsError
from facade.settings_file import load_settings


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    file = tmp_path / "runner.yaml"
    file.write_text("port: 3\nhost: from-file\nmax_leverage: 5\nsymbol_whitelist: [btcusdt, ETH/USDT]\n")
    settings = load_settings(
        {"PORT": "1"}, environ={"RUNNER_CONFIG": str(file), "PORT": "2", "HOST": "from-env", "PATH": "/bin"}
    )
    assert (settings.port, settings.host, settings.max_leverage) == (1, "from-env", 5)
    assert settings.symbol_whitelist == ("BTCUSDT", "ETHUSDT")
    assert {row.origin for row in shown(settings)} == {"command line", "environment", str(file), "default"}


def test_a_folder_holds_the_file(tmp_path: Path) -> None:
    (tmp_path / "service_config.yaml").write_text("redis_signal_ttl: 60\nenable_strategy_runner: yes\n")
    settings = load_settings(config=str(tmp_path), environ={})
    assert settings.signal_ttl_seconds == 60
    assert settings.enable_strategy_runner


def test_the_callers_defaults_give_way_to_every_other_source() -> None:
    demo = {"ENABLE_STRATEGY_RUNNER": "true"}
    assert load_settings(environ={}, defaults=demo).enable_strategy_runner
    off = {"ENABLE_STRATEGY_RUNNER": "false"}
    assert not load_settings(environ=off, defaults=demo).enable_strategy_runner


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "service_config.yaml").write_text("# nothing yet\n")
    assert load_settings(config=str(tmp_path), environ={}).port == 8080


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port: [1\nhost: x", "is not YAML (line"),
        ("- a\n- b\n", "`name: value`"),
        ("port: {a: 1}\n", "no plain value for port"),
        ("prot: 80\n", "no setting PROT"),
        ("port: eighty\n", "PORT"),
        ("!!python/object/apply:os.system ['true']\n", "is not YAML"),
        ("port: \x00\n", "is not YAML"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(config=str(file), environ={})
    assert said in str(refused.value)
    assert str(file) in str(refused.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(config=str(tmp_path / "none.yaml"), environ={})


def test_symbols_are_those_of_freqtrades_whitelist_unless_they_are_named(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT:USDT", "SOL/USDT"]}}')
    given = {"FREQTRADE_CONFIG": str(config)}
    assert load_settings(environ=given).symbol_whitelist == ("BTCUSDT", "SOLUSDT")
    named = load_settings(environ={**given, "SYMBOL_WHITELIST": "ETHUSDT"})
    assert named.symbol_whitelist == ("ETHUSDT",)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"exchange": {}}',
        '{"exchange": {"pair_whitelist": []}}',
        '{"exchange": {"pair_whitelist": ["?"]}}',
    ],
)
def test_a_freqtrade_configuration_without_pairs_is_refused_by_name(tmp_path: Path, content: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(content)
    with pytest.raises(SettingsError, match="FREQTRADE_CONFIG"):
        load_settings(environ={"FREQTRADE_CONFIG": str(config)})
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(environ={"FREQTRADE_CONFIG": str(tmp_path / "none.json")})
