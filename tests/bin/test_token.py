"""Tokens for development: signed with the secret the service checks with, limited in time."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import jwt
import pytest
import typer

from bin.commands.main import main
from bin.commands.token import parse_ttl, signing_secret
from facade.settings_file import load_settings

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "ttl"),
    [
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("366d", timedelta(days=366)),
    ],
)
def test_a_lifetime_is_a_number_and_a_unit(text: str, ttl: timedelta) -> None:
    assert parse_ttl(text) == ttl


@pytest.mark.parametrize("text", ["", "1", "h", "0s", "-1h", "1.5h", "1w", "367d", "99999999d", "1h "])
def test_any_other_lifetime_is_a_wrong_command_line(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_ttl(text)


def test_the_configured_secret_comes_before_one_generated_into_the_data_directory(tmp_path: Path) -> None:
    data = {"RUNNER_DATA_DIR": str(tmp_path)}
    assert signing_secret(load_settings(environ={**data, "JWT_SECRET": SECRET})) == SECRET
    assert not list(tmp_path.iterdir())
    unset = load_settings(environ=data)
    assert signing_secret(unset) == signing_secret(unset) == (tmp_path / "secrets" / "jwt_secret").read_text()


@pytest.mark.parametrize(("arguments", "role"), [([], "authenticated"), (["--admin"], "admin")])
def test_a_token_says_who_with_which_role_for_how_long(
    arguments: list[str], role: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    monkeypatch.setenv("JWT_AUDIENCE", "runner")
    monkeypatch.setenv("JWT_ISSUER", "here")
    assert main(["token", "--user", "usr_7", "--ttl", "2h", *arguments]) == 0
    claims = jwt.decode(
        capsys.readouterr().out.strip(), SECRET, algorithms=["HS256"], audience="runner", issuer="here"
    )
    assert (claims["sub"], claims["role"]) == ("usr_7", role)
    assert claims["exp"] - claims["iat"] == 7200


@pytest.mark.parametrize("user", ["", "x" * 256])
def test_a_user_id_has_1_to_255_characters(
    user: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JWT_SECRET", SECRET)
    assert main(["token", "--user", user]) == 1
    assert "1 to 255 characters" in capsys.readouterr().err
