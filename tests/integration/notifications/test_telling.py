"""People are told of alerts once, in time, by the routes that they chose."""

import base64
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from db import alerts
from db.audit import alert_records
from db.notifications import outbox, routes
from db.notifications.routes import Route
from domain.alerts import AlertKind, Severity
from domain.notifications import DEAD_AFTER, Pace
from providers.channels import Channels
from providers.outbound.addresses import network
from runtime.notifying import Notifying, Routes
from runtime.stored_secrets import StoredSecrets
from tests import builders
from tests.builders import ORGANIZATION
from tests.integration.notifications.receivers import (
    PASSWORD,
    Received,
    http_receiver,
    mail_receiver,
)

HOUR = timedelta(hours=1)
PACE = Pace(today=HOUR, info=24 * HOUR, reminder=4 * HOUR)
KEY = ("k1", b"k" * 32)


@dataclass(frozen=True, slots=True)
class People:
    """Routes to receivers on this machine, and a clock that the test moves."""

    engine: AsyncEngine
    routes: Routes
    began: datetime

    async def add(self, url: str, *severities: Severity, kinds: Sequence[str] = ()) -> str:
        route_id = f"ntr_{uuid4().hex}"
        async with self.engine.begin() as conn:
            await self.routes.create(
                conn, route_id, name="ops", url=url, severities=severities, kinds=kinds
            )
        return route_id

    async def raise_(self, kind: AlertKind, detail: str = "why") -> str:
        async with self.engine.begin() as conn:
            await alerts.raise_(conn, ORGANIZATION, kind, detail)
            found = await alerts.standing(conn, ORGANIZATION)
        return next(alert.id for alert in found if alert.kind == kind)

    async def clear(self, kind: AlertKind) -> None:
        async with self.engine.begin() as conn:
            await alerts.clear(conn, ORGANIZATION, kind)

    async def route(self, route_id: str) -> Route:
        async with self.engine.connect() as conn:
            found = await routes.get(conn, route_id)
        assert found is not None
        return found

    async def tell(self, *, after: timedelta = timedelta(0)) -> int:
        """What a worker does when so much time has passed since the beginning."""
        notifying = Notifying(self.engine, self.routes, PACE)
        return await notifying.tell(now=self.began + after)


@pytest.fixture
def chat() -> Iterator[Received]:
    with http_receiver() as received:
        yield received


@pytest_asyncio.fixture
async def people(engine: AsyncEngine) -> AsyncIterator[People]:
    channels = Channels([network("127.0.0.0/8")])
    began = datetime.now(UTC).replace(minute=10, second=0, microsecond=0)
    yield People(engine, Routes(channels, StoredSecrets([KEY])), began)
    channels.close()


async def test_a_page_is_told_at_once_and_once_and_so_is_its_end(
    people: People, chat: Received
) -> None:
    await people.add(chat.url)
    await people.raise_(AlertKind.STUCK, "suspend_twilio_subaccount: refused")
    for _ in range(3):
        await people.tell()
    await people.raise_(AlertKind.STUCK, "suspend_twilio_subaccount: refused again")
    await people.tell()
    await people.clear(AlertKind.STUCK)
    for _ in range(2):
        await people.tell()

    assert chat.titles == [
        f"Tollgate: page: stuck ({ORGANIZATION})",
        f"Tollgate: resolved: stuck ({ORGANIZATION})",
    ]
    assert "suspend_twilio_subaccount: refused" in chat.messages[0][1]
    assert "runbook.md#alert-stuck" in chat.messages[0][1]


async def test_what_is_not_urgent_is_told_together_at_the_end_of_the_hour(
    people: People, chat: Received
) -> None:
    await people.add(chat.url)
    await people.raise_(AlertKind.REFUND, "refund R-1")
    await people.raise_(AlertKind.TELEPHONY)
    await people.tell()
    early = list(chat.messages)
    await people.tell(after=HOUR)

    assert early == []
    assert chat.titles == ["Tollgate: 2 alerts, 0 resolved"]
    assert "refund R-1" in chat.messages[0][1]


