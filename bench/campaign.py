"""Measures campaigns through the Twilio simulator: their speed, and how soon a suspension stops
one.
"""

import asyncio
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import TextClause, text
from temporalio.client import Client

from bench import load
from bench.load import Subject, Target
from bench.outcome import BenchFailed, from_callers
from db.audit.certify import examine

ORGANIZATIONS = 2
MESSAGES_TO_STOP = 20_000
STOPPED_AT = 2_000
CREDIT = "1000.00"
BARE_CALLERS, BARE_SECONDS = 100, 8.0
PATIENCE = 900.0
_OF = "WHERE organization_id = ANY(:ids) AND"
_ACCEPTED = text(f"SELECT count(*) FROM messages {_OF} status = 'accepted'")
_DELIVERED = text(f"SELECT count(*) FROM messages {_OF} delivery_status = 'delivered'")
_PARKED = text(f"SELECT count(*) FROM campaigns {_OF} status = 'parked'")
_UNPAID_AFTER = text(
    "SELECT count(*) FROM ledger_entries e JOIN gate_changes g USING (organization_id) "
    "WHERE organization_id = :organization_id AND g.change = 'shut' AND e.kind = 'debit' AND "
    "e.seq > g.after_seq"
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`as_json` is the report's public form; `last_accept_after_answer` is in seconds, negative if
    the last acceptance came first.
    """

    messages: int
    messages_per_second: float
    bare_posts_per_second: float
    events_per_message: float
    last_accept_after_answer: float
    debits_after_answer: int
    accepted_twice: int
    worker_rss_mb: float
    certified: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "messages_per_second": round(self.messages_per_second),
            "bare_posts_per_second": round(self.bare_posts_per_second),
            "events_per_message": round(self.events_per_message, 4),
            "last_accept_after_answer_s": round(self.last_accept_after_answer, 3),
            "debits_after_answer": self.debits_after_answer,
            "accepted_twice": self.accepted_twice,
            "worker_rss_mb": round(self.worker_rss_mb),
            "certify": self.certified,
        }


async def run(target: Target, client: Client, worker_pid: int, messages: int, say: Say) -> Report:
    """Measure everything in one run. Raises `BenchFailed` if a guarantee is broken."""
    senders = await load.onboard(target, "SENDER", ORGANIZATIONS, credit=CREDIT)
    [stopped] = await load.onboard(target, "STOPPED", 1, credit=CREDIT)
    each = messages // len(senders)
    say(f"messages posted to the simulator by the bare client for {BARE_SECONDS:.0f} seconds")
    bare_per_second = await _post_bare(target)
    say(f"{len(senders)} campaigns of {each} messages at once")
    created = {subject: await _create(target, subject, each) for subject in senders}
    per_second = await _send(target, created, each * len(senders))
    events = sum(
        [await _history(client, subject, campaign_id) for subject, campaign_id in created.items()]
    )
    say(f"a suspension in the middle of a campaign of {MESSAGES_TO_STOP}")
    last, late = await _stop(target, stopped)
    twice = len((await target.twilio.get("/_sim/counts")).json()["duplicates"])
    say("certifying")
    certified = all(finding.holds for finding in await examine(target.engine))
    if late or twice or not certified:
        raise BenchFailed(
            f"a guarantee is broken: {late} late debits, {twice} sent twice, certified: {certified}"
        )
    return Report(
        messages=each * len(senders),
        messages_per_second=per_second,
        bare_posts_per_second=bare_per_second,
        events_per_message=events / (each * len(senders)),
        last_accept_after_answer=last,
        debits_after_answer=late,
        accepted_twice=twice,
        worker_rss_mb=_rss_mb(worker_pid),
        certified=certified,
    )


async def _post_bare(target: Target) -> float:
    """Messages a second that httpx posts on the worker's connections: unpaid, without callbacks.

    The worker itself posts without httpx; the yardstick has stayed the same.
    """
    [account] = (await load.ok(target.twilio.post("/_sim/accounts", json={"count": 1}))).json()[
        "accounts"
    ]
    path = f"/2010-04-01/Accounts/{account['sid']}/Messages.json"
    credentials = (account["sid"], account["auth_token"])

    async def post(caller: int, number: int) -> None:
        message = {
            "To": f"+1415{2_000_000 + caller * 10_000 + number:07}",
            "From": "+15550001111",
            "Body": "Hello from the bench.",
        }
        await load.ok(target.twilio.post(path, data=message, auth=credentials))

    return (await from_callers(BARE_CALLERS, BARE_SECONDS, post)).per_second


async def _create(target: Target, subject: Subject, messages: int) -> str:
    recipients = [f"+1415{number:07}" for number in range(2_000_000, 2_000_000 + messages)]
    campaign = {
        "name": "bench",
        "body": f"Hello from {subject.organization_id}.",
        "recipients": recipients,
    }
    path = f"/v1/organizations/{subject.organization_id}/campaigns"
    answer = await load.ok(
        target.api.post(path, json=campaign, headers={"idempotency-key": "bench"})
    )
    campaign_id: str = answer.json()["id"]
    return campaign_id


async def _start(target: Target, subject: Subject, campaign_id: str) -> None:
    await load.ok(
        target.api.post(
            f"/v1/organizations/{subject.organization_id}/campaigns/{campaign_id}/start"
        )
    )


async def _send(target: Target, created: Mapping[Subject, str], messages: int) -> float:
    """Messages a second, from the first start to the last recorded delivery."""
    ids = [subject.organization_id for subject in created]
    began = time.monotonic()
    for subject, campaign_id in created.items():
        await _start(target, subject, campaign_id)
    await _until(target, _DELIVERED, ids, messages, rest=0.5)
    return messages / (time.monotonic() - began)


async def _stop(target: Target, subject: Subject) -> tuple[float, int]:
    """Seconds from a suspension's answer to the last message accepted, and debits after it."""
    campaign_id = await _create(target, subject, MESSAGES_TO_STOP)
    account = f"/v1/organizations/{subject.organization_id}"
    account_sid = (await load.ok(target.api.get(account))).json()["twilio_account_sid"]
    [lapse] = await load.sign(target, [subject], "suspend")
    await _start(target, subject, campaign_id)
    await _until(target, _ACCEPTED, [subject.organization_id], STOPPED_AT, rest=0.05)
    await load.deliver(target, lapse)
    answered = time.monotonic()  # also the simulator's clock
    await load.at_rest(target, [subject])
    await _until(target, _PARKED, [subject.organization_id], 1, rest=0.1)
    async with target.engine.connect() as conn:
        parameters = {"organization_id": subject.organization_id}
        late: int = (await conn.execute(_UNPAID_AFTER, parameters)).scalar_one()
    query = {"account_sid": account_sid}
    messages = (await load.ok(target.twilio.get("/_sim/messages", params=query))).json()["messages"]
    return max(message["accepted_at"] for message in messages) - answered, late


async def _until(
    target: Target, question: TextClause, ids: Sequence[str], many: int, *, rest: float
) -> None:
    """Wait until the query's count is `many`; it runs every `rest` seconds."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        async with target.engine.connect() as conn:
            if (await conn.execute(question, {"ids": list(ids)})).scalar_one() >= many:
                return
        await asyncio.sleep(rest)
    raise BenchFailed(f"after {PATIENCE:.0f} seconds there were fewer than {many}: {question.text}")


async def _history(client: Client, subject: Subject, campaign_id: str) -> int:
    """Events of all runs of a campaign's workflow."""
    workflow_id = f"campaign/{subject.organization_id}/{campaign_id}"
    handle = client.get_workflow_handle(workflow_id)
    await handle.result()
    return sum(
        [run.history_length async for run in client.list_workflows(f"WorkflowId = '{workflow_id}'")]
    )


def _rss_mb(pid: int) -> float:
    command = ["ps", "-o", "rss=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    return int(answer.stdout) / 1024
