"""The worker: polls its task queues, runs the relay, and shuts down without losing a task."""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Protocol

import structlog
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.audit.retired import Retired
from activities.workflow_contracts import (
    provider_queue,
    reconciliation_queue,
    switching_queue,
)
from domain.alerts import AlertKind
from domain.billing.subscription import Provider
from runtime.database_watch import DatabaseWatch
from runtime.heartbeats import Heartbeats
from runtime.loops import Loop
from runtime.outbound_queues import OutboundQueues
from runtime.relay import Relay
from runtime.schema_watch import until_unsupported
from runtime.settings import BadSettings
from runtime.upkeep import Upkeep
from runtime.wiring import Services
from workflows.audit.reconciliation import Reconcile, Reconciliation
from workflows.campaigns.campaign_run import CampaignRun
from workflows.carrier.usage_look import UsageLook
from workflows.inbox.event_backfill import ReconcileEvents
from workflows.lifecycle.organization_lifecycle import OrganizationLifecycle
from workflows.operations.bulk_act import BulkActRun
from workflows.switching.subscription_switch import SubscriptionSwitch

log = structlog.get_logger()
GRACE = timedelta(seconds=30)
DEPLOYMENT = "tollgate"
SENDERS = 2_000
"""Campaigns that a worker sends for at once; mostly they wait for their pace, and use no connection.
"""
LONGEST_HEARTBEAT = timedelta(minutes=3)
"""The SDK's default of one minute would send more heartbeats than a slow campaign's timeout needs."""
CACHED_WORKFLOWS = 2_000
"""With more active organizations than this, histories are replayed. One takes about 115 KiB."""
OURS = (
    "activities",
    "db",
    "domain",
    "providers",
    "workflows",
    "sqlalchemy",
    "structlog",
    "httpx",
    "twilio",
)
WORKFLOWS: tuple[type[Any], ...] = (
    OrganizationLifecycle,
    CampaignRun,
    Reconciliation,
    Reconcile,
    ReconcileEvents,
    UsageLook,
    BulkActRun,
    SubscriptionSwitch,
)


def workflow_runner() -> SandboxedWorkflowRunner:
    """The sandbox, with our own modules shared between runs: they hold no state."""
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*OURS)
    )


def queues_beside(services: Services, queue: str) -> Sequence[str]:
    """The queues that a process polls together with this one: of activities that may hang, or take
    long.
    """
    if queue == services.settings.campaign_task_queue:
        return []
    return [
        *(provider_queue(queue, provider) for provider in Provider),
        switching_queue(queue),
        reconciliation_queue(queue),
    ]


def create_activity_worker(services: Services, queue: str, *, versioned: bool = False) -> Worker:
    """A worker for a queue beside the lifecycle's, with slots of its own."""
    return Worker(
        services.client,
        task_queue=queue,
        activities=activities_of(services, services.settings.lifecycle_task_queue),
        interceptors=[Heartbeats()],
        max_concurrent_activities=services.settings.db_pool_size,
        graceful_shutdown_timeout=GRACE,
        deployment_config=_deployment(services, versioned=versioned),
    )


def activities_of(services: Services, queue: str) -> Sequence[Any]:
    """The activities that a queue's worker runs."""
    if queue == services.settings.campaign_task_queue:
        sending = services.sending
        return [
            sending.reserve_batch,
            sending.send_batch,
            sending.settle_batch,
            sending.resolve_unknown,
        ]
    billing, enforcement, retired = services.billing, services.enforcement, Retired()
    switching = services.switching
    return [
        billing.confirm_subscription,
        billing.settle_standing,
        enforcement.suspend_twilio_subaccount,
        enforcement.freeze_wallet,
        enforcement.pause_campaigns,
        enforcement.reactivate_twilio_subaccount,
        enforcement.unfreeze_wallet,
        enforcement.resume_eligible_campaigns,
        enforcement.mark_stuck,
        services.passes.reconcile,
        retired.notify_waiting,
        retired.compare_organizations,
        retired.settle_unknown_messages,
        retired.record_prices,
        retired.audit,
        services.event_backfill.take_in_missed_events,
        services.tripwires.look,
        services.bulk_acts.do,
        switching.read_switch,
        switching.check_switch,
        switching.offer_checkout,
        switching.look_for_consent,
        switching.stop_source,
        switching.cut_over,
        switching.undo_switch,
        switching.note_stuck_switch,
    ]


