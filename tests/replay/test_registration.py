"""Every workflow, and every activity that a workflow calls, is registered with the worker of its
queue.
"""

import inspect
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio import activity
from temporalio.client import Client

import activities
from activities.audit.passes import Passes
from activities.audit.retired import Retired
from activities.billing.confirmation import Billing
from activities.campaigns.dispatch import Sending
from activities.carrier.tripwires import Tripwires
from activities.inbox.event_backfill import EventBackfill
from activities.lifecycle.enforcement import Enforcement
from activities.operations.bulk_acts import BulkActs
from activities.switching.steps import Switching
from runtime import settings
from runtime.wiring import Services, services
from runtime.worker import WORKFLOWS, create_worker
from tests.replay.fingerprint import commands

CLASSES: dict[str, type[Any]] = {
    owner.__name__: owner
    for owner in (
        Billing,
        BulkActs,
        Enforcement,
        EventBackfill,
        Switching,
        Passes,
        Retired,
        Sending,
        Tripwires,
    )
}
ACTIVITIES = Path(activities.__file__).parent
_ACTIVITY = re.compile(rf"\b({'|'.join(CLASSES)})\.([a-z_]+)")


@pytest_asyncio.fixture
async def built(temporal_client: Client) -> AsyncIterator[Services]:
    """Only Temporal is reached."""
    secret, unique = SecretStr("secret"), uuid.uuid4().hex
    async with services(
        settings.Settings(
            lifecycle_task_queue=f"lifecycle-{unique}", campaign_task_queue=f"campaigns-{unique}"
        ),
        [settings.PayPal(client_id=secret, client_secret=secret, webhook_ids=("WH",))],
        settings.Twilio(account_sid=f"AC{0:032}", auth_token=secret),
        temporal_client,
        "postgresql+psycopg://nobody@/nothing",
    ) as wired:
        yield wired


def _activities_of(workflow: str) -> set[str]:
    """The names of the activities that a workflow's source calls."""
    found = {match for line in commands()[workflow] for match in _ACTIVITY.findall(line)}
    return {_name(getattr(CLASSES[owner], method)) for owner, method in found}


def _name(method: Any) -> str:
    return str(activity._Definition.must_from_callable(method).name)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=[each.__name__ for each in WORKFLOWS])
async def test_every_scheduled_activity_is_registered_on_its_queue(
    built: Services, workflow: type[Any]
) -> None:
    queues = (built.settings.lifecycle_task_queue, built.settings.campaign_task_queue)
    workers = [create_worker(built, queue).config() for queue in queues]

    [its_worker] = [worker for worker in workers if workflow in worker["workflows"]]
    registered = {_name(function) for function in its_worker["activities"]}

    assert _activities_of(workflow.__name__)
    assert _activities_of(workflow.__name__) <= registered


def test_every_activity_that_is_defined_is_scheduled_by_a_workflow() -> None:
    defined = {
        _name(method)
        for owner in CLASSES.values()
        for _, method in inspect.getmembers(owner, inspect.isfunction)
        if activity._Definition.from_callable(method) is not None
    }

    assert defined == {name for workflow in commands() for name in _activities_of(workflow)}


def test_no_other_module_defines_activities() -> None:
    """The other tests use CLASSES: they would not cover a class that is missing there."""
    defining = {path for path in ACTIVITIES.rglob("*.py") if "@activity.defn" in path.read_text()}

    assert defining == {Path(inspect.getfile(owner)) for owner in CLASSES.values()}
