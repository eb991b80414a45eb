"""The notifier: signals a workflow, and starts it if there is none. It carries no fact; the workflow
reads the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from activities.workflow_contracts import (
    BULK_ACT,
    CAMPAIGN_RUN,
    LIFECYCLE,
    RING,
    SUBSCRIPTION_SWITCH,
    URGENT,
    USAGE_LOOK,
    BulkActStart,
    Campaign,
    Lifecycle,
    LookStart,
    SwitchStart,
    bulk_act_workflow_id,
    campaign_workflow_id,
    of_organization,
    organization_workflow_id,
    switch_workflow_id,
    usage_look_workflow_id,
)

RPC_TIMEOUT = timedelta(seconds=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notifier:
    """Each method may be called any number of times. Raises `temporalio.service.RPCError` when
    Temporal does not answer within three seconds.

    A lazy client that could not connect yet raises `RuntimeError` instead.
    """

    client: Client
    lifecycle_task_queue: str
    campaign_task_queue: str

    async def notify_organization(self, organization_id: str, *, urgent: bool = False) -> None:
        """Signal the organization's lifecycle; starts it if there is none. `urgent`: it has to
        suspend.
        """
        await self._start(
            LIFECYCLE,
            Lifecycle(organization_id=organization_id),
            id_=organization_workflow_id(organization_id),
            task_queue=self.lifecycle_task_queue,
            summary=f"Enforcement for organization {organization_id}",
            hints=[URGENT] if urgent else [],
        )

    async def notify_switch(self, organization_id: str) -> None:
        """Signal the workflow of the organization's switch; starts it if there is none."""
        await self._start_switch(organization_id, RING)

    async def ensure_switch(self, organization_id: str) -> None:
        """Start the workflow of the organization's switch if there is none. A running one checks on
        its own and gets no signal.
        """
        await self._start_switch(organization_id, None)

    async def notify_campaign(self, organization_id: str, campaign_id: UUID) -> None:
        """Signal the campaign's run; starts it if there is none."""
        await self._start(
            CAMPAIGN_RUN,
            Campaign(organization_id=organization_id, campaign_id=campaign_id),
            id_=campaign_workflow_id(organization_id, campaign_id),
            task_queue=self.campaign_task_queue,
            summary=f"Campaign of organization {organization_id}",
        )

    async def notify_usage(self, organization_id: str) -> None:
        """Start a look at what the organization's subaccount did, unless one is under way, which
        sees what fired meanwhile.
        """
        await self._start(
            USAGE_LOOK,
            LookStart(organization_id=organization_id),
            id_=usage_look_workflow_id(organization_id),
            task_queue=self.lifecycle_task_queue,
            summary=f"What the subaccount of organization {organization_id} did",
            signal=None,
        )

    async def notify_bulk_act(self, bulk_act_id: UUID) -> None:
        """Start the workflow of an act over many organizations, unless it runs."""
        await self.client.start_workflow(
            BULK_ACT,
            BulkActStart(bulk_act_id=bulk_act_id),
            id=bulk_act_workflow_id(bulk_act_id),
            task_queue=self.lifecycle_task_queue,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary="An act over many organizations",
            rpc_timeout=RPC_TIMEOUT,
        )

    async def _start_switch(self, organization_id: str, signal: str | None) -> None:
        await self._start(
            SUBSCRIPTION_SWITCH,
            SwitchStart(organization_id=organization_id),
            id_=switch_workflow_id(organization_id),
            task_queue=self.lifecycle_task_queue,
            summary=f"Switch of organization {organization_id} to another provider",
            signal=signal,
        )

    async def _start(
        self,
        workflow: str,
        start: Lifecycle | Campaign | SwitchStart | LookStart,
        *,
        id_: str,
        task_queue: str,
        summary: str,
        signal: str | None = RING,
        hints: Sequence[str] = (),
    ) -> None:
        await self.client.start_workflow(
            workflow,
            start,
            id=id_,
            task_queue=task_queue,
            start_signal=signal,
            start_signal_args=hints,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=of_organization(start.organization_id),
            static_summary=summary,
            rpc_timeout=RPC_TIMEOUT,
        )
