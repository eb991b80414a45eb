"""The page that shows the API needs no other host, and the browser contacts none."""

import base64
import hashlib
import re

from api.docs import HERE, TYPES
from tests.integration.conftest import Tollgate

PUBLISHED = {
    "swagger-ui-bundle.js": "gjRm0bEPMeTmMh5jT2cHccIwCUZSTd8YC+j0d0sXw0MdGEfScduGpSyF3ZSSLkX9",
    "swagger-ui.css": "WlYgdmXYOOBWL5apwjDEZwN+U3HmXSSu5R6V5aGxEcf7z+KuRNwBhoxKVN1i3D5I",
}
"""SHA-384 of the files of npm's swagger-ui-dist 5.35.0."""


async def test_all_that_the_page_loads_is_served_here(tollgate: Tollgate) -> None:
    page = await tollgate.get("/docs", scope=None)
    loaded = re.findall(r'(?:src|href)="([^"]*)"', page.text)

    assert page.status_code == 200
    assert len(loaded) == 4
    for path in loaded:
        answer = await tollgate.get(path, scope=None)
        assert path.startswith("/docs/"), path
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            TYPES[path.removeprefix("/docs/")],
        )


async def test_the_page_may_run_nothing_but_its_own_files(tollgate: Tollgate) -> None:
    for path in ("/docs", "/docs/start.js"):
        policy = (await tollgate.get(path, scope=None)).headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self';" in policy
        assert "http" not in policy
    assert "<script>" not in (HERE / "index.html").read_text()


async def test_nothing_else_is_served_beside_it(tollgate: Tollgate) -> None:
    for path in (
        "/docs/",
        "/docs/LICENSE",
        "/docs/..%2Fapp.py",
        "/docs/%00",
        "/redoc",
        "/docs/oauth2-redirect",
    ):
        assert (await tollgate.get(path, scope=None)).status_code == 404, path


def test_the_files_are_those_that_were_published() -> None:
    for name, digest in PUBLISHED.items():
        assert (
            base64.b64encode(hashlib.sha384((HERE / name).read_bytes()).digest()).decode() == digest
        ), name
    assert "Apache License" in (HERE / "LICENSE").read_text()
