"""What a request to Stripe asks for: its form, expansions, range of time and page."""

from starlette.requests import Request

from simulators.stripe.errors import ApiError
from simulators.stripe.forms import nested
from simulators.stripe.state import Json


async def form(request: Request) -> Json:
    return nested((await request.body()).decode())


def expansions(request: Request) -> set[str]:
    return {
        value for name, value in request.query_params.multi_items() if name.startswith("expand")
    }


def created_range(request: Request) -> tuple[int, int]:
    start, end = request.query_params.get("created[gte]"), request.query_params.get("created[lte]")
    return int(start) if start else 0, int(end) if end else 2**62


def page(resources: list[Json], request: Request) -> Json:
    limit = int(request.query_params.get("limit", "10"))
    after = request.query_params.get("starting_after")
    ids = [resource["id"] for resource in resources]
    if after is not None and after not in ids:
        raise ApiError(400, f"No such object: '{after}'", code="resource_missing")
    first = 0 if after is None else ids.index(after) + 1
    some = resources[first : first + limit]
    return {
        "object": "list",
        "data": some,
        "has_more": first + limit < len(resources),
        "url": request.url.path,
    }
