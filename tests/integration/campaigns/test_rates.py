"""Rates through the API: which price applies, when it applies, and the message if there is none."""

import pytest

from db.api_keys import Scope
from tests.integration.conftest import Tollgate

OWN = "/v1/organizations/acme/rates"
CAMPAIGNS = "/v1/organizations/acme/campaigns"
MESSAGES = "/v1/organizations/acme/messages"
US, GERMANY, JAMAICA, INMARSAT = "+14155550100", "+4915112345678", "+18765550100", "+870773111632"


async def everybody(tollgate: Tollgate, country: str, price: str, currency: str = "USD") -> None:
    body = {"price_per_segment": price, "currency": currency}
    assert (await tollgate.ask("PUT", f"/v1/rates/{country}", body)).status_code == 200


async def own(tollgate: Tollgate, country: str, price: str) -> None:
    assert (
        await tollgate.ask("PUT", f"{OWN}/{country}", {"price_per_segment": price})
    ).status_code == 200


async def price_of(tollgate: Tollgate, to: str, key: str) -> str:
    sent = await tollgate.post(MESSAGES, {"to": to, "body": "Hello"}, key=key)
    assert sent.status_code == 201, sent.text
    return str(sent.json()["price"])


async def test_the_nearest_rate_counts(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await everybody(tollgate, "DE", "0.07")
    await everybody(tollgate, "US", "0.009")
    await everybody(tollgate, "JM", "9.99", "EUR")  # in another currency
    await own(tollgate, "DE", "0.0655")

    prices = [await price_of(tollgate, to, f"k{to}") for to in (GERMANY, US, JAMAICA, INMARSAT)]

    assert prices == ["0.0655", "0.009", "0.01", "0.01"]


async def test_a_loaded_recipient_keeps_its_price(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await own(tollgate, "US", "0.02")
    response = await tollgate.post(
        CAMPAIGNS, {"name": "a", "body": "b", "recipients": [US]}, key="k1"
    )

    await own(tollgate, "US", "0.05")

    async with tollgate.services.engine.connect() as conn:
        found = await conn.exec_driver_sql("SELECT price_micros, country FROM messages")
        assert [tuple(row) for row in found] == [(20_000, "US")]
    assert response.status_code == 201


async def test_without_a_default_only_countries_with_a_rate_are_sent_to(tollgate: Tollgate) -> None:
    await tollgate.onboard(price_per_segment=None)
    before = (await tollgate.get("/v1/organizations/acme/can-send")).json()
    await everybody(tollgate, "DE", "0.07")
    campaign = {"name": "a", "body": "b", "recipients": [GERMANY, US, INMARSAT]}

    refused = await tollgate.post(CAMPAIGNS, campaign, key="k1")
    message = await tollgate.post(MESSAGES, {"to": US, "body": "Hello"}, key="k2")

    assert [reason["code"] for reason in before["reasons"]] == ["no_rate"]
    assert (await tollgate.get("/v1/organizations/acme/can-send")).json()["can_send"] is True
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [
        "recipients.1",
        "recipients.2",
    ]
    assert "no rate for US" in refused.json()["errors"][0]["message"]
    assert (message.status_code, message.json()["errors"][0]["field"]) == (422, "to")
    assert await price_of(tollgate, GERMANY, "k3") == "0.07"
    assert (await tollgate.get("/v1/organizations/acme/wallet")).json()["balance"] == "9.93"


async def test_requests_made_before_their_rate_was_removed_can_be_repeated(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(price_per_segment=None)
    await own(tollgate, "US", "0.01")
    campaign, message = {"name": "a", "body": "b", "recipients": [US]}, {"to": US, "body": "Hello"}
    done = [
        await tollgate.post(CAMPAIGNS, campaign, key="k1"),
        await tollgate.post(MESSAGES, message, key="k2"),
    ]
    await tollgate.ask("DELETE", f"{OWN}/US")

    again = [
        await tollgate.post(CAMPAIGNS, campaign, key="k1"),
        await tollgate.post(MESSAGES, message, key="k2"),
    ]
    other = await tollgate.post(MESSAGES, message | {"body": "Other"}, key="k2")

    assert [response.status_code for response in (*done, *again, other)] == [
        201,
        201,
        200,
        200,
        409,
    ]
    assert [response.json()["id"] for response in again] == [
        response.json()["id"] for response in done
    ]
    assert (await tollgate.get("/v1/organizations/acme/wallet")).json()["balance"] == "9.99"


async def test_rates_are_listed_read_and_removed(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    await everybody(tollgate, "US", "0.009")
    await everybody(tollgate, "DE", "0.07")
    await everybody(tollgate, "DE", "0.06", "EUR")
    await own(tollgate, "FR", "0.08")

    listed = (await tollgate.get("/v1/rates")).json()["data"]
    rate = (await tollgate.get("/v1/rates/DE", params={"currency": "EUR"})).json()
    mine = (await tollgate.get(OWN)).json()["data"]
    gone = [
        (await tollgate.ask("DELETE", path)).status_code
        for path in (
            "/v1/rates/DE?currency=EUR",
            "/v1/rates/DE?currency=EUR",
            f"{OWN}/FR",
            f"{OWN}/FR",
        )
    ]
    missing = [
        await tollgate.get(f"{OWN}/FR"),
        await tollgate.get("/v1/rates/DE", params={"currency": "EUR"}),
    ]

    assert [(rate["country"], rate["currency"]) for rate in listed] == [
        ("DE", "EUR"),
        ("DE", "USD"),
        ("US", "USD"),
    ]
    assert (rate["price_per_segment"], rate["organization_id"]) == ("0.06", None)
    assert [(rate_["organization_id"], rate_["country"], rate_["currency"]) for rate_ in mine] == [
        ("acme", "FR", "USD")
    ]
    assert gone == [204, 404, 204, 404]
    assert [response.status_code for response in missing] == [404, 404]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v1/rates/XX", {"price_per_segment": "1", "currency": "USD"}, "country"),
        ("/v1/rates/de", {"price_per_segment": "1", "currency": "USD"}, "country"),
        ("/v1/rates/DE", {"price_per_segment": "1"}, "currency"),
        ("/v1/rates/DE", {"price_per_segment": "0", "currency": "USD"}, "price_per_segment"),
        (f"{OWN}/DE", {"price_per_segment": 0.01}, "price_per_segment"),
        (f"{OWN}/DE", {"price_per_segment": "0.0000001"}, "price_per_segment"),
        (f"{OWN}/DE", {"price_per_segment": "1", "currency": "USD"}, "currency"),
    ],
)
async def test_a_wrong_rate_names_the_field(
    tollgate: Tollgate, path: str, body: dict[str, object], field: str
) -> None:
    await tollgate.onboard()

    answer = await tollgate.ask("PUT", path, body)

    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (
        422,
        [field],
    )


async def test_rates_need_a_scope_and_an_organization(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    body = {"price_per_segment": "1"}

    answers = [
        await tollgate.ask("PUT", f"{OWN}/DE", body, scope=Scope.READ),
        await tollgate.ask("PUT", "/v1/rates/DE", body | {"currency": "USD"}, scope=Scope.READ),
        await tollgate.ask("PUT", "/v1/organizations/nobody/rates/DE", body),
        await tollgate.get("/v1/organizations/nobody/rates"),
    ]

    assert [response.status_code for response in answers] == [403, 403, 404, 404]


async def test_a_price_that_no_message_could_cost_is_refused_and_the_largest_works(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    refused = [
        await tollgate.ask("PUT", "/v1/rates/US", {"price_per_segment": price, "currency": "USD"})
        for price in ("4000000000000", "1000000.000001")
    ]
    refused.append(
        await tollgate.ask("PUT", "/v1/organizations/acme/rates/US", {"price_per_segment": "4e12"})
    )
    largest = await tollgate.ask(
        "PUT", "/v1/rates/US", {"price_per_segment": "1000000", "currency": "USD"}
    )
    longest = {"to": "+14155550100", "body": "я" * 1600}
    many = {
        "name": "A",
        "body": "я" * 1600,
        "recipients": [f"+1415{2_000_000 + number}" for number in range(100)],
    }

    message = await tollgate.post("/v1/organizations/acme/messages", longest, key="m1")
    previewed = await tollgate.post("/v1/organizations/acme/campaigns/preview", many)
    created = await tollgate.post("/v1/organizations/acme/campaigns", many, key="c1")

    assert [answer.status_code for answer in refused] == [422, 422, 422]
    assert [answer.status_code for answer in (largest, message, previewed, created)] == [
        200,
        402,
        200,
        201,
    ]
    assert previewed.json()["cost"] == "2400000000.00"


async def test_amounts_at_their_bound_are_answered_and_never_an_error_of_ours(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    largest = "4611686018427.387904"
    wallet = "/v1/organizations/acme/wallet"
    postings = [
        ("credits", {"reference_id": f"c{n}", "amount": largest, "currency": "USD"})
        for n in range(3)
    ] + [
        ("debits", {"reference_id": "d", "amount": largest, "currency": "USD"}),
        ("debits", {"reference_id": "e", "amount": largest, "currency": "USD"}),
    ]

    answers = [await tollgate.post(f"{wallet}/{path}", body) for path, body in postings]

    assert all(answer.status_code < 500 for answer in answers), [answer.text for answer in answers]
