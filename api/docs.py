"""The API's description as an interactive page: Swagger UI, served by the API itself, so that it
needs no other host.

`swagger_ui/` contains unchanged files of npm's swagger-ui-dist 5.35.0 (Apache-2.0), and two of ours
that start it.
"""

from pathlib import Path

from fastapi import APIRouter, Response

from api.http.errors import not_found

HERE = Path(__file__).parent / "swagger_ui"
TYPES = {
    "index.html": "text/html; charset=utf-8",
    "start.js": "text/javascript; charset=utf-8",
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' "
        "data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "max-age=3600",
}
router = APIRouter(include_in_schema=False)
_FILES = {name: (HERE / name).read_bytes() for name in TYPES}


@router.get("/docs")
async def page() -> Response:
    return _file("index.html")


@router.get("/docs/{name}")
async def file(name: str) -> Response:
    if name not in _FILES:
        raise not_found("path")
    return _file(name)


def _file(name: str) -> Response:
    return Response(_FILES[name], media_type=TYPES[name], headers=HEADERS)
