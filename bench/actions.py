"""Counts what Temporal Cloud bills for a workflow: its actions, from its histories.

By https://docs.temporal.io/cloud/actions. Heartbeats that reach the server are not in a history:
`heartbeats` computes them as `runtime.heartbeats` and the SDK send them. A schedule's run costs two
beside its workflow's.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from runtime.heartbeats import BEATS_PER_TIMEOUT

MONTH = timedelta(days=30)
_CHANGE_VERSION = "TemporalChangeVersion"
_ONE = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED,
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
    EventType.EVENT_TYPE_NEXUS_OPERATION_SCHEDULED,
}


def actions(events: Iterable[HistoryEvent]) -> int:
    """The actions of one run. A start by a signal is one action together with it; markers of one
    workflow task are one.
    """
    count, starts, marked = 0, 0, set[int]()
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            starts = event.event_id
        if event.event_type in _ONE:
            count += 1
        elif event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            count += event.event_id != starts + 1  # else signal-with-start
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            count += event.activity_task_started_event_attributes.attempt
        elif event.event_type == EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED:
            count += 2
        elif event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
            upserted = event.upsert_workflow_search_attributes_event_attributes
            fields = upserted.search_attributes.indexed_fields
            count += any(name != _CHANGE_VERSION for name in fields)
        elif event.event_type == EventType.EVENT_TYPE_MARKER_RECORDED:
            task = event.marker_recorded_event_attributes.workflow_task_completed_event_id
            count += task not in marked
            marked.add(task)
    return count


async def of_workflow(client: Client, workflow_id: str) -> int:
    """The actions of the workflow's current run so far; attempts that are under way count later."""
    return actions((await client.get_workflow_handle(workflow_id).fetch_history()).events)


async def month_at_rest(
    client: Client, workflow_id: str, wake: Callable[[], Awaitable[None]]
) -> float:
    """The actions of a workflow at rest in thirty days: one for each time that its pending timer
    ends, and those that it takes then. `wake` rings it once and returns when it rests again.
    """
    before = await of_workflow(client, workflow_id)
    await wake()
    events = (await client.get_workflow_handle(workflow_id).fetch_history()).events
    cycle = actions(events) - before - 1  # without the ring itself
    return sum(cycle * (MONTH / every) for every in pending_timers(events))


def pending_timers(events: Sequence[HistoryEvent]) -> list[timedelta]:
    pending: dict[str, timedelta] = {}
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
            started = event.timer_started_event_attributes
            pending[started.timer_id] = started.start_to_fire_timeout.ToTimedelta()
        elif event.event_type == EventType.EVENT_TYPE_TIMER_FIRED:
            pending.pop(event.timer_fired_event_attributes.timer_id)
        elif event.event_type == EventType.EVENT_TYPE_TIMER_CANCELED:
            pending.pop(event.timer_canceled_event_attributes.timer_id)
    return list(pending.values())


def heartbeats(events: Iterable[HistoryEvent]) -> int:
    """The most heartbeats of the last attempts of activities that have ended."""
    timeouts: dict[int, timedelta] = {}
    started: dict[int, HistoryEvent] = {}
    count = 0
    for event in events:
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            scheduled = event.activity_task_scheduled_event_attributes
            timeouts[event.event_id] = scheduled.heartbeat_timeout.ToTimedelta()
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
            started[event.activity_task_started_event_attributes.scheduled_event_id] = event
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            which = event.activity_task_completed_event_attributes.scheduled_event_id
            spent = event.event_time.ToDatetime() - started[which].event_time.ToDatetime()
            count += heartbeats_within(spent, timeouts[which])
    return count


def heartbeats_within(spent: timedelta, timeout: timedelta) -> int:
    """The first after a quarter of the timeout, then one in 80 % of it, as the SDK throttles."""
    beating = spent - timeout / BEATS_PER_TIMEOUT
    return 1 + beating // (timeout * 0.8) if timeout and beating > timedelta() else 0
