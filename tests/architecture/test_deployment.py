"""The deployment is consistent: the Compose file, its variables, and versions named in two places."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings
from ruamel.yaml import YAML

from devservers import temporal
from runtime import billing, settings

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "docker-compose.yml"
GROUPS: list[type[BaseSettings]] = [settings.Settings, *billing.REGISTRY, settings.Twilio]
SET_BY_COMPOSE = {
    "POSTGRES_PASSWORD",
    "TOLLGATE_DB_PASSWORD",
    "TEMPORAL_DB_PASSWORD",
    "TOLLGATE_API_PORT",
}
VARIABLE = re.compile(r"\$\{([A-Z_]+)(:[-?][^}]*)?\}")


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, dict[str, Any]]] = YAML(typ="safe").load(COMPOSE)
    return loaded["services"]


def test_the_compose_file_fits_the_published_schema() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        str(COMPOSE),
    ]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_no_secret_has_a_default() -> None:
    for name, default in VARIABLE.findall(COMPOSE.read_text()):
        if re.search("PASSWORD|TOKEN|SECRET|SID|WEBHOOK|CLIENT|KEY", name):
            # an empty variable counts as missing
            assert default.startswith(":?") or default == ":-", name


def test_the_example_names_every_variable_and_fills_in_no_required_one() -> None:
    used = {name for name, _ in VARIABLE.findall(COMPOSE.read_text())}
    lines = (ROOT / ".env.example").read_text().splitlines()
    named = {line.lstrip("#").partition("=")[0] for line in lines if re.match(r"#?[A-Z_]+=", line)}

    assert named == used
    assert all(line.endswith("=") for line in lines if re.match(r"[A-Z_]+=", line))


def test_every_variable_of_ours_is_a_setting(services: dict[str, dict[str, Any]]) -> None:
    settings_names = {_variable(group, field) for group in GROUPS for field in group.model_fields}
    given = {name for service in services.values() for name in service.get("environment", {})}
    read_by_compose = {name for name, _ in VARIABLE.findall(COMPOSE.read_text())}

    assert {
        name for name in given | read_by_compose if name.startswith("TOLLGATE_")
    } - SET_BY_COMPOSE <= settings_names


def test_every_process_gets_the_secrets_it_refuses_to_start_without(
    services: dict[str, dict[str, Any]],
) -> None:
    needs: dict[str, list[type[BaseSettings]]] = {"api": GROUPS, "worker": GROUPS}
    for process, groups in needs.items():
        required = {
            _variable(g, name)
            for g in groups
            for name, field in g.model_fields.items()
            if field.is_required()
        }
        assert required <= set(services[process]["environment"]), process


def test_images_are_pinned_and_dependencies_exist(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        if "build" not in service:
            assert re.search(r":\d+\.\d+", service["image"]), name
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[needed], f"{name} waits for {needed}"


def test_nothing_is_published_to_other_hosts(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert len(published) == 2
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_a_version_named_twice_is_the_same() -> None:
    go_module = (ROOT / "tools" / "temporal" / "go.mod").read_text()
    uv = re.search(r"^UV_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert f"github.com/temporalio/cli v{temporal.CLI_VERSION}" in go_module
    assert uv is not None
    assert f"uv=={uv[1]}" in (ROOT / "Dockerfile").read_text()


def _variable(group: type[BaseSettings], field: str) -> str:
    return f"{group.model_config['env_prefix']}{field}".upper()
