"""What an operator asks in a shell, about all organizations."""

import json

from sqlalchemy.ext.asyncio import AsyncEngine

from tests import builders
from tests.integration.cli.test_commands import tollgate
from tests.integration.cli.test_operating import parked


async def test_organizations_are_listed_as_the_api_lists_them(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine, "acme")
    await builders.onboard(engine, "bolt")
    await builders.block(engine, "bolt")
    suspended = ("organizations", "list", "--status", "suspended", "--sort", "since")

    shown = tollgate(*suspended, database_url=database_url, environment={"COLUMNS": "200"})
    listed = tollgate(*suspended, "--json", database_url=database_url)
    wrong = tollgate("organizations", "list", "--q", "--", database_url=database_url)

    assert (shown.returncode, listed.returncode) == (0, 0), shown.stderr + listed.stderr
    assert "bolt" in shown.stdout
    assert "acme" not in shown.stdout
    [organization] = json.loads(listed.stdout)["data"]
    assert (organization["id"], organization["figures"]["parked_campaigns"]) == ("bolt", 0)
    assert wrong.returncode == 2


async def test_an_act_over_many_is_previewed_confirmed_and_followed(
    engine: AsyncEngine, database_url: str
) -> None:
    for id_ in ("acme", "bolt"):
        await builders.onboard(engine, id_, balance="0")
    credit = ("bulk", "preview", "credit", "--status", "active", "--reason", "outage")
    money = ("--amount", "5.00", "--currency", "USD")

    without_money = tollgate(*credit, database_url=database_url)
    too_much = tollgate(*credit, "--amount", "501", "--currency", "USD", database_url=database_url)
    shown = tollgate(*credit, *money, database_url=database_url)
    preview = json.loads(tollgate(*credit, *money, "--json", database_url=database_url).stdout)
    wrong = tollgate("bulk", "confirm", preview["id"], "0" * 64, database_url=database_url)
    right = tollgate(
        *("bulk", "confirm", preview["id"], preview["digest"], "--by", "ann"),
        database_url=database_url,
    )
    followed = tollgate("bulk", "show", preview["id"], "--json", database_url=database_url)
    listed = tollgate("bulk", "list", "--json", database_url=database_url)

    assert (without_money.returncode, too_much.returncode, wrong.returncode) == (2, 1, 1)
    assert "credit: 2 organizations, 10.00 USD in all; nothing was done" in shown.stdout
    assert right.returncode == 0, right.stderr
    act = json.loads(followed.stdout)
    assert (act["status"], act["pending"], act["confirmed_by"]) == (
        "running",
        2,
        "ann (command line)",
    )
    assert len(json.loads(listed.stdout)["data"]) == 2


async def test_deliveries_messages_and_acts_answer_in_a_shell(
    engine: AsyncEngine, database_url: str
) -> None:
    await builders.onboard(engine, "acme")
    message = await builders.send_one(engine)
    await builders.run(
        engine, "UPDATE messages SET delivery_status = 'delivered', status = 'accepted'"
    )
    delivery_id = str(await parked(engine))
    reason = ("--reason", "complaint 17", "--by", "ann")
    refund = ("messages", "refund", "acme", str(message.id), *reason)

    shown = tollgate("deliveries", "show", delivery_id, database_url=database_url)
    retried = tollgate("deliveries", "retry", delivery_id, *reason, database_url=database_url)
    dismissed = [
        tollgate("deliveries", "dismiss", delivery_id, *reason, database_url=database_url)
        for _ in range(2)
    ]
    money = tollgate("money-waiting", "--json", database_url=database_url)
    found = tollgate(
        "messages", "find", "--to", message.recipient, "--json", database_url=database_url
    )
    refunded = [tollgate(*refund, database_url=database_url) for _ in range(2)]
    stuck = tollgate("organizations", "retry", "acme", *reason, database_url=database_url)
    acts = tollgate("acts", "--json", database_url=database_url)
    risks = tollgate("at-risk", "--json", database_url=database_url)

    assert json.loads(shown.stdout)["status"] == "parked"
    assert (retried.returncode, *(each.returncode for each in dismissed)) == (0, 0, 1)
    assert json.loads(money.stdout)["data"] == []
    assert [each["id"] for each in json.loads(found.stdout)["data"]] == [str(message.id)]
    assert [each.returncode for each in refunded] == [0, 1], refunded[0].stderr
    assert "given back before" in refunded[1].stderr
    assert (stuck.returncode, risks.returncode) == (1, 0)
    assert [act["act"] for act in json.loads(acts.stdout)["data"]] == [
        "message_refunded",
        "delivery_dismissed",
        "delivery_retried",
    ]
