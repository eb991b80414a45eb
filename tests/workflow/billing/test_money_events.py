"""Money facts from PayPal: booked once from a fresh GET, despite duplicate or early events."""

import asyncio

import pytest

from db.billing import payments
from db.inbox import parking, pending_deliveries
from domain.lifecycle.standing import Block, Status
from tests.world import World, until


async def test_a_captured_top_up_is_booked_once_whatever_the_repeats(world: World) -> None:
    organization_id, _ = await world.organization(balance="0")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    event_id = capture["events"][0]["id"]

    first = await asyncio.gather(*(world.deliver(event_id) for _ in range(25)))
    await world.at_rest(organization_id)
    again = await asyncio.gather(*(world.deliver(event_id) for _ in range(5)))
    await world.look_again(organization_id)

    assert set(first + again) == {200}
    assert (await world.wallet(organization_id)).balance_micros == 25_000_000
    [booked] = await world.read(
        lambda conn: payments.of_organization(conn, organization_id, limit=10)
    )
    assert booked.object_id == capture["object"]["id"]
    await world.certify()


async def test_a_second_event_of_the_same_capture_books_nothing_more(world: World) -> None:
    organization_id, _ = await world.organization(balance="0")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    event = capture["events"][0]
    assert await world.deliver(event["id"]) == 200
    await world.at_rest(organization_id)
    raw = (await world.sign(event["id"]))[1].replace(event["id"].encode(), b"WH-ANOTHER-OF-IT")
    sent = await world.paypal_control.post(
        "/_sim/events", json={"raw": raw.decode(), "deliver": False}
    )

    assert await world.deliver(sent.json()["event_id"]) == 200
    await world.at_rest(organization_id)

    assert (await world.wallet(organization_id)).balance_micros == 25_000_000
    await world.certify()


async def test_a_capture_that_is_only_pending_at_the_provider_books_nothing_yet(
    world: World,
) -> None:
    organization_id, _ = await world.organization(balance="0")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    world.paypal.state.captures[capture["object"]["id"]].status = "PENDING"

    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(organization_id)

    assert (await world.wallet(organization_id)).balance_micros == 0
    await world.certify()


async def test_a_top_up_reaches_a_suspended_wallet_and_opens_nothing(world: World) -> None:
    organization_id, subscription_id = await world.organization(balance="1.00")
    await world.lapse(subscription_id)
    before = await world.applied(organization_id, "suspended")

    for event_id in await world.happen(
        "captures", {"amount": "25.00", "custom_id": organization_id}
    ):
        assert await world.deliver(event_id) == 200
    after = await world.at_rest(organization_id)

    wallet = await world.wallet(organization_id)
    assert (wallet.balance_micros, wallet.gate_open, wallet.frozen) == (26_000_000, False, True)
    assert after == before
    await world.certify()


async def test_a_refund_of_an_unknown_capture_is_parked_in_sight(world: World) -> None:
    capture = await world.act("captures", {"amount": "5.00", "custom_id": "nobody-we-know"})
    [refunded] = await world.happen(f"payments/{capture['object']['id']}/refund")

    assert await world.deliver(refunded) == 200

    parked = [
        entry.delivery
        for entry in await world.read(lambda conn: parking.page(conn, after=0, limit=500))
    ]
    [delivery] = [delivery for delivery in parked if delivery.event_id == refunded]
    assert delivery.outcome.startswith("unknown refund")
    await world.certify()


async def test_a_refund_of_our_top_up_leaves_the_wallet_once_whatever_the_repeats(
    world: World,
) -> None:
    organization_id, _ = await world.organization(balance="0")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(organization_id)
    [refunded] = await world.happen(f"payments/{capture['object']['id']}/refund")

    answers = await asyncio.gather(*(world.deliver(refunded) for _ in range(25)))
    await world.at_rest(organization_id)
    await world.look_again(organization_id)

    assert set(answers) == {200}
    assert "refund" not in await world.alerts(organization_id)
    assert (await world.wallet(organization_id)).balance_micros == 0
    await world.certify()


