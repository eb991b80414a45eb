"""The PayPal adapter against a real server: its requests, its interpretation of responses, and that
it never retries.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
import pytest_asyncio

from domain.billing.events import EventKind, MoneyObject, MoneyReference, PaymentStatus
from domain.billing.subscription import State
from domain.money import BadAmount, Money, parse
from providers.billing import Collected, PlanChange, Resumed
from providers.errors import (
    AlreadyTerminal,
    NotAccepted,
    NotFound,
    ProviderRefused,
    ProviderUnavailable,
    WrongState,
)
from providers.http import fast_client
from providers.paypal import Certificates, PayPal, Trust, payments, topups
from providers.paypal.oauth import Tokens
from tests.unit.providers.local import (
    HANG_UP,
    SILENCE,
    Received,
    Reply,
    Server,
    closed_port,
    reply,
    serving,
)

SUB = "/v1/billing/subscriptions/I-1"
EVENTS = "/v1/notifications/webhooks-events"
NOT_FOUND = reply({"name": "RESOURCE_NOT_FOUND", "debug_id": "d"}, 404)
TOKEN = reply({"access_token": "A1", "expires_in": 3600, "token_type": "Bearer"})
START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)


def subscription(status: str, **billing: Any) -> Reply:
    return reply({"id": "I-1", "status": status, "billing_info": billing})


def refusal(issue: str, status: int = 422) -> Reply:
    return reply(
        {
            "name": "UNPROCESSABLE_ENTITY",
            "debug_id": "dbg",
            "details": [{"issue": issue, "description": "words"}],
        },
        status,
    )


@dataclass
class World:
    server: Server
    paypal: PayPal
    answers: dict[str, Reply | list[Reply]] = field(default_factory=dict)

    def bodies(self, path: str) -> list[Any]:
        return [
            json.loads(request.body)
            for request in self.server.received
            if request.path == path and request.body
        ]

    def without_token(self) -> list[str]:
        return [path for path in self.server.paths() if not path.endswith("/oauth2/token")]


def paypal_at(client: Any) -> PayPal:
    return PayPal(
        client=client,
        client_id="id",
        client_secret="secret",
        webhook_ids=["W"],
        certificates=Certificates(client, Trust(roots=())),
    )


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    answers: dict[str, Reply | list[Reply]] = {"POST /v1/oauth2/token": TOKEN}

    def answer(request: Received) -> Reply:
        found = answers.get(f"{request.method} {request.path}", NOT_FOUND)
        return found.pop(0) if isinstance(found, list) else found

    async with serving(answer) as server, fast_client(server.url, read=0.5) as client:
        yield World(server, paypal_at(client), answers)


async def test_many_callers_share_one_token(world: World) -> None:
    world.answers[f"GET {SUB}"] = subscription("ACTIVE")

    await asyncio.gather(*(world.paypal.get_subscription("I-1") for _ in range(20)))

    assert world.server.paths().count("POST /v1/oauth2/token") == 1
    assert world.server.received[0].headers["authorization"] == "Basic aWQ6c2VjcmV0"
    assert world.server.received[-1].headers["authorization"] == "Bearer A1"


async def test_a_token_is_renewed_before_it_expires_and_kept_while_it_cannot_be(
    world: World,
) -> None:
    now = [0.0]
    async with fast_client(world.server.url) as client:
        tokens = Tokens(client, "id", "secret", clock=lambda: now[0])
        world.answers["POST /v1/oauth2/token"] = [
            TOKEN,
            Reply(503),
            reply({"access_token": "A2", "expires_in": 3600}),
        ]
        assert await tokens.current() == "A1"
        now[0] = 3600 * 0.8
        assert await tokens.current() == "A1"
        assert len(world.server.received) == 1

        now[0] = 3600 * 0.9
        assert await tokens.current() == "A1"
        assert await tokens.current() == "A2"


async def test_a_refused_token_is_renewed_once_and_the_call_repeated(world: World) -> None:
    world.answers["POST /v1/oauth2/token"] = [
        TOKEN,
        reply({"access_token": "A2", "expires_in": 3600}),
    ]
    world.answers[f"GET {SUB}"] = [Reply(401), subscription("ACTIVE")]

    assert (await world.paypal.get_subscription("I-1")).state is State.ACTIVE
    assert world.server.received[-1].headers["authorization"] == "Bearer A2"


async def test_a_token_refused_twice_is_refused(world: World) -> None:
    world.answers[f"GET {SUB}"] = reply({"name": "AUTHENTICATION_FAILURE", "debug_id": "d"}, 401)

    with pytest.raises(ProviderRefused) as failure:
        await world.paypal.get_subscription("I-1")

    assert failure.value.code == "AUTHENTICATION_FAILURE"
    assert len(world.server.received) == 4


async def test_wrong_credentials_are_refused_with_an_oauth_error(world: World) -> None:
    world.answers["POST /v1/oauth2/token"] = reply(
        {"error": "invalid_client", "error_description": "no"}, 401
    )

    with pytest.raises(ProviderRefused) as failure:
        await world.paypal.get_subscription("I-1")

    assert failure.value.code == "invalid_client"


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (refusal("SOME_ISSUE"), ProviderRefused, "SOME_ISSUE"),
        (reply({"name": "NOT_AUTHORIZED"}, 403), ProviderRefused, "NOT_AUTHORIZED"),
        (reply({"name": "RESOURCE_NOT_FOUND"}, 404), NotFound, "RESOURCE_NOT_FOUND"),
        (reply({"name": "RATE_LIMIT_REACHED"}, 429), ProviderUnavailable, "RATE_LIMIT_REACHED"),
        (
            reply({"name": "INTERNAL_SERVER_ERROR"}, 500),
            ProviderUnavailable,
            "INTERNAL_SERVER_ERROR",
        ),
        (Reply(503, b"<html>"), ProviderUnavailable, "HTTP_503"),
        (Reply(302, b"", {"location": "/elsewhere"}), ProviderUnavailable, "HTTP_302"),
        (Reply(403, b"<html>"), ProviderUnavailable, "HTTP_403"),
        (Reply(404, b"<html>"), ProviderUnavailable, "HTTP_404"),
        (Reply(200, b"<html>"), ProviderUnavailable, "UNREADABLE"),
        (Reply(200, b"[]"), ProviderUnavailable, "UNREADABLE"),
        (HANG_UP, ProviderUnavailable, "NO_ANSWER"),
        (SILENCE, ProviderUnavailable, "NO_ANSWER"),
    ],
)
async def test_every_failure_has_one_meaning(
    world: World, answer: Reply, error: type[Exception], code: str
) -> None:
    world.answers[f"POST {EVENTS}/WH-1/resend"] = answer

    with pytest.raises(error) as failure:
        await world.paypal.resend_event("WH-1")

    assert type(failure.value) is error
    assert failure.value.code == code  # type: ignore[attr-defined]
    assert world.without_token() == [f"POST {EVENTS}/WH-1/resend"]


async def test_the_debug_id_and_the_wait_are_passed_on(world: World) -> None:
    world.answers[f"GET {SUB}"] = reply(
        {"name": "RATE_LIMIT_REACHED", "debug_id": "dbg"}, 429, retry_after="7"
    )

    with pytest.raises(ProviderUnavailable) as failure:
        await world.paypal.get_subscription("I-1")

    assert (failure.value.reference, failure.value.retry_after) == ("dbg", 7.0)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with fast_client(await closed_port()) as client:
        with pytest.raises(ProviderUnavailable):
            await paypal_at(client).get_subscription("I-1")


@pytest.mark.parametrize(
    "id_", ["../../v1/oauth2/token", "I-1/cancel", "../x", "I-1?x=1", "I 1", "I-1#", "%2e%2e"]
)
async def test_an_id_stays_one_segment_of_its_path(world: World, id_: str) -> None:
    with pytest.raises(NotFound):
        await world.paypal.get_subscription(id_)

    target = world.server.received[-1].target
    assert target.startswith("/v1/billing/subscriptions/")
    assert target.removeprefix("/v1/billing/subscriptions/").count("/") == 0
    assert target.count("?") == 1


@pytest.mark.parametrize("id_", ["", ".", ".."])
async def test_an_id_that_is_no_path_segment_is_refused_without_a_call(
    world: World, id_: str
) -> None:
    with pytest.raises(NotFound):
        await world.paypal.get_subscription(id_)
    assert world.server.received == []


async def test_a_checkout_carries_the_organization_and_the_idempotency_key(world: World) -> None:
    links = [
        {"rel": "self", "href": "x"},
        {"rel": "approve", "href": "https://paypal.test/approve"},
    ]
    world.answers["POST /v1/billing/subscriptions"] = reply({"id": "I-9", "links": links}, 201)

    link = await world.paypal.create_checkout(
        organization_id="org_1",
        plan_id="P-1",
        return_url="https://a",
        cancel_url="https://b",
        idempotency_key="k-1",
    )

    assert (link.subscription_id, link.url) == ("I-9", "https://paypal.test/approve")
    assert world.server.received[-1].headers["paypal-request-id"] == "k-1"
    assert world.bodies("/v1/billing/subscriptions")[0]["custom_id"] == "org_1"


Act = Callable[[PayPal], Coroutine[Any, Any, Any]]


def suspend(paypal: PayPal) -> Coroutine[Any, Any, Any]:
    return paypal.ensure_suspended("I-1", "late")


def cancel(paypal: PayPal) -> Coroutine[Any, Any, Any]:
    return paypal.ensure_canceled("I-1", "late")


def resume(paypal: PayPal) -> Coroutine[Any, Any, Any]:
    return paypal.ensure_resumed("I-1", "paid")


WRONG_STATE = refusal("SUBSCRIPTION_STATUS_INVALID")


@pytest.mark.parametrize("answer", [Reply(204, b""), WRONG_STATE], ids=["done", "already-so"])
@pytest.mark.parametrize(
    ("act", "name", "status"), [(suspend, "suspend", "SUSPENDED"), (cancel, "cancel", "CANCELLED")]
)
async def test_ensuring_a_state_acts_and_looks(
    world: World, act: Act, name: str, status: str, answer: Reply
) -> None:
    world.answers |= {f"POST {SUB}/{name}": answer, f"GET {SUB}": subscription(status)}

    assert (await act(world.paypal)).raw_status == status
    assert world.without_token() == [f"POST {SUB}/{name}", f"GET {SUB}"]
    assert "paypal-request-id" not in world.server.received[1].headers


async def test_an_action_not_visible_yet_is_checked_again(world: World) -> None:
    world.answers |= {f"POST {SUB}/suspend": Reply(204, b""), f"GET {SUB}": subscription("ACTIVE")}

    with pytest.raises(ProviderUnavailable):
        await suspend(world.paypal)


async def test_an_ended_subscription_can_never_be_suspended(world: World) -> None:
    world.answers |= {f"POST {SUB}/suspend": WRONG_STATE, f"GET {SUB}": subscription("CANCELLED")}

    with pytest.raises(AlreadyTerminal):
        await suspend(world.paypal)


async def test_another_refusal_is_passed_on_without_looking(world: World) -> None:
    world.answers[f"POST {SUB}/cancel"] = refusal("OTHER")

    with pytest.raises(ProviderRefused, match="OTHER"):
        await cancel(world.paypal)
    assert world.without_token() == [f"POST {SUB}/cancel"]


CANNOT = refusal("SUBSCRIPTION_CANNOT_BE_ACTIVATED")


@pytest.mark.parametrize(
    ("answer", "now", "outcome"),
    [
        (Reply(204, b""), subscription("ACTIVE"), Resumed.RESUMED),
        (WRONG_STATE, subscription("ACTIVE", failed_payments_count=1), Resumed.RESUMED),
        (WRONG_STATE, subscription("CANCELLED"), Resumed.NEEDS_NEW_CONSENT),
        (WRONG_STATE, subscription("EXPIRED"), Resumed.NEEDS_NEW_CONSENT),
        (WRONG_STATE, subscription("APPROVAL_PENDING"), Resumed.NEEDS_NEW_CONSENT),
        (CANNOT, subscription("SUSPENDED", failed_payments_count=2), Resumed.NEEDS_PAYMENT),
        (CANNOT, subscription("SUSPENDED"), Resumed.NEEDS_NEW_CONSENT),
    ],
)
async def test_resuming_says_what_is_needed(
    world: World, answer: Reply, now: Reply, outcome: Resumed
) -> None:
    world.answers |= {f"POST {SUB}/activate": answer, f"GET {SUB}": now}

    assert await resume(world.paypal) is outcome
    assert world.without_token().count(f"POST {SUB}/activate") == 1


async def test_a_long_reason_is_cut(world: World) -> None:
    world.answers |= {
        f"POST {SUB}/suspend": Reply(204, b""),
        f"GET {SUB}": subscription("SUSPENDED"),
    }

    await world.paypal.ensure_suspended("I-1", "x" * 500)

    assert world.bodies(f"{SUB}/suspend") == [{"reason": "x" * 128}]


async def test_the_outstanding_balance_is_captured_with_the_key(world: World) -> None:
    gross = {"gross_amount": {"currency_code": "USD", "value": "98.00"}}
    world.answers[f"POST {SUB}/capture"] = reply(
        {
            "id": "T-1",
            "status": "COMPLETED",
            "time": "2026-11-01T00:00:00Z",
            "amount_with_breakdown": gross,
        }
    )

    paid = await world.paypal.collect_outstanding(
        "I-1", Money(98_000_000, "USD"), idempotency_key="k", since=datetime.now(UTC)
    )

    assert (paid.status, paid.amount, paid.payment_id) == (
        PaymentStatus.COMPLETED,
        Money(98_000_000, "USD"),
        "T-1",
    )
    assert world.bodies(f"{SUB}/capture")[0]["amount"] == {"currency_code": "USD", "value": "98.00"}
    assert world.server.received[-1].headers["paypal-request-id"] == "k"


SINCE = datetime.now(UTC) - timedelta(seconds=20)
OWED = Money(98_000_000, "USD")


def transaction(
    id_: str, *, value: str = "98.00", status: str = "COMPLETED", seconds: int = 5
) -> dict[str, Any]:
    gross = {"gross_amount": {"currency_code": "USD", "value": value}}
    time = (SINCE + timedelta(seconds=seconds)).isoformat()
    return {"id": id_, "status": status, "time": time, "amount_with_breakdown": gross}


async def collect(world: World, *, since: datetime = SINCE) -> Collected:
    return await world.paypal.collect_outstanding("I-1", OWED, idempotency_key="k", since=since)


async def test_a_capture_that_is_accepted_without_a_body_is_found_in_the_list(world: World) -> None:
    """The first payment of the amount since the attempt; not an older one, and not another amount."""
    others = [
        transaction("OLD", seconds=-3600),
        transaction("LESS", value="49.00"),
        transaction("LATER", seconds=9),
    ]
    world.answers |= {
        f"POST {SUB}/capture": Reply(202, b""),
        f"GET {SUB}/transactions": reply({"transactions": [*others[1:], transaction("T-1")]}),
    }

    assert await collect(world) == Collected(
        status=PaymentStatus.COMPLETED, amount=OWED, payment_id="T-1"
    )


async def test_a_capture_that_is_accepted_and_not_listed_yet_is_pending(world: World) -> None:
    world.answers |= {f"POST {SUB}/capture": Reply(202, b""), f"GET {SUB}/transactions": reply({})}

    assert await collect(world) == Collected(status=PaymentStatus.PENDING, amount=OWED)


@pytest.mark.parametrize(
    "issue",
    [
        "ZERO_OUTSTANDING_BALANCE",
        "AMOUNT_GREATER_THAN_OUTSTANDING_BALANCE",
        "SUBSCRIPTION_STATUS_INVALID",
    ],
)
async def test_a_debt_already_paid_is_the_wrong_state_unless_this_attempt_paid_it(
    world: World, issue: str
) -> None:
    world.answers |= {f"POST {SUB}/capture": refusal(issue), f"GET {SUB}/transactions": reply({})}
    with pytest.raises(WrongState):
        await collect(world)

    world.answers[f"GET {SUB}/transactions"] = reply({"transactions": [transaction("T-1")]})
    assert (await collect(world)).payment_id == "T-1"


@pytest.mark.parametrize("what", ["LOCKED", "CLOSED", "RESTRICTED"])
async def test_a_payer_who_cannot_pay_is_a_decline(world: World, what: str) -> None:
    world.answers[f"POST {SUB}/capture"] = refusal(f"SUBSCRIBER_ACCOUNT_{what}")

    assert await collect(world) == Collected(status=PaymentStatus.DECLINED, amount=OWED)


async def test_another_currency_is_not_accepted(world: World) -> None:
    world.answers[f"POST {SUB}/capture"] = refusal("CURRENCY_MISMATCH")

    with pytest.raises(NotAccepted, match="not in USD"):
        await collect(world)


async def test_an_attempt_whose_key_paypal_has_forgotten_is_never_made_again(world: World) -> None:
    world.answers[f"GET {SUB}/transactions"] = reply({})

    with pytest.raises(WrongState, match="use a new one"):
        await collect(world, since=datetime.now(UTC) - timedelta(hours=72))
    assert f"POST {SUB}/capture" not in world.without_token()


@pytest.mark.parametrize(
    ("now", "answer", "error"),
    [
        ("CANCELLED", WRONG_STATE, AlreadyTerminal),
        ("EXPIRED", refusal("ANY_ISSUE"), AlreadyTerminal),
        ("APPROVAL_PENDING", WRONG_STATE, WrongState),
        ("ACTIVE", refusal("PLAN_PRODUCT_NOT_COMPATIBLE"), NotAccepted),
        ("ACTIVE", refusal("INVALID_RESOURCE_ID", 404), NotAccepted),
        ("ACTIVE", refusal("USER_ACCOUNT_CLOSED"), ProviderRefused),
    ],
)
async def test_a_refused_change_of_plan_says_whether_the_state_or_the_plan_is_wrong(
    world: World, now: str, answer: Reply, error: type[Exception]
) -> None:
    world.answers |= {f"POST {SUB}/revise": answer, f"GET {SUB}": subscription(now)}

    with pytest.raises(ProviderRefused) as refused:
        await world.paypal.change_plan("I-1", "P-2")
    assert type(refused.value) is error


@pytest.mark.parametrize("act", [suspend, cancel])
async def test_a_checkout_without_consent_is_in_the_wrong_state(world: World, act: Act) -> None:
    name = "suspend" if act is suspend else "cancel"
    world.answers |= {
        f"POST {SUB}/{name}": WRONG_STATE,
        f"GET {SUB}": subscription("APPROVAL_PENDING"),
    }

    with pytest.raises(WrongState, match=f"pending: PayPal does not {name} it"):
        await act(world.paypal)


async def test_a_change_of_plan_may_need_consent(world: World) -> None:
    world.answers[f"POST {SUB}/revise"] = reply(
        {"links": [{"rel": "approve", "href": "https://paypal.test/a"}]}
    )

    assert await world.paypal.change_plan("I-1", "P-2") == PlanChange(
        approve_url="https://paypal.test/a"
    )


async def test_a_list_of_events_whose_pages_are_empty_ends(world: World) -> None:
    following = {"rel": "next", "href": f"https://paypal.test{EVENTS}?page=2"}
    world.answers[f"GET {EVENTS}"] = reply({"events": [], "links": [following]})

    assert [event async for event in world.paypal.list_events(START, END)] == []
    assert len(world.without_token()) == 1


def money_object(id_: str, **more: Any) -> Reply:
    return reply(
        {"id": id_, "state": "completed", "amount": {"total": "-49.00", "currency": "USD"}} | more
    )


async def test_a_sale_is_read(world: World) -> None:
    world.answers["GET /v1/payments/sale/S-1"] = money_object(
        "S-1", billing_agreement_id="I-1", custom="org_1"
    )

    paid = await world.paypal.get_payment(MoneyReference(kind=MoneyObject.SALE, id="S-1"))

    assert (paid.subscription_id, paid.custom_id, paid.amount) == (
        "I-1",
        "org_1",
        Money(49_000_000, "USD"),
    )


async def test_a_refund_of_a_sale_belongs_to_the_sales_subscription(world: World) -> None:
    world.answers["GET /v1/payments/refund/R-1"] = money_object("R-1", sale_id="S-1")
    world.answers["GET /v1/payments/sale/S-1"] = money_object("S-1", billing_agreement_id="I-1")

    refund = await world.paypal.get_payment(MoneyReference(kind=MoneyObject.REFUND, id="R-1"))

    assert (refund.reference.kind, refund.subscription_id) == (MoneyObject.REFUND, "I-1")


@pytest.mark.parametrize(
    ("fields", "reverses"),
    [
        ({"sale_id": "S-1"}, "S-1"),
        ({"capture_id": "C-1"}, "C-1"),
        (
            {"links": [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/C-1"}]},
            "C-1",
        ),
        (
            {"links": [{"rel": "sale", "href": "https://api.paypal.com/v1/payments/sale/S-1"}]},
            "S-1",
        ),
        ({"links": [{"rel": "up", "href": "https://api.paypal.com/v2/checkout/orders/O-1"}]}, None),
        (
            {"links": [{"rel": "self", "href": "https://api.paypal.com/v2/payments/refunds/R-1"}]},
            None,
        ),
        ({}, None),
    ],
)
def test_a_refund_names_what_it_takes_back_by_a_field_or_a_link(
    fields: dict[str, Any], reverses: str | None
) -> None:
    assert payments.reversed_by(fields) == reverses


@pytest.mark.parametrize(("amount", "currency", "value"), [
    ("12.5", "USD", "12.50"), ("2500", "JPY", "2500"), ("10", "TWD", "10"), ("0.01", "EUR", "0.01"),
])  # fmt: skip
def test_an_amount_is_formatted_as_paypal_expects(amount: str, currency: str, value: str) -> None:
    assert topups.money(parse(amount, currency)) == {"currency_code": currency, "value": value}


@pytest.mark.parametrize(("amount", "currency"), [("1.001", "USD"), ("0.5", "JPY")])
def test_an_amount_that_paypal_cannot_take_is_refused_and_never_rounded(
    amount: str, currency: str
) -> None:
    with pytest.raises(BadAmount):
        topups.money(parse(amount, currency))


async def test_a_refund_of_a_capture_is_found_in_the_second_api(world: World) -> None:
    world.answers["GET /v2/payments/refunds/R-1"] = reply(
        {
            "id": "R-1",
            "status": "COMPLETED",
            "amount": {"value": "5.00", "currency_code": "EUR"},
            "custom_id": "org_1",
        }
    )

    refund = await world.paypal.get_payment(MoneyReference(kind=MoneyObject.REFUND, id="R-1"))

    assert (refund.amount, refund.custom_id) == (Money(5_000_000, "EUR"), "org_1")


async def test_a_capture_without_a_readable_amount_is_not_guessed(world: World) -> None:
    world.answers["GET /v2/payments/captures/C-1"] = reply(
        {"id": "C-1", "amount": {"value": "many"}}
    )

    with pytest.raises(ProviderUnavailable):
        await world.paypal.get_payment(MoneyReference(kind=MoneyObject.CAPTURE, id="C-1"))


@pytest.mark.parametrize(
    ("status", "outcome", "is_open", "lost", "withdrawn"),
    [
        ("OPEN", None, True, False, None),
        ("UNDER_REVIEW", None, True, False, None),
        ("RESOLVED", "RESOLVED_BUYER_FAVOUR", False, True, True),
        ("RESOLVED", "ACCEPTED", False, True, True),
        ("RESOLVED", "RESOLVED_SELLER_FAVOUR", False, False, False),
        ("RESOLVED", "RESOLVED_WITH_PAYOUT", False, False, False),
        ("RESOLVED", "CANCELED_BY_BUYER", False, False, False),
        ("RESOLVED", "DENIED", False, False, False),
        ("RESOLVED", "NONE", False, False, False),
        ("RESOLVED", "SOMETHING_NEW", False, False, None),
        ("RESOLVED", None, False, False, None),
    ],
)
async def test_a_dispute_is_open_won_lost_or_does_not_say(
    world: World,
    status: str,
    outcome: str | None,
    is_open: bool,
    lost: bool,
    withdrawn: bool | None,
) -> None:
    world.answers["GET /v1/customer/disputes/PP-1"] = reply(
        {
            "dispute_id": "PP-1",
            "status": status,
            "dispute_outcome": {"outcome_code": outcome},
            "disputed_transactions": [{"seller_transaction_id": "S-1"}, {}],
        }
    )

    dispute = await world.paypal.get_dispute("PP-1")

    assert (dispute.open, dispute.lost, dispute.withdrawn) == (is_open, lost, withdrawn)
    assert dispute.payment_ids == ("S-1",)


async def test_payments_are_listed_for_a_time(world: World) -> None:
    gross = {"gross_amount": {"currency_code": "USD", "value": "49.00"}}
    world.answers[f"GET {SUB}/transactions"] = reply(
        {
            "transactions": [
                {"id": f"T-{n}", "status": "DECLINED", "amount_with_breakdown": gross}
                for n in range(2)
            ]
        }
    )

    listed = [payment async for payment in world.paypal.list_payments("I-1", START, END)]

    assert [payment.reference.id for payment in listed] == ["T-0", "T-1"]
    assert "start_time=2026-11-01T00:00:00Z" in unquote(world.server.received[-1].target)


async def test_events_are_listed_page_by_page_and_never_from_another_host(world: World) -> None:
    def page(id_: str, following: str | None) -> Reply:
        event = {
            "id": id_,
            "event_type": "BILLING.SUBSCRIPTION.UPDATED",
            "create_time": "2026-11-01T00:00:00Z",
        }
        links = [{"rel": "next", "href": following}] if following else []
        return reply(
            {"events": [event | {"resource": {"id": "I-1", "status": "ACTIVE"}}], "links": links}
        )

    evil = "https://evil.test/v1/notifications/webhooks-events?page_token=2"
    world.answers["GET /v1/notifications/webhooks-events"] = [
        page("WH-1", evil),
        page("WH-2", None),
    ]

    listed = [event.event async for event in world.paypal.list_events(START, END)]

    assert [(event.event_id, event.kind) for event in listed] == [
        ("WH-1", EventKind.CHANGED),
        ("WH-2", EventKind.CHANGED),
    ]
    assert world.server.received[-1].target.endswith("?page_token=2")


async def test_an_event_is_requested_again(world: World) -> None:
    world.answers["POST /v1/notifications/webhooks-events/WH-1/resend"] = Reply(202, b"{}")

    await world.paypal.resend_event("WH-1")

    assert world.without_token() == ["POST /v1/notifications/webhooks-events/WH-1/resend"]


@pytest.mark.parametrize("issue", ["ORDER_COMPLETION_IN_PROGRESS", "PREVIOUS_REQUEST_IN_PROGRESS"])
async def test_a_request_still_in_progress_is_unavailable_and_not_refused(
    world: World, issue: str
) -> None:
    world.answers[f"POST {SUB}/suspend"] = refusal(issue)

    with pytest.raises(ProviderUnavailable):
        await world.paypal.ensure_suspended("I-1", "unpaid")
