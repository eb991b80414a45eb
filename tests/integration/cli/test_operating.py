"""Manual resolution in a shell: parked deliveries, alerts, messages sent after their refund."""

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.campaigns import unmatched_messages
from db.campaigns.messages import Message
from db.campaigns.send_results import Reply
from db.campaigns.unmatched_messages import Unmatched
from db.carrier import recurring
from db.inbox import parking
from domain.alerts import AlertKind
from domain.campaigns.campaign import MessageStatus
from domain.campaigns.telephony import DeliveryStatus
from domain.carrier.recurring import CostKind, RecurringCost
from tests import builders
from tests.builders import ORGANIZATION, usd
from tests.integration.cli.test_commands import tollgate


async def parked(engine: AsyncEngine, subscription_id: str = "I-NOBODY") -> int:
    delivery = await builders.receive(
        engine, builders.event(subscription_id=subscription_id, id_=subscription_id)
    )
    async with engine.begin() as conn:
        await parking.describe(
            conn,
            delivery.id,
            "unknown capture CAP-1",
            amount=usd("7"),
            custom_id="shop-4",
            payer="[red]Jo\x1b[2J",
        )
    return delivery.id


async def outcome(engine: AsyncEngine, delivery_id: int) -> tuple[str, str]:
    [row] = await builders.rows(
        engine, f"SELECT status, outcome FROM inbox WHERE id = {delivery_id}"
    )
    return row.status, row.outcome


async def sent_after_refund(engine: AsyncEngine) -> Message:
    message = await builders.send_one(engine)
    await builders.settle_replies(engine, Reply(message=message, status=MessageStatus.LOST))
    await builders.run(engine, "UPDATE messages SET sending_at = sending_at - interval '1 hour'")
    await builders.apply(engine, builders.callback(message, DeliveryStatus.DELIVERED))
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    listed = builders.listed(message, DeliveryStatus.DELIVERED, created_at=an_hour_ago)
    await builders.read_at_twilio(engine, listed)
    return message


async def test_parked_deliveries_are_listed_with_what_to_do(
    engine: AsyncEngine, database_url: str
) -> None:
    delivery_id = await parked(engine)

    shown = tollgate("parked", database_url=database_url, environment={"COLUMNS": "250"})
    listed = tollgate("parked", "--json", database_url=database_url)

    assert (shown.returncode, listed.returncode) == (0, 0), shown.stderr + listed.stderr
    assert "7.00 USD" in " ".join(shown.stdout.split())
    assert "\x1b" not in shown.stdout
    [delivery] = json.loads(listed.stdout)["data"]
    assert (delivery["id"], delivery["amount"], delivery["custom_id"]) == (
        delivery_id,
        "7.00",
        "shop-4",
    )
    assert delivery["to_do"].startswith("link the subscription")