def create_worker(services: Services, queue: str, *, versioned: bool = False) -> Worker:
    """A worker for one queue, stamped with the build id; `versioned` takes part in Temporal's
    worker versioning.
    """
    campaign = queue == services.settings.campaign_task_queue
    return Worker(
        services.client,
        task_queue=queue,
        workflows=[CampaignRun]
        if campaign
        else [workflow for workflow in WORKFLOWS if workflow is not CampaignRun],
        activities=activities_of(services, queue),
        workflow_runner=workflow_runner(),
        interceptors=[Heartbeats()],
        max_cached_workflows=CACHED_WORKFLOWS,
        max_heartbeat_throttle_interval=LONGEST_HEARTBEAT,
        max_concurrent_activities=SENDERS if campaign else services.settings.db_pool_size,
        graceful_shutdown_timeout=GRACE,
        deployment_config=_deployment(services, versioned=versioned),
    )


def _deployment(services: Services, *, versioned: bool) -> WorkerDeploymentConfig:
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(
            deployment_name=DEPLOYMENT, build_id=services.settings.build_id
        ),
        use_worker_versioning=versioned,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE
        if versioned
        else VersioningBehavior.UNSPECIFIED,
    )


async def work(
    services: Services, queues: Collection[str], stop: asyncio.Event, *, versioned: bool = False
) -> None:
    """Poll `queues` until `stop` is set, then let running tasks end within half a minute.

    Raises `BadSettings`, after the same end, when a migration no longer supports this build.
    """
    watch = DatabaseWatch(services.engine, services.client, services.memory)
    await watch.look_first()
    workers = [create_worker(services, queue, versioned=versioned) for queue in queues]
    workers += [
        create_activity_worker(services, beside_it, versioned=versioned)
        for queue in queues
        for beside_it in queues_beside(services, queue)
    ]
    async with AsyncExitStack() as stack:
        for each in workers:
            await stack.enter_async_context(each)
        log.info("worker_started", queues=sorted(queues), build_id=services.settings.build_id)
        beside: list[asyncio.Task[Any]] = [asyncio.create_task(watch.run(), name="database watch")]
        if services.settings.lifecycle_task_queue in queues:
            relay = Loop(AlertKind.RELAY_FAILED, Relay(services).step, services.engine)
            for finding in services.findings:
                look = Loop(AlertKind.FINDING_FAILED, finding.step, services.engine)
                beside.append(asyncio.create_task(look.run(), name="finding"))
            beside.append(asyncio.create_task(relay.run(), name="relay"))
            back = Loop(AlertKind.READ_BACK_FAILED, services.read_backs.step, services.engine)
            beside.append(asyncio.create_task(back.run(), name="read backs"))
            costs = Loop(AlertKind.RECURRING_FAILED, services.recurring_costs.step, services.engine)
            beside.append(asyncio.create_task(costs.run(), name="recurring costs"))
            people = Loop(AlertKind.NOTIFYING_FAILED, services.notifying.step, services.engine)
            beside.append(asyncio.create_task(people.run(), name="notifying"))
            upkeep = Upkeep(services.engine, services.notifier, services.checking)
            beside.append(asyncio.create_task(upkeep.run(), name="upkeep"))
            telling = OutboundQueues(services.engine, services.sender)
            beside.append(asyncio.create_task(telling.run(), name="webhooks"))
        stopped = asyncio.create_task(stop.wait())
        unsupported = asyncio.create_task(until_unsupported(services.engine))
        beside += [stopped, unsupported]
        await asyncio.wait([stopped, unsupported], return_when=asyncio.FIRST_COMPLETED)
        problem = unsupported.result() if unsupported.done() else ""
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        log.info("worker_stopping")
        await end_together(workers)
    if problem:
        raise BadSettings(problem)


class Stoppable(Protocol):
    async def shutdown(self) -> None: ...


async def end_together(workers: Sequence[Stoppable]) -> None:
    """One after the other, each would have its own half minute, and those behind it would accept
    tasks meanwhile.
    """
    await asyncio.gather(*(each.shutdown() for each in workers))
