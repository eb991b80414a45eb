"""Events on their way to endpoints: in order for each organization, again until they arrive."""

import asyncio
import time
from datetime import timedelta

import pytest

from db.outbound import endpoints, fan_out
from domain.alerts import AlertKind
from domain.outbound.deliveries import Disabled, SigningScheme
from providers.outbound import client
from runtime.outbound_sender import legible
from simulators.receiver import Behaviour
from tests.builders import rows, run
from tests.integration.outbound.conftest import Telling
from tests.world import LIMIT

BROKEN = Behaviour(status=500)


async def test_events_are_delivered_in_order_and_once(telling: Telling) -> None:
    await telling.endpoint()
    for epoch in range(1, 26):
        await telling.happen(epoch)

    async with telling.delivering():
        received = await telling.until_received(25)
        await telling.settled()

    assert received == list(range(1, 26))
    assert len({each.id for each in telling.receiver.received}) == 25


async def test_an_event_waits_for_the_one_before_and_for_no_other_organization(
    telling: Telling,
) -> None:
    await telling.endpoint()
    telling.receiver.behave("acme", BROKEN)
    for organization_id, epoch in (("acme", 1), ("acme", 2), ("beta", 3), ("beta", 4)):
        await telling.happen(epoch, organization_id)

    async with telling.delivering():
        assert await telling.until_received(2) == [3, 4]
        assert [each.data["epoch"] for each in telling.receiver.received].count(2) == 0
        telling.receiver.behave("acme")
        await telling.pass_by()
        received = await telling.until_received(4)

    assert received == [3, 4, 1, 2]


async def test_a_later_transaction_never_gets_ahead(telling: Telling) -> None:
    """The events of an organization have the order of its commits: what was inserted first but
    commits last comes last, and what was placed stays where it is.
    """
    await telling.endpoint()
    async with telling.engine.connect() as slow:
        await slow.exec_driver_sql(
            "INSERT INTO events (type, organization_id, data)"
            " VALUES ('organization.reactivated', 'acme', '{\"epoch\": 1}')"
        )
        await telling.happen(2)
        async with telling.engine.begin() as conn:
            assert (await fan_out.place(conn)).events == 1
        await slow.commit()
    await telling.happen(3)

    async with telling.delivering():
        assert await telling.until_received(3) == [2, 1, 3]


async def test_two_workers_place_one_after_the_other(telling: Telling) -> None:
    await telling.endpoint()
    await telling.happen(1)
    async with telling.engine.begin() as first:
        placed = await fan_out.place(first)
        async with telling.engine.begin() as second:
            beside = await fan_out.place(second)

    assert (placed.events, beside.events) == (1, 0)


@pytest.mark.parametrize(
    ("behaviour", "status", "reason"),
    [
        (Behaviour(status=500), 500, "it answered 500"),
        (Behaviour(status=404), 404, "it answered 404"),
        (
            Behaviour(status=302, headers={"location": "http://127.0.0.1:1/"}),
            302,
            "it answered 302, and redirects are not followed",
        ),
        (Behaviour(delay=30), None, client.TOO_SLOW),
        (Behaviour(hangs_up=True), None, None),
    ],
    ids=["500", "404", "302", "silence", "hang-up"],
)
async def test_a_failed_attempt_has_its_reason_and_is_repeated(
    telling: Telling, behaviour: Behaviour, status: int | None, reason: str | None
) -> None:
    await telling.endpoint()
    telling.receiver.behave("/hooks", behaviour)
    await telling.happen(1)

    async with telling.delivering():
        await telling.until_failed(1)
        telling.receiver.behave("/hooks")
        await telling.settled(in_time=False)

    first, *_, last = await rows(telling.engine, "SELECT * FROM webhook_attempts ORDER BY id")
    if reason is not None:
        assert (first.status, first.reason) == (status, reason)
    assert (last.status, last.reason) == (200, "")
    assert len({each.id for each in telling.receiver.received}) == 1


