"""What stands in deploy/ parses, and names only settings, commands and paths that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from bin.commands.main import COMMANDS
from core.config import SETTING_NAMES
from facade.app import INTERFACE

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
OF_THE_COMPOSE_FILE = {"POSTGRES_PASSWORD", "INFLUX_PASSWORD"}


def compose() -> dict[str, Any]:
    parsed = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(parsed, dict)
    return parsed


def env_example() -> dict[str, str]:
    lines = (DEPLOY / "runner.env.example").read_text().splitlines()
    pairs = [line.partition("=") for line in lines if line and not line.startswith("#")]
    return {name: value for name, _, value in pairs}


def test_the_compose_file_has_the_services_it_promises() -> None:
    assert set(compose()["services"]) >= {"postgres", "redis", "influxdb", "runner", "monitor"}


@pytest.mark.parametrize("service", ["runner", "monitor"])
def test_every_setting_the_compose_file_gives_is_one(service: str) -> None:
    assert set(compose()["services"][service]["environment"]) <= SETTING_NAMES


def test_every_setting_the_other_recipes_give_is_one() -> None:
    unit = (DEPLOY / "strategy-runner.service").read_text()
    given = set(re.findall(r"(\w+)=", re.search(r"^Environment=(.*)$", unit, re.MULTILINE)[1]))  # type: ignore[index]
    given |= set(tomllib.loads((DEPLOY / "fly.toml").read_text())["env"])
    image = (DEPLOY / "Dockerfile").read_text()
    given |= set(re.findall(r"(\w+)=", re.search(r"^ENV (.*)$", image, re.MULTILINE)[1]))  # type: ignore[index]
    given |= set(env_example()) - OF_THE_COMPOSE_FILE
    assert given <= SETTING_NAMES


def test_whatever_the_compose_file_takes_from_its_env_file_is_in_the_example() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) <= set(env_example())


def test_no_recipe_holds_a_secret() -> None:
    secret = {"JWT_SECRET", "RUNNER_MASTER_KEYS", "RUNNER_CRON_SECRET", "INFLUX_TOKEN", *OF_THE_COMPOSE_FILE}
    assert {name: value for name, value in env_example().items() if name in secret and value} == {}


def test_commands_and_paths_named_there_exist() -> None:
    services = compose()["services"]
    assert services["monitor"]["command"][0] in COMMANDS
    paths = {each.operation.path for each in INTERFACE}
    cron = (DEPLOY / "crontab.example").read_text()
    named = set(re.findall(r"example\.com(/[\w/-]+)", cron))
    named |= {
        check["path"] for check in tomllib.loads((DEPLOY / "fly.toml").read_text())["http_service"]["checks"]
    }
    named.add(json.loads((DEPLOY / "railway.json").read_text())["deploy"]["healthcheckPath"])
    assert len(named) >= 3
    assert named <= paths


def test_every_supervisor_waits_longer_than_a_stop_takes() -> None:
    """I16: a stop ends within 30 s; who kills earlier cuts slots off."""
    fly = tomllib.loads((DEPLOY / "fly.toml").read_text())
    railway = json.loads((DEPLOY / "railway.json").read_text())
    unit = (DEPLOY / "strategy-runner.service").read_text()
    waits = [
        int(fly["kill_timeout"].rstrip("s")),
        railway["deploy"]["drainingSeconds"],
        int(compose()["services"]["runner"]["stop_grace_period"].rstrip("s")),
        int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[1]),  # type: ignore[index]
    ]
    assert min(waits) > 30


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    text = (
        (DEPLOY / "strategy-runner.service")
        .read_text()
        .replace("/opt/strategy-runner/bin/runner", "/bin/true")
    )
    unit = tmp_path / "strategy-runner.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    own = [line for line in (done.stdout + done.stderr).splitlines() if "strategy-runner.service" in line]
    assert own == []


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    done = subprocess.run(
        ["logrotate", "--debug", "--state", tmp_path / "state", DEPLOY / "logrotate.conf"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "error" not in done.stderr.lower()
