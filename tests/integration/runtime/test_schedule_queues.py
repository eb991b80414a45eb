"""What a worker finds at Temporal and does not fit: schedules of another task queue, and search
attributes of another type.
"""

import base64
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from google.protobuf.duration_pb2 import Duration
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleSpec,
    WorkflowExecutionStatus,
)
from temporalio.envconfig import ClientConnectConfig
from temporalio.service import RPCError

from runtime import client, payload_codec, schedules, search_attributes
from runtime.schedules import PLAN, Planned
from runtime.settings import BadSettings
from tests.world import until


def planned() -> Planned:
    return replace(PLAN[0], id=f"test-{uuid.uuid4().hex[:8]}", every=timedelta(days=1))


async def test_a_schedule_follows_a_change_of_the_task_queue(temporal_client: Client) -> None:
    plan = [planned()]
    await schedules.ensure(temporal_client, "nobodys-any-more", plan, ())
    handle = temporal_client.get_schedule_handle(plan[0].id)
    await handle.trigger()

    async def started() -> str | None:
        for running in (await handle.describe()).info.running_actions:
            assert isinstance(running, ScheduleActionExecutionStartWorkflow)
            return running.workflow_id
        return None

    workflow_id = await until(started, "a run on the old queue")
    assert workflow_id is not None
    await handle.pause(note="looking into it")
    for _ in range(2):
        await schedules.ensure(temporal_client, "another", plan, ())

    found = (await handle.describe()).schedule
    run = await temporal_client.get_workflow_handle(workflow_id).describe()
    await handle.delete()

    assert isinstance(found.action, ScheduleActionStartWorkflow)
    assert found.action.task_queue == "another"
    assert found.state.paused
    assert run.status is WorkflowExecutionStatus.TERMINATED  # it would prevent the next one


async def test_an_older_build_does_not_take_a_schedule_back_to_its_queue(
    temporal_client: Client,
) -> None:
    older = planned()
    await schedules.ensure(temporal_client, "new", [replace(older, version=2)], ())

    await schedules.ensure(temporal_client, "old", [older], ())
    handle = temporal_client.get_schedule_handle(older.id)
    found = (await handle.describe()).schedule
    await handle.delete()

    assert isinstance(found.action, ScheduleActionStartWorkflow)
    assert found.action.task_queue == "new"


@pytest.mark.parametrize("first", ["with keys", "without keys"])
async def test_a_process_without_keys_reads_which_version_a_schedule_has(
    temporal_client: Client, first: str
) -> None:
    key = SecretStr(f"2026-01:{base64.b64encode(bytes(32)).decode()}")
    encrypting = await client.connect(
        ClientConnectConfig(target_host=temporal_client.service_client.config.target_host),
        codec=payload_codec.codec((key,)),
    )
    order = [encrypting, temporal_client] if first == "with keys" else [temporal_client, encrypting]
    plan = [planned()]
    for number, each in enumerate(order):
        await schedules.ensure(each, f"queue-{number}", plan, ())

    handle = temporal_client.get_schedule_handle(plan[0].id)
    found = (await handle.describe()).schedule
    await handle.delete()

    assert isinstance(found.action, ScheduleActionStartWorkflow)
    assert found.action.task_queue == "queue-1"


async def test_a_schedule_whose_version_cannot_be_decrypted_is_left_alone(
    temporal_client: Client,
) -> None:
    plan = [planned()]
    secret = Payload(metadata={"encoding": payload_codec.ENCRYPTED}, data=b"secret")
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            "Nothing", id=plan[0].id, task_queue="theirs", memo={schedules.VERSION: secret}
        ),
        spec=ScheduleSpec(),
    )
    handle = await temporal_client.create_schedule(plan[0].id, schedule)

    await schedules.ensure(temporal_client, "ours", plan, ())
    found = (await handle.describe()).schedule
    await handle.delete()

    assert isinstance(found.action, ScheduleActionStartWorkflow)
    assert found.action.task_queue == "theirs"


async def test_a_search_attribute_of_another_type_is_told(temporal_client: Client) -> None:
    name = f"types-{uuid.uuid4().hex[:8]}"
    await temporal_client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    other = Client(temporal_client.service_client, namespace=name)
    request = AddSearchAttributesRequest(
        namespace=name,
        search_attributes={"Stuck": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD},
    )

    async def added() -> bool:
        try:
            await other.operator_service.add_search_attributes(request)
        except RPCError:
            return False  # the namespace is not known everywhere yet
        return True

    await until(added, "the attribute of another type")

    async def told() -> str:
        try:
            await search_attributes.register(other)
        except BadSettings as problem:
            return str(problem)
        return ""

    problem = await until(told, "the refusal")

    assert problem.startswith(
        f"TEMPORAL_NAMESPACE: {name} has the search attributes Stuck as Keyword, and needs Stuck "
        "as Bool: `temporal operator search-attribute remove"
    )
