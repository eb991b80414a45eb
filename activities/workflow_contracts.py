"""Workflow contracts: names, inputs, ids and search attributes of the workflows. Recorded histories
contain them: names never change, fields are only added, with defaults.
"""

from dataclasses import dataclass
from uuid import UUID

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

LIFECYCLE = "OrganizationLifecycle"
CAMPAIGN_RUN = "CampaignRun"
RECONCILE = "Reconcile"
RECONCILIATION = "Reconciliation"
RECONCILE_EVENTS = "ReconcileEvents"
USAGE_LOOK = "UsageLook"
BULK_ACT = "BulkAct"
SUBSCRIPTION_SWITCH = "SubscriptionMigration"  # its former name, which histories hold
RING = "ring"
URGENT = "urgent"
"""A signal's argument: the gate was shut, and the query before the steps goes first."""
ORGANIZATION_ID = SearchAttributeKey.for_keyword("OrganizationId")
STANDING = SearchAttributeKey.for_keyword("Standing")
STUCK = SearchAttributeKey.for_bool("Stuck")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """The input of an organization's lifecycle, carried over when it continues as new.

    `self_check_seconds` is the interval at which runs of earlier builds check without a signal.
    `confirm_for_seconds` is how long it waits for a fresh answer of the billing provider before the
    newest verified event counts; `longest_history` is how many events a run may have before it
    continues as new.
    """

    organization_id: str
    self_check_seconds: int = 6 * 3600
    applied_epoch: int = -1
    confirm_for_seconds: int = 120
    longest_history: int = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """The input of a campaign's run. `batch` messages are reserved together, `window` are handed
    over at the same time.
    """

    organization_id: str
    campaign_id: UUID
    batch: int = 2000
    window: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchStart:
    """What the switch of an organization starts with.

    `look_seconds` is the first interval between checks for the customer's consent; it doubles, up
    to 16 times as long,
    `after_renewal_seconds` how long after a renewal its outcome is queried.
    """

    organization_id: str
    look_seconds: int = 3600
    after_renewal_seconds: int = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class LookStart:
    """Whose usage to look at, after its trigger fired."""

    organization_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkActStart:
    """Which act over many organizations to do."""

    bulk_act_id: UUID


def provider_queue(lifecycle_queue: str, provider: str) -> str:
    """Where the workers of a lifecycle queue query one billing provider."""
    return f"{lifecycle_queue}-{provider}"


def switching_queue(lifecycle_queue: str) -> str:
    """Where they take the steps of switches, which query two."""
    return f"{lifecycle_queue}-switching"


def reconciliation_queue(lifecycle_queue: str) -> str:
    """Where they compare and audit: passes that hang hold no slot of a lifecycle's steps."""
    return f"{lifecycle_queue}-reconciliation"


def switch_workflow_id(organization_id: str) -> str:
    return f"migration/{organization_id}"  # its former name, by which running ones are found


def organization_workflow_id(organization_id: str) -> str:
    return f"organization/{organization_id}"


def campaign_workflow_id(organization_id: str, campaign_id: UUID) -> str:
    return f"campaign/{organization_id}/{campaign_id}"


def usage_look_workflow_id(organization_id: str) -> str:
    return f"usage-look/{organization_id}"


def bulk_act_workflow_id(bulk_act_id: UUID) -> str:
    return f"bulk-act/{bulk_act_id}"


def of_organization(organization_id: str) -> TypedSearchAttributes:
    """The search attributes that every workflow of an organization starts with."""
    return TypedSearchAttributes([SearchAttributePair(ORGANIZATION_ID, organization_id)])