async def test_an_alert_that_came_and_went_is_told_in_one_line(
    people: People, chat: Received
) -> None:
    await people.add(chat.url)
    await people.raise_(AlertKind.TELEPHONY)
    await people.tell()
    await people.clear(AlertKind.TELEPHONY)
    for hours in (1, 2, 3):
        await people.tell(after=hours * HOUR)

    assert chat.titles == [f"Tollgate: resolved: telephony ({ORGANIZATION})"]


async def test_a_route_takes_its_severities_and_kinds_only(people: People, chat: Received) -> None:
    await people.add(chat.url, Severity.PAGE, kinds=[AlertKind.STUCK, AlertKind.REFUND])
    for kind in (AlertKind.REFUND, AlertKind.FOREIGN_MESSAGES, AlertKind.STUCK):
        await people.raise_(kind)
    await people.tell(after=25 * HOUR)

    assert chat.titles == [f"Tollgate: page: stuck ({ORGANIZATION})"]


async def test_an_open_page_is_told_again_until_somebody_looks_after_it(
    people: People, chat: Received
) -> None:
    await people.add(chat.url)
    id_ = await people.raise_(AlertKind.STUCK)
    await people.tell()
    await builders.run(
        people.engine, "UPDATE notifications SET due_at = due_at - interval '5 hours'"
    )
    await people.tell()
    async with people.engine.begin() as conn:
        alert = await alert_records.get(conn, id_)
        assert alert is not None
        await alert_records.acknowledge(conn, alert, owner="jo", by="jo", remark="")
    await builders.run(
        people.engine, "UPDATE notifications SET due_at = due_at - interval '5 hours'"
    )
    for hours in (0, 5, 10):
        await people.tell(after=hours * HOUR)

    assert chat.titles == [
        f"Tollgate: page: stuck ({ORGANIZATION})",
        f"Tollgate: still open, page: stuck ({ORGANIZATION})",
    ]


async def test_a_new_fact_is_told_although_somebody_looks_after_the_alert(
    people: People, chat: Received
) -> None:
    await people.add(chat.url)
    id_ = await people.raise_(AlertKind.CALLBACK_CONTRADICTED, "message 1")
    await people.tell()
    async with people.engine.begin() as conn:
        alert = await alert_records.get(conn, id_)
        assert alert is not None
        await alert_records.acknowledge(conn, alert, owner="jo", by="jo", remark="")
    await people.tell()
    await people.raise_(AlertKind.CALLBACK_CONTRADICTED, "message 2")
    await people.tell()

    assert len(chat.messages) == 2
    assert "message 2" in chat.messages[1][1]


async def test_a_dead_channel_loses_nothing_and_is_told_by_the_others(
    people: People, chat: Received
) -> None:
    with http_receiver() as dead:
        dead.status = 500
        dead_route = await people.add(dead.url)
        await people.add(chat.url)
        await people.raise_(AlertKind.STUCK, "the first")
        tried = []
        for _ in range(DEAD_AFTER + 1):
            tried.append(await people.tell())
            await builders.run(people.engine, "UPDATE notification_routes SET retry_at = NULL")
        await people.tell(after=2 * HOUR)
        route = await people.route(dead_route)
        async with people.engine.connect() as conn:
            [alert] = await alerts.standing(conn, alerts.INSTALLATION)
        dead.status = 200
        await builders.run(people.engine, "UPDATE notification_routes SET retry_at = NULL")
        await people.tell()
        await people.tell()

        assert alert.kind == AlertKind.NOTIFICATION_ROUTE_FAILED
        assert dead_route in alert.detail
        assert "status 500" in alert.detail
        assert route.failures > DEAD_AFTER
        assert f"Tollgate: today: {alert.kind} (installation)" in chat.titles
        assert dead.titles == [f"Tollgate: page: stuck ({ORGANIZATION})"]
        async with people.engine.connect() as conn:
            assert await alerts.standing(conn, alerts.INSTALLATION) == []


