"""A fast route passes its endpoint's parameters by position: a wrong signature is refused at import."""

import pytest
from fastapi import APIRouter

from api.http.fast_routes import BareRoute, FastRoute


def test_an_endpoint_with_a_wrong_parameter_is_refused_by_its_name() -> None:
    router = APIRouter(route_class=FastRoute)

    async def post_hold(
        organization_id: str, here: str, body: str, response: str, key: str
    ) -> None:
        raise AssertionError

    with pytest.raises(TypeError, match=r"post_hold takes \(organization_id, here, body,"):
        router.post("/{organization_id}/holds")(post_hold)


def test_a_bare_endpoint_takes_the_request_and_the_context() -> None:
    router = APIRouter(route_class=BareRoute)

    async def status(request: str) -> None:
        raise AssertionError

    with pytest.raises(TypeError, match=r"status takes \(request\), and .* with \(request, here\)"):
        router.post("/status")(status)
