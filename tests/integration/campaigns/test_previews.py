"""Previews: a campaign's cost before anything is stored, equal to its later cost."""

from datetime import UTC, datetime, timedelta

from tests.integration.conftest import Tollgate

CAMPAIGNS = "/v1/organizations/acme/campaigns"
PREVIEW = f"{CAMPAIGNS}/preview"
US, GERMANY, INMARSAT = "+14155550100", "+4915112345678", "+870773111632"


def campaign(*recipients: str, body: str = "Hello") -> dict[str, object]:
    return {"name": "Autumn", "body": body, "recipients": list(recipients)}


async def test_a_preview_tells_cost_and_faults_and_stores_nothing(tollgate: Tollgate) -> None:
    await tollgate.onboard(price_per_segment=None, balance="0.20")
    for country, price in (("US", "0.01"), ("DE", "0.07")):
        await tollgate.ask(
            "PUT", f"/v1/rates/{country}", {"price_per_segment": price, "currency": "USD"}
        )

    answer = await tollgate.post(
        PREVIEW, campaign(US, INMARSAT, GERMANY, US, "4711", GERMANY[:-1], body="я" * 71)
    )

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "recipients": 3,
        "duplicates": 1,
        "bad": 2,
        "bad_recipients": [
            {
                "index": 1,
                "message": "the number's country is not known, and there is no price for all countries",
            },
            {"index": 4, "message": "not in E.164, such as +14155550100"},
        ],
        "encoding": "UCS-2",
        "segments": 2,
        "cost": "0.30",
        "currency": "USD",
        "countries": [
            {"country": "DE", "recipients": 2, "price_per_segment": "0.07", "cost": "0.28"},
            {"country": "US", "recipients": 1, "price_per_segment": "0.01", "cost": "0.02"},
        ],
        "available": "0.20",
        "runs_dry_position": 3,
    }
    assert (await tollgate.get(CAMPAIGNS)).json()["data"] == []


async def test_a_preview_asks_what_no_hold_has_set_aside(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="1.00")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    hold = {"reference_id": "h", "amount": "0.99", "currency": "USD", "expires_at": tomorrow}
    assert (await tollgate.post("/v1/organizations/acme/wallet/holds", hold)).status_code == 201

    answer = (await tollgate.post(PREVIEW, campaign(US, GERMANY))).json()

    assert (answer["available"], answer["cost"], answer["runs_dry_position"]) == ("0.01", "0.02", 2)


async def test_a_preview_of_a_hundred_thousand_names_the_message_that_is_not_paid(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard(balance="412.00")
    many = [f"+1415{number:07d}" for number in range(2_000_000, 2_100_000)]

    answer = (await tollgate.post(PREVIEW, campaign(*many))).json()

    assert (answer["recipients"], answer["cost"], answer["runs_dry_position"]) == (
        100_000,
        "1000.00",
        41_201,
    )


async def test_a_preview_refuses_what_the_creation_refuses(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    answers = [
        await tollgate.post(PREVIEW, campaign(US, body=" ")),
        await tollgate.post(PREVIEW, campaign(US, body="x" * 1601)),
        await tollgate.post("/v1/organizations/nobody/campaigns/preview", campaign(US)),
        await tollgate.post(PREVIEW, campaign(US), scope=None),
    ]

    assert [response.status_code for response in answers] == [422, 422, 404, 401]