async def test_a_route_that_failed_is_left_alone_for_longer_each_time(
    people: People, chat: Received
) -> None:
    chat.status = 503
    route_id = await people.add(chat.url)
    await people.raise_(AlertKind.STUCK)

    tried = [await people.tell() for _ in range(3)]

    assert tried == [1, 0, 0]
    retry_at = (await people.route(route_id)).retry_at
    assert retry_at is not None
    assert retry_at == people.began + timedelta(minutes=1)


async def test_two_workers_tell_once_and_one_that_was_killed_is_replaced(
    people: People, chat: Received
) -> None:
    await people.add(chat.url)
    await people.raise_(AlertKind.STUCK)
    async with people.engine.begin() as conn:
        await outbox.fan_out(conn, PACE, now=people.began)
    async with people.engine.begin() as first, people.engine.begin() as second:
        taken = await outbox.claim(first, now=people.began, limit=8)
        meanwhile = await outbox.claim(second, now=people.began, limit=8)
    beside = await people.tell()
    later = await people.tell(after=outbox.LEASE + timedelta(seconds=1))

    assert (len(taken), len(meanwhile), beside, later) == (1, 0, 0, 1)
    assert len(chat.messages) == 1


async def test_what_changes_while_a_message_is_sent_is_told_by_another_one(
    people: People, chat: Received
) -> None:
    await people.add(chat.url)
    await people.raise_(AlertKind.STUCK)
    async with people.engine.begin() as conn:
        await outbox.fan_out(conn, PACE, now=people.began)
        [claim] = await outbox.claim(conn, now=people.began, limit=8)
    await people.clear(AlertKind.STUCK)
    async with people.engine.begin() as conn:
        await outbox.fan_out(conn, PACE, now=people.began)
        await outbox.sent(conn, claim, PACE, now=people.began)
    await people.tell()

    assert chat.titles == [f"Tollgate: resolved: stuck ({ORGANIZATION})"]


async def test_many_alerts_are_one_message_of_bounded_size(people: People, chat: Received) -> None:
    await people.add(chat.url)
    async with people.engine.begin() as conn:
        for number in range(60):
            await alerts.raise_(conn, f"org-{number}", AlertKind.STUCK, "x" * 5000)
    await people.tell()

    [(title, body)] = chat.messages
    assert title == "Tollgate: 60 alerts, 0 resolved"
    assert "40 more" in body
    assert len(body) < 20_000


async def test_mail_is_sent(people: People) -> None:
    with mail_receiver() as mail:
        await people.add(mail.url)
        await people.raise_(AlertKind.STUCK, "a step")
        await people.tell()

    assert mail.titles == [f"Tollgate: page: stuck ({ORGANIZATION})"]
    assert "a step" in mail.messages[0][1]


@pytest.mark.parametrize("status", [200, 401])
async def test_secrets_of_a_url_are_in_no_row_and_no_log(
    people: People, chat: Received, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    chat.status = status
    route_id = await people.add(chat.url)
    await people.raise_(AlertKind.STUCK)
    logging.getLogger("apprise").disabled = True
    with structlog.testing.capture_logs() as logged:
        await people.tell()
    stored = await builders.rows(people.engine, "SELECT route::text FROM notification_routes route")

    route = await people.route(route_id)
    printed = capfd.readouterr()
    for text in (str(logged), str(stored), str(route), printed.out, printed.err):
        for spelling in (PASSWORD, PASSWORD.encode().hex(), base64.b64encode(PASSWORD.encode())):
            assert str(spelling) not in text
    assert route.scheme == "json"
    assert route.problem == (None if status == 200 else "it answered with status 401")


async def test_a_url_of_another_route_or_key_is_not_read(people: People, chat: Received) -> None:
    route_id = await people.add(chat.url)
    other = replace(
        people, routes=Routes(people.routes._channels, StoredSecrets([("k2", b"x" * 32)]))
    )
    await people.raise_(AlertKind.STUCK)
    await other.tell()

    assert chat.messages == []
    assert "has no key" in ((await people.route(route_id)).problem or "")
