"""Refuses unknown query parameters: a misspelled filter would be ignored otherwise."""

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from api.http.errors import invalid


async def refuse_unknown(request: Request) -> None:
    """Raises `Problem`."""
    if not request.scope["query_string"]:
        return
    allowed = _names(request.scope["route"])
    for name in request.query_params:
        if name not in allowed:
            choice = f"it takes {', '.join(sorted(allowed))}" if allowed else "it takes none"
            raise invalid(name[:100], f"not a query parameter of this operation: {choice}")


def _names(route: APIRoute) -> set[str]:
    return {
        field.alias
        for field in get_flat_params(route.dependant)
        if isinstance(field.field_info, params.Query)
    }
