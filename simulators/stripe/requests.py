"""What a request to Stripe asks for: its form, expansions, range of time and page."""

from collections.abc import Iterable

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


def is_listed(subscription: Json, wanted: str | None) -> bool:
    """Whether a list of subscriptions with this `status` contains it; by default it contains "all
    subscriptions that have not been canceled", with `ended` all that were canceled or expired.
    """
    status, ended = subscription["status"], ("canceled", "incomplete_expired")
    if wanted is None:
        return bool(status != "canceled")
    return wanted == "all" or (status in ended if wanted == "ended" else status == wanted)


def page(resources: list[Json], request: Request, among: Iterable[Json] = ()) -> Json:
    """`among` are further objects that `starting_after` may name: of all, older than those listed
    behind it, in the order of their creation.
    """
    limit = int(request.query_params.get("limit", "10"))
    after = request.query_params.get("starting_after")
    first = 0 if after is None else _behind(after, resources, among)
    some = resources[first : first + limit]
    return {
        "object": "list",
        "data": some,
        "has_more": first + limit < len(resources),
        "url": request.url.path,
    }


def _behind(after: str, resources: list[Json], among: Iterable[Json]) -> int:
    ids = [resource["id"] for resource in resources]
    if after in ids:
        return ids.index(after) + 1
    older: set[str] = set()
    for resource in among:
        if resource["id"] == after:
            return next((n for n, id_ in enumerate(ids) if id_ in older), len(ids))
        older.add(resource["id"])
    raise ApiError(400, f"No such object: '{after}'", code="resource_missing")
