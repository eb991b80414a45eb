"""Everything that the documentation refers to exists: pages, headings, files, commands, settings,
routes and tests.
"""

import re
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

from api.app import create_app
from cli.commands import app
from runtime import settings
from tests.docs.pages import GENERATED, PAGES, ROOT, anchors, links, name

WRITTEN = [page for page in PAGES if page not in GENERATED]
LAYERS = ("activities", "api", "db", "domain", "providers", "runtime", "workflows")
_SETTING = re.compile(r"\bTOLLGATE_[A-Z_]+\b")
_ROUTE = re.compile(r"`(?:GET|POST|PUT|DELETE|PATCH) (?P<path>[^` ]+)`")
_MAKE = re.compile(r"`make (?P<target>[a-z]+)\b")
_TEST = re.compile(r"\btests/[\w/]+(?:\.\w+)?")
_NOT_SETTINGS = {"TOLLGATE_DB_PASSWORD", "TOLLGATE_API_PORT"}  # variables of Compose


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), link
        if anchor:
            assert anchor in anchors(to), link


@cache
def _paths() -> frozenset[str]:
    paths = create_app().openapi()["paths"]
    return frozenset(re.sub(r"\{\w+\}", "{}", path) for path in paths)


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    defined = {
        f"{group.model_config.get('env_prefix', '')}{field}".upper()
        for group in (settings.Settings, settings.PayPal, settings.Stripe, settings.Twilio)
        for field in group.model_fields
    }

    assert set(_SETTING.findall(page.read_text(encoding="utf-8"))) <= defined | _NOT_SETTINGS


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_route_that_is_named_exists(page: Path) -> None:
    """Written in full, or with … for `/v1/organizations/{organization_id}`."""
    if page.parent.name == "simulators":
        return
    for found in _ROUTE.finditer(page.read_text(encoding="utf-8")):
        path = re.sub(r"\{\w+\}", "{}", found["path"].replace("…", "/v1/organizations/{}"))
        assert path in _paths(), found["path"]


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    commands = set(get_command(app).commands)  # type: ignore[attr-defined]  # it is a group
    targets = set(
        re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )

    assert set(re.findall(r"`(?:\.venv/bin/)?tollgate ([a-z][a-z-]*)", text)) <= commands
    assert set(_MAKE.findall(text)) <= targets


@pytest.mark.parametrize("page", WRITTEN, ids=name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    for path in _TEST.findall(page.read_text(encoding="utf-8")):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", ["runbook.md", "deployment-checklist.md"])
def test_every_alert_and_log_event_that_is_named_exists(page: str) -> None:
    page_text = (ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8")
    code = "".join(
        path.read_text(encoding="utf-8")
        for package in LAYERS
        for path in (ROOT / package).rglob("*.py")
    )

    for word in set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page_text)) - {"max_connections"}:
        assert re.search(rf"\b{word}\b", code), word


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_speaks_of_the_project_alone(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert str(ROOT) not in text
    assert not re.search(r"/(?:work|root|home/\w+)/|/tmp/tollgate", text)
    assert not re.search(r"\b(?:TODO|FIXME|XXX)\b", text)


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set[Path](), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        todo += [
            (page.parent / link.partition("#")[0]).resolve()
            for link in links(page)
            if not link.startswith(("http", "mailto:", "#"))
        ]

    assert [name(page) for page in PAGES if page not in reached] == []