@pytest.mark.parametrize(
    ("behaviour", "reason", "length"),
    [
        (Behaviour(size=10_000_000), client.CUT, 1024),
        (Behaviour(dripping=True), client.DRIPPED, 1),
    ],
    ids=["10 MB", "a byte a second"],
)
async def test_an_endless_answer_is_delivered_and_cut(
    telling: Telling, behaviour: Behaviour, reason: str, length: int
) -> None:
    await telling.endpoint()
    telling.receiver.behave("/hooks", behaviour)
    await telling.happen(1)

    async with telling.delivering():
        await telling.settled()

    [attempt] = await rows(telling.engine, "SELECT * FROM webhook_attempts")
    assert (attempt.status, attempt.reason) == (200, reason)
    assert 1 <= len(attempt.answer) <= length


def test_what_an_answer_contains_can_be_stored() -> None:
    assert legible(b"\x00\xff\x1b[2J ok\n") == "\\x00\ufffd\\x1b[2J ok\n"


async def test_retry_after_holds_back_the_whole_endpoint(telling: Telling) -> None:
    endpoint = await telling.endpoint()
    telling.receiver.behave("acme", Behaviour(status=429, headers={"retry-after": "60"}))
    await telling.happen(1)
    async with telling.delivering():
        await telling.until_failed(1)
        await telling.happen(2, "beta")
        [row] = await rows(
            telling.engine,
            "SELECT retry_at - clock_timestamp() AS pause FROM webhook_endpoints WHERE id = :id",
            id=endpoint.id,
        )
        telling.receiver.behave("acme")
        await telling.pass_by()
        assert sorted(await telling.until_received(2)) == [1, 2]

    assert timedelta(seconds=30) < row.pause <= timedelta(seconds=60)


async def test_410_disables_and_alerts_and_what_happens_is_kept(telling: Telling) -> None:
    endpoint = await telling.endpoint()
    telling.receiver.behave("/hooks", Behaviour(status=410))
    await telling.happen(1)
    async with telling.delivering():
        await telling.until_failed(1)
        await telling.happen(2)
        disabled = await telling.now(endpoint)
        alerted = await open_alerts(telling)
        telling.receiver.behave("/hooks")
        async with telling.engine.begin() as conn:
            await endpoints.enable(conn, endpoint.id)
        await telling.pass_by()
        received = await telling.until_received(2)

    assert (disabled.status, disabled.disabled_because) == ("disabled", Disabled.GONE)
    assert alerted == 1
    assert await open_alerts(telling) == 0
    assert received == [1, 2]


async def open_alerts(telling: Telling) -> int:
    [row] = await rows(
        telling.engine,
        "SELECT count(*) FROM alerts WHERE kind = :kind AND cleared_at IS NULL",
        kind=AlertKind.WEBHOOK_DISABLED.value,
    )
    return int(row.count)


async def test_an_endpoint_that_failed_for_five_days_is_disabled(telling: Telling) -> None:
    endpoint = await telling.endpoint()
    telling.receiver.behave("/hooks", BROKEN)
    await run(
        telling.engine,
        "UPDATE webhook_endpoints SET failures = 12,"
        " first_failed_at = clock_timestamp() - interval '5 days'",
    )
    await telling.happen(1)
    async with telling.delivering():
        await telling.until_failed(1)

    assert (await telling.now(endpoint)).disabled_because == Disabled.FAILING


async def test_an_event_is_given_up_after_ten_attempts_and_the_next_one_goes(
    telling: Telling,
) -> None:
    await telling.endpoint()
    telling.receiver.behave("/hooks", Behaviour(status=500, times=1))
    await telling.happen(1)
    await telling.happen(2)
    async with telling.engine.begin() as conn:
        await fan_out.place(conn)
    await run(telling.engine, "UPDATE webhook_deliveries SET attempts = 9 WHERE position = 1")
    async with telling.delivering():
        assert await telling.until_received(1) == [2]
        await telling.settled()

    statuses = await rows(
        telling.engine, "SELECT status, attempts FROM webhook_deliveries ORDER BY position"
    )
    assert [tuple(row) for row in statuses] == [("failed", 10), ("delivered", 1)]


async def test_of_a_dead_endpoint_with_many_organizations_few_are_tried(telling: Telling) -> None:
    await telling.endpoint("/dead")
    await telling.endpoint("/well")
    telling.receiver.behave("/dead", BROKEN)
    for number in range(50):
        await telling.happen(number, f"org-{number}")

    async with telling.delivering():
        await telling.until_received(50, "/well")
        tried = [each for each in telling.receiver.received if each.path == "/dead"]
        assert len(tried) <= 12
        telling.receiver.behave("/dead")
        await run(telling.engine, "UPDATE webhook_endpoints SET retry_at = NULL")
        received = await telling.until_received(50, "/dead")

    assert sorted(received) == list(range(50))  # the first success made all of them due


