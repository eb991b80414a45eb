from typing import Any

import httpx
import pytest

from simulators.paypal.app import CLIENT_ID, PayPalSimulator
from simulators.paypal.state import DEFAULT_PLAN

SUBSCRIPTIONS = "/v1/billing/subscriptions"


async def active(api: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await api.post("/_sim/subscriptions", json={"custom_id": "org_1", **more})
    return answer.json()["object"]  # type: ignore[no-any-return]


def issue(answer: httpx.Response) -> str:
    return answer.json()["details"][0]["issue"]  # type: ignore[no-any-return]


def outstanding(value: str) -> dict[str, Any]:
    amount = {"currency_code": "USD", "value": value}
    return {"note": "Collect", "capture_type": "OUTSTANDING_BALANCE", "amount": amount}


async def test_a_wrong_secret_gets_no_token(paypal: PayPalSimulator) -> None:
    async with httpx.AsyncClient(base_url=paypal.url) as client:
        answer = await client.post(
            "/v1/oauth2/token", data={"grant_type": "client_credentials"}, auth=(CLIENT_ID, "x")
        )

    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"
    assert paypal.tokens.fetches == 0


async def test_without_a_valid_token_everything_is_refused(api: httpx.AsyncClient) -> None:
    subscription = await active(api)
    await api.post("/_sim/tokens/expire")
    answer = await api.get(f"{SUBSCRIPTIONS}/{subscription['id']}")

    assert answer.status_code == 401
    assert answer.json()["name"] == "AUTHENTICATION_FAILURE"


async def test_a_subscription_is_created_once_per_request_id(api: httpx.AsyncClient) -> None:
    order = {"plan_id": DEFAULT_PLAN, "custom_id": "org_7"}
    first = await api.post(SUBSCRIPTIONS, json=order, headers={"PayPal-Request-Id": "k1"})
    again = await api.post(SUBSCRIPTIONS, json=order, headers={"PayPal-Request-Id": "k1"})
    other = await api.post(SUBSCRIPTIONS, json=order, headers={"PayPal-Request-Id": "k2"})

    assert (first.status_code, again.status_code, other.status_code) == (201, 200, 201)
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    assert first.json()["status"] == "APPROVAL_PENDING"
    assert "approve" in {link["rel"] for link in first.json()["links"]}


async def test_a_buyers_approval_activates_and_pays(api: httpx.AsyncClient) -> None:
    created = (await api.post(SUBSCRIPTIONS, json={"plan_id": DEFAULT_PLAN})).json()
    subscription = (
        await api.post(
            f"/_sim/subscriptions/{created['id']}/approve", json={"at": "2026-11-01T10:04:02Z"}
        )
    ).json()
    found = (await api.get(f"{SUBSCRIPTIONS}/{created['id']}")).json()

    assert [event["event_type"] for event in subscription["events"]] == [
        "BILLING.SUBSCRIPTION.ACTIVATED",
        "PAYMENT.SALE.COMPLETED",
    ]
    assert found["status"] == "ACTIVE"
    assert found["status_update_time"] == "2026-11-01T10:04:02Z"
    assert found["billing_info"]["last_payment"]["amount"] == {
        "currency_code": "USD",
        "value": "49.00",
    }


async def test_a_failed_payment_leaves_it_active_and_owing(api: httpx.AsyncClient) -> None:
    subscription = await active(api)
    await api.post(f"/_sim/subscriptions/{subscription['id']}/fail_payment")
    path = f"{SUBSCRIPTIONS}/{subscription['id']}"
    plain = (await api.get(path)).json()
    full = (await api.get(path, params={"fields": "last_failed_payment"})).json()

    assert plain["status"] == "ACTIVE"
    assert plain["billing_info"]["failed_payments_count"] == 1
    assert plain["billing_info"]["outstanding_balance"]["value"] == "49.00"
    assert "last_failed_payment" not in plain["billing_info"]
    assert full["billing_info"]["last_failed_payment"]["reason_code"] == "PAYMENT_DENIED"


async def test_nonpayment_cannot_be_activated_before_it_is_paid(api: httpx.AsyncClient) -> None:
    path = f"{SUBSCRIPTIONS}/{(await active(api))['id']}"
    await api.post(f"/_sim/subscriptions/{path.rpartition('/')[2]}/suspend")
    refused = await api.post(f"{path}/activate", json={"reason": "please"})
    too_much = await api.post(f"{path}/capture", json=outstanding("50.00"))
    paid = await api.post(
        f"{path}/capture", json=outstanding("49.00"), headers={"PayPal-Request-Id": "c1"}
    )
    replayed = await api.post(
        f"{path}/capture", json=outstanding("49.00"), headers={"PayPal-Request-Id": "c1"}
    )
    nothing_left = await api.post(
        f"{path}/capture", json=outstanding("49.00"), headers={"PayPal-Request-Id": "c2"}
    )
    status_after_capture = (await api.get(path)).json()["status"]
    activated = await api.post(f"{path}/activate", json={"reason": "paid"})

    assert (refused.status_code, issue(refused)) == (422, "SUBSCRIPTION_CANNOT_BE_ACTIVATED")
    assert issue(too_much) == "AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE"
    assert [(response.status_code, response.content) for response in (paid, replayed)] == [
        (202, b"")
    ] * 2
    assert issue(nothing_left) == "ZERO_OUTSTANDING_BALANCE"
    assert status_after_capture == "SUSPENDED"
    assert activated.status_code == 204
    assert (await api.get(path)).json()["status"] == "ACTIVE"


@pytest.mark.parametrize(
    ("before", "command"),
    [("suspend", "suspend"), ("cancel", "suspend"), ("cancel", "cancel"), ("pay", "activate")],
)
async def test_a_command_against_the_status_is_refused(
    api: httpx.AsyncClient, before: str, command: str
) -> None:
    subscription = await active(api)
    await api.post(f"/_sim/subscriptions/{subscription['id']}/{before}")
    answer = await api.post(f"{SUBSCRIPTIONS}/{subscription['id']}/{command}", json={"reason": "x"})

    assert (answer.status_code, issue(answer)) == (422, "SUBSCRIPTION_STATUS_INVALID")


async def test_a_merchants_suspension_can_be_lifted(api: httpx.AsyncClient) -> None:
    path = f"{SUBSCRIPTIONS}/{(await active(api))['id']}"
    suspended = await api.post(f"{path}/suspend", json={"reason": "Pause"})
    lifted = await api.post(f"{path}/activate", json={})

    assert (suspended.status_code, lifted.status_code) == (204, 204)


async def test_an_unknown_id_is_not_found(api: httpx.AsyncClient) -> None:
    for path in (
        f"{SUBSCRIPTIONS}/I-NONE",
        "/v1/payments/sale/NONE",
        "/v2/payments/captures/NONE",
        "/v9/nothing",
    ):
        answer = await api.get(path)

        assert (answer.status_code, answer.json()["name"]) == (404, "RESOURCE_NOT_FOUND")


async def test_revising_asks_for_the_buyers_consent(api: httpx.AsyncClient) -> None:
    price = {"fixed_price": {"value": "99.00", "currency_code": "USD"}}
    plan = {
        "name": "Large",
        "product_id": "PROD-XXCD1234QWER65782",
        "billing_cycles": [{"pricing_scheme": price}],
    }
    plan_id = (await api.post("/v1/billing/plans", json=plan)).json()["id"]
    path = f"{SUBSCRIPTIONS}/{(await active(api))['id']}"
    revised = (await api.post(f"{path}/revise", json={"plan_id": plan_id})).json()
    before = (await api.get(path)).json()["plan_id"]
    await api.post(f"/_sim/subscriptions/{path.rpartition('/')[2]}/approve")

    assert revised["links"][0]["rel"] == "approve"
    assert before == DEFAULT_PLAN
    assert (await api.get(path)).json()["plan_id"] == plan_id


async def test_custom_id_can_be_patched(api: httpx.AsyncClient) -> None:
    path = f"{SUBSCRIPTIONS}/{(await active(api))['id']}"
    answer = await api.patch(path, json=[{"op": "replace", "path": "/custom_id", "value": "org_2"}])

    assert answer.status_code == 204
    assert (await api.get(path)).json()["custom_id"] == "org_2"


async def test_transactions_need_both_times_and_list_the_sales(api: httpx.AsyncClient) -> None:
    path = f"{SUBSCRIPTIONS}/{(await active(api, at='2026-11-01T10:00:00Z'))['id']}/transactions"
    missing = await api.get(path, params={"start_time": "2026-11-01T00:00:00Z"})
    inside = await api.get(
        path, params={"start_time": "2026-11-01T00:00:00Z", "end_time": "2026-11-02T00:00:00Z"}
    )
    outside = await api.get(
        path, params={"start_time": "2026-11-02T00:00:00Z", "end_time": "2026-11-03T00:00:00Z"}
    )

    assert missing.status_code == 400
    (transaction,) = inside.json()["transactions"]
    assert transaction["status"] == "COMPLETED"
    assert transaction["amount_with_breakdown"]["gross_amount"]["value"] == "49.00"
    assert outside.json()["transactions"] == []


async def test_a_sale_and_its_partial_refunds_have_the_first_shape_of_money(
    api: httpx.AsyncClient,
) -> None:
    await active(api)
    sale = (await api.get("/_sim/payments")).json()["sales"][0]
    await api.post(f"/_sim/payments/{sale['id']}/refund", json={"amount": "10.00"})
    refund = (await api.post(f"/_sim/payments/{sale['id']}/refund", json={"amount": "5.00"})).json()
    too_much = await api.post(f"/_sim/payments/{sale['id']}/refund", json={"amount": "40"})
    found = (await api.get(f"/v1/payments/refund/{refund['object']['id']}")).json()

    assert refund["events"][0]["event_type"] == "PAYMENT.SALE.REFUNDED"
    assert found["amount"] == {"total": "5.00", "currency": "USD"}
    assert found["total_refunded_amount"] == {"value": "15.00", "currency": "USD"}
    assert (await api.get(f"/v1/payments/sale/{sale['id']}")).json()[
        "state"
    ] == "partially_refunded"
    assert too_much.status_code == 409


async def test_a_reversed_sale_has_a_negative_event_and_a_refund_to_get(
    api: httpx.AsyncClient,
) -> None:
    await active(api)
    sale = (await api.get("/_sim/payments")).json()["sales"][0]
    event = (await api.post(f"/_sim/payments/{sale['id']}/reverse")).json()["events"][0]
    found = await api.get(f"/v1/payments/refund/{event['resource']['id']}")

    assert event["event_type"] == "PAYMENT.SALE.REVERSED"
    assert event["resource"]["amount"]["total"] == "-49.00"
    assert found.json()["sale_id"] == sale["id"]


async def test_a_top_up_and_its_refund_have_the_second_shape_of_money(
    api: httpx.AsyncClient,
) -> None:
    captured = (
        await api.post("/_sim/captures", json={"amount": "30", "custom_id": "org_1:topup:81"})
    ).json()
    capture = (await api.get(f"/v2/payments/captures/{captured['object']['id']}")).json()
    refund = (await api.post(f"/_sim/payments/{capture['id']}/refund")).json()["object"]
    found = await api.get(f"/v2/payments/refunds/{refund['id']}")
    wrong_version = await api.get(f"/v1/payments/refund/{refund['id']}")

    assert captured["events"][0]["event_type"] == "PAYMENT.CAPTURE.COMPLETED"
    assert capture["amount"] == {"currency_code": "USD", "value": "30.00"}
    assert capture["custom_id"] == "org_1:topup:81"
    assert found.json()["amount"] == {"currency_code": "USD", "value": "30.00"}
    assert wrong_version.status_code == 404


async def test_a_currency_without_decimals_has_none(api: httpx.AsyncClient) -> None:
    capture = (await api.post("/_sim/captures", json={"amount": "3000", "currency": "JPY"})).json()

    assert capture["object"]["amount"] == {"currency_code": "JPY", "value": "3000"}


async def test_a_dispute_is_opened_and_resolved(api: httpx.AsyncClient) -> None:
    await active(api)
    sale = (await api.get("/_sim/payments")).json()["sales"][0]
    opened = (await api.post(f"/_sim/payments/{sale['id']}/dispute")).json()["object"]
    moved = await api.post(
        f"/_sim/disputes/{opened['dispute_id']}/move", json={"outcome": "RESOLVED_BUYER_FAVOUR"}
    )
    found = (await api.get(f"/v1/customer/disputes/{opened['dispute_id']}")).json()

    assert opened["status"] == "OPEN"
    assert opened["disputed_transactions"][0]["seller_transaction_id"] == sale["id"]
    assert moved.json()["events"][0]["event_type"] == "CUSTOMER.DISPUTE.RESOLVED"
    assert (found["status"], found["dispute_outcome"]["outcome_code"]) == (
        "RESOLVED",
        "RESOLVED_BUYER_FAVOUR",
    )


async def test_a_thousand_subscriptions_are_made_in_one_call(
    api: httpx.AsyncClient, paypal: PayPalSimulator
) -> None:
    created = (
        await api.post("/_sim/subscriptions/bulk", json={"count": 1000, "prefix": "STORM"})
    ).json()["subscriptions"]
    acted = await api.post(
        "/_sim/subscriptions/bulk/suspend", json={"prefix": "STORM", "deliver": False}
    )

    assert created[0] == {"id": "I-STORM0000001", "custom_id": "org_1"}
    assert acted.json()["count"] == 1000
    assert {each.status for each in paypal.state.subscriptions.values()} == {"SUSPENDED"}
    assert paypal.deliveries.all == {}
