"""Generated secrets: made once, the same for every process, for nobody else's eyes."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import RunnerError
from facade.secrets import load_or_create, sealing_keys
from tests.facade.world import make_settings
from tests.schema.test_vault import master, vault_of


def test_a_secret_is_made_once_long_and_for_its_owner_only(tmp_path: Path) -> None:
    secret = load_or_create(tmp_path / "var", "jwt_secret")
    path = tmp_path / "var" / "secrets" / "jwt_secret"
    assert len(secret) >= 32
    assert load_or_create(tmp_path / "var", "jwt_secret") == secret == path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_create(tmp_path / "var", "other") != secret


def test_all_who_ask_at_once_get_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: load_or_create(tmp_path, "jwt_secret"), range(32)))
    assert len(set(answers)) == 1
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["jwt_secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_secret_open_to_others_is_refused_in_one_sentence(tmp_path: Path, mode: int) -> None:
    """I18: what may have been read by others signs nothing."""
    load_or_create(tmp_path, "jwt_secret")
    (tmp_path / "secrets" / "jwt_secret").chmod(mode)
    with pytest.raises(RunnerError, match="chmod 600"):
        load_or_create(tmp_path, "jwt_secret")


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path, "jwt_secret")
    (tmp_path / "secrets" / "jwt_secret").write_text("\n")
    with pytest.raises(RunnerError, match="is empty"):
        load_or_create(tmp_path, "jwt_secret")


def test_a_folder_that_cannot_be_used_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    with pytest.raises(RunnerError, match="cannot be used"):
        load_or_create(tmp_path / "var", "jwt_secret")


@pytest.mark.parametrize("name", ["", "../escape", "A", "a/b", ".hidden"])
def test_a_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        load_or_create(tmp_path, name)


def test_master_keys_are_generated_once_for_the_embedded_database(tmp_path: Path) -> None:
    settings = make_settings(RUNNER_DATA_DIR=str(tmp_path))
    made = sealing_keys(settings)
    assert made is not None
    assert sealing_keys(settings).reveal() == made.reveal()  # type: ignore[union-attr]
    path = tmp_path / "secrets" / "master_keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == made.reveal()
    assert vault_of(made.reveal()).first_id.startswith("generated-")
    assert made.reveal().partition(":")[2] not in f"{made} {made!r}"


def test_given_master_keys_are_taken_and_none_are_made_for_a_database_elsewhere(tmp_path: Path) -> None:
    given = make_settings(RUNNER_DATA_DIR=str(tmp_path), RUNNER_MASTER_KEYS=master("m1", 1))
    taken = sealing_keys(given)
    assert taken is not None
    assert taken.reveal() == master("m1", 1)
    elsewhere = make_settings(RUNNER_DATA_DIR=str(tmp_path), DATABASE_URL="postgresql://db/runner")
    assert sealing_keys(elsewhere) is None
    assert list(tmp_path.iterdir()) == []


def test_generated_master_keys_that_were_altered_are_refused_without_quoting_them(tmp_path: Path) -> None:
    settings = make_settings(RUNNER_DATA_DIR=str(tmp_path))
    sealing_keys(settings)
    (tmp_path / "secrets" / "master_keys").write_text("canary-that-is-no-key")
    with pytest.raises(RunnerError, match="must be a list of id:base64key") as refusal:
        sealing_keys(settings)
    assert "canary" not in str(refusal.value)