async def test_a_hanging_endpoint_delays_no_other(telling: Telling) -> None:
    await telling.endpoint("/hangs")
    await telling.endpoint("/well")
    telling.receiver.behave("/hangs", Behaviour(delay=600))
    for number in range(30):
        await telling.happen(number, f"org-{number}")

    async with telling.delivering():
        await telling.until_received(30, "/well")
        hanging = [each for each in telling.receiver.received if each.path == "/hangs"]

    assert len(hanging) <= 10  # four at a time, and one once it is found unwell


async def test_a_killed_worker_loses_nothing(telling: Telling) -> None:
    """Killed between the attempt and its record: the event is sent again, with the same id, once
    its lease has ended, and the ones behind it wait.
    """
    telling.lease = timedelta(seconds=2)
    await telling.endpoint()
    telling.receiver.behave("/hooks", Behaviour(delay=0.5, times=1))
    for epoch in range(1, 4):
        await telling.happen(epoch)
    async with telling.delivering():
        await telling.receiver.arrived.wait()  # and is cancelled before the answer

    async with telling.delivering():
        await telling.settled()

    epochs = [each.data["epoch"] for each in telling.receiver.received]
    assert epochs == [1, 1, 2, 3]
    assert telling.receiver.received[0].id == telling.receiver.received[1].id


async def test_several_workers_deliver_in_order(telling: Telling) -> None:
    await telling.endpoint()
    organizations = [f"org-{number}" for number in range(5)]
    async with telling.delivering(), telling.delivering(), telling.delivering():
        for epoch in range(1, 21):
            await asyncio.gather(*(telling.happen(epoch, of) for of in organizations))
        await telling.until_received(100)
        await telling.settled()

    for organization_id in organizations:
        received = [
            each.data["epoch"]
            for each in telling.receiver.accepted()
            if each.organization_id == organization_id
        ]
        assert received == list(range(1, 21)), organization_id


async def test_an_endpoint_gets_what_its_filters_say(telling: Telling) -> None:
    await telling.endpoint("/all")
    await telling.endpoint("/acme", of=("acme",))
    await telling.endpoint("/suspended", "organization.suspended")
    await telling.happen(1, "acme")
    await telling.happen(2, "beta")
    async with telling.delivering():
        await telling.settled()

    assert [each.data["epoch"] for each in telling.receiver.accepted("/acme")] == [1]
    assert sorted(each.data["epoch"] for each in telling.receiver.accepted("/all")) == [1, 2]
    assert telling.receiver.accepted("/suspended") == []


@pytest.mark.parametrize("scheme", SigningScheme)
async def test_both_schemes_are_verified_by_the_receiver(
    telling: Telling, scheme: SigningScheme
) -> None:
    endpoint = await telling.endpoint(scheme=scheme)
    await telling.happen(1)
    async with telling.delivering():
        assert await telling.until_received(1) == [1]

    assert telling.secrets[endpoint.id].startswith("whsec_" if scheme == "v1" else "whpk_")


async def test_an_event_that_is_no_longer_kept_is_skipped(telling: Telling) -> None:
    await telling.endpoint()
    await telling.happen(1)
    await telling.happen(2)
    async with telling.engine.begin() as conn:
        await fan_out.place(conn)
    await run(telling.engine, "DELETE FROM events WHERE sequence = 1")
    async with telling.delivering():
        assert await telling.until_received(1) == [2]
        await telling.settled()

    [skipped] = await rows(
        telling.engine, "SELECT status FROM webhook_deliveries WHERE position = 1"
    )
    assert skipped.status == "skipped"


@pytest.mark.parametrize("turns", range(4))
async def test_a_worker_that_stops_while_it_is_rung_ends(telling: Telling, turns: int) -> None:
    queues = telling.queues()
    queues._claim_all_at = time.monotonic() + LIMIT
    claiming = asyncio.create_task(queues._claim())
    for _ in range(3):
        await asyncio.sleep(0)
    queues._ring("we_1")
    for _ in range(turns):
        await asyncio.sleep(0)
    claiming.cancel()

    with pytest.raises(asyncio.CancelledError):
        await claiming
