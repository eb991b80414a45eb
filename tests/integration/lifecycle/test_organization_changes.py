"""Changing an organization: its name, sender, price and grace period, each separately; the last
change counts.
"""

from typing import Any

import httpx

from db.api_keys import Scope
from tests.builders import rows
from tests.integration.conftest import Tollgate, organization

ACME = "/v1/organizations/acme"


async def change(tollgate: Tollgate, **what: object) -> httpx.Response:
    return await tollgate.ask("PATCH", ACME, json=what)


async def now(tollgate: Tollgate) -> dict[str, Any]:
    found: dict[str, Any] = (await tollgate.get(ACME)).json()
    return found


async def test_each_is_changed_by_itself_and_again_is_the_same(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    changes: list[tuple[str, object]] = [
        ("name", "Acme International"),
        ("sender", "ACME"),
        ("price_per_segment", "0.02"),
        ("price_per_segment", None),
        ("grace_period_seconds", 0),
        ("when_empty", "suspend"),
        ("empty_grace_period_seconds", 0),
        ("reserve_days", 30),
    ]
    for field, value in changes:
        before = await now(tollgate)

        answers = [await change(tollgate, **{field: value}) for _ in range(2)]

        assert [response.status_code for response in answers] == [200, 200]
        assert (
            answers[0].json() == answers[1].json() == await now(tollgate) == before | {field: value}
        )


async def test_omitted_fields_stay_and_an_empty_change_is_refused(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    both = await change(tollgate, name="New", sender="12345")
    wrong = [
        await change(tollgate),
        await change(tollgate, name=None),
        await change(tollgate, sender=None),
        await change(tollgate, grace_period_seconds=None),
        await change(tollgate, currency="EUR"),
        await change(tollgate, twilio_account_sid="AC" + "0" * 32),
        await change(tollgate, price_per_segment="0"),
        await change(tollgate, price_per_segment="0.0000001"),
        await change(tollgate, grace_period_seconds=-1),
        await change(tollgate, when_empty="stop"),
        await change(tollgate, when_empty=None),
        await change(tollgate, empty_grace_period_seconds=-1),
        await change(tollgate, reserve_days=367),
        await change(tollgate, reserve_days=-1),
        await change(tollgate, name=" "),
    ]

    assert both.status_code == 200
    assert [response.status_code for response in wrong] == [422] * len(wrong)
    assert ((await now(tollgate))["name"], (await now(tollgate))["sender"]) == ("New", "12345")


async def test_it_needs_a_key_that_may_write_and_an_organization(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    forbidden = await tollgate.ask("PATCH", ACME, json={"name": "New"}, scope=Scope.READ)
    nobody = await tollgate.ask("PATCH", "/v1/organizations/nobody", json={"name": "New"})

    assert (forbidden.status_code, nobody.status_code) == (403, 404)


async def test_a_sender_may_be_an_alphanumeric_id_and_no_nonsense(tollgate: Tollgate) -> None:
    created = await tollgate.post(
        "/v1/organizations", organization("acme", await tollgate.account()) | {"sender": "Acme Ltd"}
    )

    refused = await change(tollgate, sender="rcs:acme")

    assert (created.status_code, created.json()["sender"]) == (201, "Acme Ltd")
    assert refused.status_code == 422
    assert "alphanumeric sender id" in refused.text


async def test_a_new_price_counts_for_what_is_loaded_or_sent_from_now_on(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    campaign = {"name": "spring", "body": "Hello", "recipients": ["+14155550100"]}
    before = await tollgate.post(f"{ACME}/campaigns", campaign, key="before")

    await change(tollgate, price_per_segment="0.05")
    after = await tollgate.post(f"{ACME}/campaigns", campaign, key="after")
    single = await tollgate.post(
        f"{ACME}/messages", {"to": "+14155550101", "body": "Hello"}, key="one"
    )

    prices = {
        str(row.campaign_id): row.price_micros
        for row in await rows(
            tollgate.services.engine, "SELECT campaign_id, price_micros FROM messages"
        )
    }
    assert prices[after.json()["id"]] == 50_000
    assert prices[before.json()["id"]] != 50_000
    assert single.json()["price"] == "0.05"


async def test_a_text_with_a_placeholder_is_refused_wherever_it_comes_in(
    tollgate: Tollgate,
) -> None:
    """There are no templates: the placeholder would be sent literally."""
    await tollgate.onboard()
    campaign = {"name": "spring", "body": "Hello {{name}}", "recipients": ["+14155550100"]}
    message = {"to": "+14155550100", "body": campaign["body"]}

    answers = [
        await tollgate.post(f"{ACME}/campaigns", campaign, key="one"),
        await tollgate.post(f"{ACME}/campaigns/preview", campaign),
        await tollgate.post(f"{ACME}/messages", message, key="two"),
    ]

    assert [response.status_code for response in answers] == [422] * 3
    assert all("placeholder" in response.text for response in answers)
