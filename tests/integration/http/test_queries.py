"""A query parameter that an operation does not have is refused, not ignored."""

from collections.abc import Iterator

import pytest

from api.app import create_app
from tests.integration.conftest import Tollgate

WALLET = "/v1/organizations/acme/wallet"
PLACES = {
    "organization_id": "acme",
    "reference_id": "h1",
    "country": "US",
    "delivery_id": "1",
    "event_id": "evt_1",
    "kind": "admin",
    "reference": "x",
    "checkout_id": "x",
    "key_id": "x",
    "alert_id": "x",
    "route_id": "x",
    "category": "x",
    "from_currency": "USD",
    "to_currency": "EUR",
    "endpoint_id": f"we_{'0' * 24}",
}


def _operations() -> Iterator[tuple[str, str, set[str]]]:
    for path, methods in create_app().openapi()["paths"].items():
        for method, operation in methods.items():
            parameters = operation.get("parameters", ())
            if operation["tags"] != ["webhooks"]:
                names = {
                    parameter["name"] for parameter in parameters if parameter["in"] == "query"
                }
                yield method.upper(), path, names


async def test_every_operation_refuses_a_query_parameter_that_it_does_not_have(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()

    operations = list(_operations())
    for method, path, names in operations:
        at = path.format_map(
            {**dict.fromkeys(("campaign_id", "message_id", "bulk_act_id"), "x"), **PLACES}
        )
        answer = await tollgate.ask(method, at, params={"limitt": "1"})
        place = method, at
        assert answer.status_code == 422, (place, answer.text)
        assert [error["field"] for error in answer.json()["errors"]] == ["limitt"], place
        for name in names:
            assert name in answer.json()["errors"][0]["message"], place
    assert sum(method == "GET" for method, *_ in operations) >= 25


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=1&after=a", "after"), ("Limit=1", "Limit"), ("%00=1", "\x00"), ("=1", "")],
)
async def test_the_parameter_is_named(tollgate: Tollgate, query: str, field: str) -> None:
    await tollgate.onboard()

    answer = await tollgate.get(f"{WALLET}/entries?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_parameters_of_an_operation_are_accepted(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    for query in ("", "?", "?limit=1", "?limit=1&status=open"):
        assert (await tollgate.get(f"{WALLET}/holds{query}")).status_code == 200, query


async def test_nothing_is_booked_when_a_parameter_is_refused(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")
    body = {"reference_id": "d", "amount": "1.00", "currency": "USD"}

    answer = await tollgate.post(f"{WALLET}/debits?dry_run=true", body)

    assert answer.status_code == 422
    assert (await tollgate.get(WALLET)).json()["balance"] == "10.00"
