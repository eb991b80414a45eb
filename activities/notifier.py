"""The doorbell: wakes a workflow, or starts it. It carries no fact; whoever is woken reads the
database.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from activities.workflow_contracts import (
    CAMPAIGN_RUN,
    LIFECYCLE,
    MIGRATION,
    RING,
    Campaign,
    Lifecycle,
    Moving,
    campaign_workflow_id,
    migration_workflow_id,
    of_organization,
    organization_workflow_id,
)

RPC_TIMEOUT = timedelta(seconds=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorbell:
    """Rings raise `temporalio.service.RPCError` when Temporal does not answer within three seconds.

    A lazy client that could not connect yet raises `RuntimeError` instead.
    """

    client: Client
    lifecycle_task_queue: str
    campaign_task_queue: str
    self_check: timedelta = timedelta(hours=6)

    async def ring_organization(self, organization_id: str) -> None:
        """Wake the organization's lifecycle, starting it if there is none. Any number of times."""
        await self.client.start_workflow(
            LIFECYCLE,
            Lifecycle(
                organization_id=organization_id,
                self_check_seconds=int(self.self_check.total_seconds()),
            ),
            id=organization_workflow_id(organization_id),
            task_queue=self.lifecycle_task_queue,
            start_signal=RING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=of_organization(organization_id),
            static_summary=f"Enforcement for organization {organization_id}",
            rpc_timeout=RPC_TIMEOUT,
        )

    async def ring_migration(self, organization_id: str) -> None:
        """Wake the organization's migration, starting its workflow if there is none. Any number of
        times.
        """
        await self._migration(organization_id, RING)

    async def keep_migration(self, organization_id: str) -> None:
        """Start the migration's workflow if there is none; one that runs looks by itself, and is
        left alone.
        """
        await self._migration(organization_id, None)

    async def _migration(self, organization_id: str, signal: str | None) -> None:
        await self.client.start_workflow(
            MIGRATION,
            Moving(organization_id=organization_id),
            id=migration_workflow_id(organization_id),
            task_queue=self.lifecycle_task_queue,
            start_signal=signal,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=of_organization(organization_id),
            static_summary=f"Migration of organization {organization_id} to another provider",
            rpc_timeout=RPC_TIMEOUT,
        )

    async def ring_campaign(self, organization_id: str, campaign_id: UUID) -> None:
        """Wake the campaign's run, starting it if there is none. Any number of times."""
        await self.client.start_workflow(
            CAMPAIGN_RUN,
            Campaign(organization_id=organization_id, campaign_id=campaign_id),
            id=campaign_workflow_id(organization_id, campaign_id),
            task_queue=self.campaign_task_queue,
            start_signal=RING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            search_attributes=of_organization(organization_id),
            static_summary=f"Campaign of organization {organization_id}",
            rpc_timeout=RPC_TIMEOUT,
        )