async def test_a_lost_dispute_that_paypal_tells_as_a_reversal_too_is_taken_once(
    world: World,
) -> None:
    organization_id, _ = await world.organization(balance="50.00")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(organization_id)
    dispute = await world.act(f"payments/{capture['object']['id']}/dispute")
    lost = {"outcome": "RESOLVED_BUYER_FAVOUR"}
    resolved = await world.happen(f"disputes/{dispute['object']['dispute_id']}/move", lost)

    for event_id in resolved + await world.happen(f"payments/{capture['object']['id']}/reverse"):
        assert await world.deliver(event_id) == 200
    await world.at_rest(organization_id)

    assert (await world.wallet(organization_id)).balance_micros == 50_000_000
    assert "0.00 USD of it was booked" in (await world.alerts(organization_id))["refund"]
    await world.certify()


@pytest.mark.parametrize("first", ["dispute", "reversal"])
async def test_a_lost_dispute_about_a_part_that_paypal_tells_as_a_reversal_too_is_taken_once(
    world: World, first: str
) -> None:
    organization_id, _ = await world.organization(balance="0")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(organization_id)
    dispute = await world.act(f"payments/{capture['object']['id']}/dispute", {"amount": "10.00"})
    lost = {"outcome": "RESOLVED_BUYER_FAVOUR"}
    resolved = await world.happen(f"disputes/{dispute['object']['dispute_id']}/move", lost)
    reversed_ = await world.happen(
        f"payments/{capture['object']['id']}/reverse", {"amount": "10.00"}
    )
    refunded = await world.happen(f"payments/{capture['object']['id']}/refund", {"amount": "10.00"})

    for event_id in resolved + reversed_ if first == "dispute" else reversed_ + resolved:
        assert await world.deliver(event_id) == 200
        await world.at_rest(organization_id)
    once = (await world.wallet(organization_id)).balance_micros
    for event_id in refunded:  # is a separate payment of ten
        assert await world.deliver(event_id) == 200
    await world.at_rest(organization_id)

    assert once == 15_000_000
    assert (await world.wallet(organization_id)).balance_micros == 5_000_000
    assert "0.00 USD of it was booked" in (await world.alerts(organization_id))["refund"]
    await world.certify()


async def test_a_reversal_whose_dispute_is_won_stays_taken_and_raises_an_alert(
    world: World,
) -> None:
    """PayPal has no event for a reversal that is canceled."""
    organization_id, _ = await world.organization(balance="0")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(organization_id)
    dispute = await world.act(f"payments/{capture['object']['id']}/dispute")
    reversed_ = await world.act(f"payments/{capture['object']['id']}/reverse")
    won = await world.happen(f"disputes/{dispute['object']['dispute_id']}/move")

    for event_id in [dispute["events"][0]["id"], reversed_["events"][0]["id"], *won]:
        assert await world.deliver(event_id) == 200
        await world.at_rest(organization_id)

    assert (await world.wallet(organization_id)).balance_micros == 0
    assert reversed_["object"]["id"] in (await world.alerts(organization_id))["refund"]
    await world.applied(organization_id, "active")
    await world.certify()


async def test_a_lost_dispute_that_is_opened_again_gives_nothing_back_before_it_is_won(
    world: World,
) -> None:
    """When it is lost again, the returned money is not taken automatically: a person has to do it."""
    organization_id, _ = await world.organization(balance="0")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(organization_id)
    dispute = (await world.act(f"payments/{capture['object']['id']}/dispute"))["object"][
        "dispute_id"
    ]
    balances = []

    for moved in (
        {"outcome": "RESOLVED_BUYER_FAVOUR"},
        {"status": "UNDER_REVIEW"},
        {"outcome": "RESOLVED_SELLER_FAVOUR"},
    ):
        for event_id in await world.happen(f"disputes/{dispute}/move", moved):
            assert await world.deliver(event_id) == 200
        await world.at_rest(organization_id)
        balances.append((await world.wallet(organization_id)).balance_micros)

    assert balances == [0, 0, 25_000_000]
    await world.applied(organization_id, "active")
    for moved in ({"status": "UNDER_REVIEW"}, {"outcome": "RESOLVED_BUYER_FAVOUR"}):
        for event_id in await world.happen(f"disputes/{dispute}/move", moved):
            assert await world.deliver(event_id) == 200
    await world.at_rest(organization_id)
    assert (await world.wallet(organization_id)).balance_micros == 25_000_000
    assert "0.00 USD of it was booked" in (await world.alerts(organization_id))["refund"]
    await world.applied(organization_id, "suspended")
    await world.certify()


