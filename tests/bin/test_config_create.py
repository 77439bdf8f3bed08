"""`config create`: a file that production takes, readable by nobody else, never written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from bin.commands.main import main
from facade.settings_file import load_settings


def test_what_it_writes_is_enough_for_production(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "runner.yaml"
    assert main(["config", "create", str(file)]) == 0
    settings = load_settings(config=str(file), environ={"ENVIRONMENT": "production"})
    assert settings.enable_strategy_runner
    assert settings.jwt_secret is not None
    assert settings.jwt_secret.reveal() not in capsys.readouterr().out
    assert file.stat().st_mode & 0o777 == 0o600


def test_two_files_share_no_secret_and_none_is_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    for file in (first, second):
        assert main(["config", "create", str(file)]) == 0
    one, other = (load_settings(config=str(file), environ={}) for file in (first, second))
    for name in ("jwt_secret", "runner_cron_secret", "runner_master_keys"):
        assert getattr(one, name).reveal() != getattr(other, name).reveal()
    before = first.read_text()
    assert main(["config", "create", str(first)]) == 1
    assert "not written over" in capsys.readouterr().err
    assert first.read_text() == before


def test_a_folder_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "create", str(tmp_path / "no" / "x.yaml")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