async def test_no_parked_delivery_is_left_out_of_the_list(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.run(
        engine,
        "INSERT INTO inbox (provider, event_id, event_type, kind, body, headers, status)"
        " SELECT 'paypal', 'E-' || n, 'X', 'suspended', '', '{}', 'parked' FROM "
        "generate_series(1, 1001) n",
    )

    listed = tollgate("parked", "--json", database_url=database_url)

    ids = [delivery["event_id"] for delivery in json.loads(listed.stdout)["data"]]
    assert len(ids) == len(set(ids)) == 1001


async def test_a_parked_delivery_is_dismissed_once_with_the_reason(
    engine: AsyncEngine, database_url: str
) -> None:
    delivery_id = await parked(engine)
    how = ("--reason", "credited as invoice 4711")

    first = tollgate("parked", "dismiss", str(delivery_id), *how, database_url=database_url)
    second = tollgate("parked", "dismiss", str(delivery_id), *how, database_url=database_url)

    assert (first.returncode, second.returncode) == (0, 1), first.stderr
    assert second.stderr.strip() == f"delivery {delivery_id} is not parked"
    assert await outcome(engine, delivery_id) == ("handled", "dismissed: credited as invoice 4711")


async def test_a_reason_that_is_none_dismisses_nothing(
    engine: AsyncEngine, database_url: str
) -> None:
    delivery_id = await parked(engine)
    before = await outcome(engine, delivery_id)

    for reason in ("", "  ", "x\x1b[2J", "x" * 201):
        done = tollgate(
            "parked", "dismiss", str(delivery_id), "--reason", reason, database_url=database_url
        )

        assert (done.returncode, "--reason" in done.stderr) == (2, True), reason
    without = tollgate("parked", "dismiss", str(delivery_id), database_url=database_url)
    too_large = tollgate(
        "parked", "dismiss", str(2**63), "--reason", "x", database_url=database_url
    )

    assert (without.returncode, too_large.returncode) == (2, 2), too_large.stderr
    assert await outcome(engine, delivery_id) == before


async def test_alerts_are_listed_and_closed(engine: AsyncEngine, database_url: str) -> None:
    await builders.onboard(engine)
    async with engine.begin() as conn:
        await alerts.raise_(conn, ORGANIZATION, AlertKind.REFUND, "refund R-1 of 5.00 USD")
        await alerts.raise_(conn, alerts.INSTALLATION, AlertKind.RELAY_FAILED, "no database")

    listed = tollgate("alerts", "--json", database_url=database_url)
    shown = tollgate("alerts", database_url=database_url)
    relay, refund = json.loads(listed.stdout)["data"]
    taken = tollgate(
        "alerts", "acknowledge", relay["id"], "--owner", "jo", database_url=database_url
    )
    reason = ("--reason", "paid by bank transfer")
    closed = [
        tollgate("alerts", "close", id_, *reason, database_url=database_url)
        for id_ in (refund["id"], refund["id"], relay["id"])
    ]
    found = tollgate("alerts", "show", refund["id"], "--json", database_url=database_url)

    assert [(each["organization_id"], each["kind"]) for each in (relay, refund)] == [
        (None, "relay_failed"),
        (ORGANIZATION, "refund"),
    ]
    assert "(installation)" in shown.stdout
    assert taken.returncode == 0, taken.stderr
    assert [done.returncode for done in closed] == [0, 1, 1]
    assert "clears when the loop succeeds" in closed[2].stderr
    record = json.loads(found.stdout)
    assert (record["status"], record["history"][-1]["note"]) == ("cleared", reason[1])
    async with engine.connect() as conn:
        assert [alert.kind for alert in await alerts.standing(conn)] == ["relay_failed"]


async def test_a_message_sent_after_its_refund_is_listed_and_charged_once(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)
    message = await sent_after_refund(engine)

    before = tollgate("unpaid", "list", ORGANIZATION, "--json", database_url=database_url)
    charged = [
        tollgate("unpaid", "charge", ORGANIZATION, str(message.id), database_url=database_url)
        for _ in range(2)
    ]
    after = tollgate("unpaid", "list", ORGANIZATION, "--json", database_url=database_url)

    assert [entry["message_id"] for entry in json.loads(before.stdout)["data"]] == [str(message.id)]
    assert [done.returncode for done in charged] == [0, 0], charged[0].stderr
    assert json.loads(after.stdout) == {"data": [], "next_cursor": None}
    assert await builders.balance(engine) == usd("9.99")


async def test_a_charge_that_the_wallet_refuses_says_why(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)
    message = await sent_after_refund(engine)
    await builders.freeze(engine)

    refused = tollgate("unpaid", "charge", ORGANIZATION, str(message.id), database_url=database_url)
    nobody = tollgate("unpaid", "list", "nobody", database_url=database_url)
    other = tollgate(
        "unpaid",
        "charge",
        ORGANIZATION,
        "01a228f2-0529-7144-bdd1-69c8b0d2ad7c",
        database_url=database_url,
    )

    assert (refused.returncode, nobody.returncode, other.returncode) == (1, 1, 1)
    assert refused.stderr.startswith("not charged: the wallet is frozen")
    assert nobody.stderr.strip() == "there is no organization nobody"
    assert await builders.balance(engine) == usd("10")


async def test_unmatched_messages_are_listed_and_closed_with_a_reason(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)
    found = Unmatched(
        organization_id=ORGANIZATION, message_sid="SM1", problem="not known here", listed=True
    )
    async with engine.begin() as conn:
        await unmatched_messages.note(conn, [found])

    listed = tollgate("unmatched", "list", ORGANIZATION, "--json", database_url=database_url)
    closed, again = (
        tollgate(
            "unmatched",
            "close",
            ORGANIZATION,
            "SM1",
            "--reason",
            "waived",
            database_url=database_url,
        )
        for _ in range(2)
    )

    assert listed.returncode == 0, listed.stderr
    [row] = json.loads(listed.stdout)["data"]
    assert (row["provider_sid"], row["problem"]) == ("SM1", "not known here")
    assert (closed.returncode, again.returncode) == (0, 1)


async def test_what_a_suspended_subaccount_costs_is_shown_with_what_can_be_given_up(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine)
    await builders.block(engine)
    rent = RecurringCost(
        kind=CostKind.NUMBER,
        reference="PN1",
        name="+14155550101 (local)",
        monthly_micros=3_000_000,
        currency="USD",
    )
    async with engine.begin() as conn:
        await recurring.record(conn, ORGANIZATION, [rent], now=builders.NOON)

    shown = tollgate("recurring", "show", ORGANIZATION, database_url=database_url)
    as_json = tollgate("recurring", "show", ORGANIZATION, "--json", database_url=database_url)
    nobody = tollgate("recurring", "show", "nobody", database_url=database_url)
    silent = tollgate(
        "recurring", "release", ORGANIZATION, "release_number", "PN1", database_url=database_url
    )

    assert "costing us 0.10 USD a day since" in shown.stdout
    assert "release_number" in shown.stdout
    assert json.loads(as_json.stdout)["daily"] == "0.10"
    assert (nobody.returncode, silent.returncode) == (1, 2)