@pytest.mark.parametrize("outcome", ["SPLIT_BY_A_COIN", ""])
async def test_a_dispute_whose_outcome_is_not_known_lifts_nothing_and_gives_nothing_back(
    world: World, outcome: str
) -> None:
    organization_id, _ = await world.organization(balance="0")
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(organization_id)
    dispute = (await world.act(f"payments/{capture['object']['id']}/dispute"))["object"][
        "dispute_id"
    ]
    [lost] = await world.happen(f"disputes/{dispute}/move", {"outcome": "RESOLVED_BUYER_FAVOUR"})
    assert await world.deliver(lost) == 200
    await world.at_rest(organization_id)

    [unclear] = await world.happen(f"disputes/{dispute}/move", {"status": "UNDER_REVIEW"})
    world.paypal.state.disputes[dispute].status = "RESOLVED"
    world.paypal.state.disputes[dispute].outcome = outcome
    assert await world.deliver(unclear) == 200
    await world.at_rest(organization_id)

    assert (await world.wallet(organization_id)).balance_micros == 0
    assert (await world.standing(organization_id)).blocks == {Block.DISPUTE}
    assert (
        "is closed without a known winner" in (await world.alerts(organization_id))["dispute_lost"]
    )
    await world.certify()


@pytest.mark.parametrize(
    ("outcome", "opens"), [("RESOLVED_SELLER_FAVOUR", True), ("RESOLVED_BUYER_FAVOUR", False)]
)
async def test_a_dispute_shuts_and_only_one_that_we_win_opens(
    world: World, outcome: str, opens: bool
) -> None:
    organization_id, _ = await world.organization()
    capture = await world.act("captures", {"amount": "25.00", "custom_id": organization_id})
    assert await world.deliver(capture["events"][0]["id"]) == 200
    await world.at_rest(organization_id)
    dispute = await world.act(f"payments/{capture['object']['id']}/dispute")

    assert await world.deliver(dispute["events"][0]["id"]) == 200
    gate_when_answered = (await world.wallet(organization_id)).gate_open
    during = await world.applied(organization_id, "suspended")
    [resolved] = await world.happen(
        f"disputes/{dispute['object']['dispute_id']}/move", {"outcome": outcome}
    )
    assert await world.deliver(resolved) == 200
    standing = await world.at_rest(organization_id)

    assert not gate_when_answered
    assert during.blocks == {Block.DISPUTE}
    assert (await world.wallet(organization_id)).gate_open is opens
    assert standing.status is (Status.ACTIVE if opens else Status.SUSPENDED)
    assert ("dispute_lost" in await world.alerts(organization_id)) is not opens
    unhandled = await world.read(
        lambda conn: pending_deliveries.of_organization(conn, organization_id, limit=10)
    )
    end = next(delivery.outcome for delivery in unhandled if delivery.event_id == resolved)
    assert end.startswith("not booked: " if opens else "booked as ")
    await world.certify()


async def test_both_of_two_disputes_have_to_be_won(world: World) -> None:
    organization_id, _ = await world.organization()
    disputes = []
    for _ in range(2):
        capture = await world.act("captures", {"amount": "5.00", "custom_id": organization_id})
        dispute = await world.act(f"payments/{capture['object']['id']}/dispute")
        assert await world.deliver(dispute["events"][0]["id"]) == 200
        disputes.append(dispute["object"]["dispute_id"])
    await world.applied(organization_id, "suspended")

    [first] = await world.happen(f"disputes/{disputes[0]}/move")
    assert await world.deliver(first) == 200
    half = await world.at_rest(organization_id)
    [second] = await world.happen(f"disputes/{disputes[1]}/move")
    assert await world.deliver(second) == 200

    async def opened() -> bool:
        return (await world.standing(organization_id)).status is Status.ACTIVE

    await until(opened, "both disputes over")
    await world.applied(organization_id, "active")
    assert half.blocks == {Block.DISPUTE}
    await world.certify()
