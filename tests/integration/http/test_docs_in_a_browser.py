"""The page `/docs` in a browser that can reach only the API's host."""

import asyncio
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.conftest import Tollgate

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="chromium is not installed (apt-get install chromium)"
)


async def shown(url: str, directory: Path) -> tuple[str, dict[str, Any]]:
    """The page after its scripts have run, and the browser's log of the network."""
    assert BROWSER is not None
    network = directory / "network.json"
    browser = await asyncio.create_subprocess_exec(
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        f"--user-data-dir={directory / 'profile'}",
        f"--log-net-log={network}",
        "--virtual-time-budget=30000",
        "--dump-dom",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    page, _ = await browser.communicate()
    return page.decode(), json.loads(network.read_text())


def requests(network: dict[str, Any]) -> Iterator[str]:
    """The URLs that pages requested. The browser's own requests have no initiator."""
    for event in network["events"]:
        about = event.get("params", {})
        if "url" in about and about.get("initiator", "not an origin") != "not an origin":
            yield about["url"]


async def test_every_operation_is_shown_and_nothing_comes_from_elsewhere(
    tollgate: Tollgate, tmp_path: Path
) -> None:
    schema = (await tollgate.get("/openapi.json", scope=None)).json()

    page, network = await shown(f"{tollgate.url}/docs", tmp_path)

    urls = list(requests(network))
    assert f"{tollgate.url}/openapi.json" in urls
    assert {urlsplit(url).netloc for url in urls if url.startswith("http")} == {
        urlsplit(tollgate.url).netloc
    }
    operations = [(method.upper(), path) for path, at in schema["paths"].items() for method in at]
    webhooks = schema["webhooks"]
    assert len(re.findall(r'class="opblock ', page)) == len(operations) + len(webhooks)
    for _, path in operations:
        assert f'data-path="{path}"' in page
