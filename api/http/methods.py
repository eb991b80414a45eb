"""Determines the methods of a path from all routes that serve it: the framework uses only the first
match.
"""

from collections.abc import Iterable

from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send


class Methods:
    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [
            (route.path_regex, route.methods or set())
            for route in routes
            if isinstance(route, Route)
        ]

    def of(self, path: str) -> set[str]:
        """The methods of a path; empty if it is not served. `*` is the whole server (RFC 9110,
        9.3.7).
        """
        found = {
            method
            for pattern, methods in self._routes
            if path == "*" or pattern.fullmatch(path)
            for method in methods
        }
        return found | {"OPTIONS"} | ({"HEAD"} if "GET" in found else set()) if found else found

    def allow(self, path: str) -> str:
        """The value of the header `Allow`."""
        return ", ".join(sorted(self.of(path)))

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers OPTIONS."""
        await Response(status_code=204, headers={"Allow": self.allow(scope["path"])})(
            scope, receive, send
        )
