"""Answers about organizations in a list: each with the figures that a list shows."""

from pydantic import BaseModel, ConfigDict, Field

from api.http.cursors import Page
from api.http.fields import Decimal, Time
from api.lifecycle.fields import OrganizationOut
from db.lifecycle.organization_lists import Figures, Listed


class StuckOut(BaseModel):
    """A step that was refused permanently."""

    step: str = Field(examples=["suspend_twilio_subaccount"], description="The refused step.")
    reason: str = Field(description="Why it was refused.")


class FiguresOut(BaseModel):
    """What a list shows of an organization."""

    model_config = ConfigDict(title="OrganizationFigures")

    since: Time = Field(description="When its status last changed.")
    balance: Decimal = Field(description="What its wallet holds.")
    owed: Decimal = Field(
        description="What it owes: payers got it back, or Twilio charged it, and it is not covered."
    )
    parked_campaigns: int = Field(description="How many of its campaigns are parked.")
    stuck: StuckOut | None = Field(description="The step that needs an operator; null without one.")

    @classmethod
    def of(cls, figures: Figures) -> "FiguresOut":
        stuck = None
        if figures.stuck_step is not None:
            stuck = StuckOut(step=figures.stuck_step, reason=figures.stuck_reason or "")
        return cls(
            since=figures.since,
            balance=figures.balance_micros,
            owed=figures.owed_micros,
            parked_campaigns=figures.parked_campaigns,
            stuck=stuck,
        )


class ListedOrganizationOut(OrganizationOut):
    """An organization with its settings, and with what a list shows of it."""

    figures: FiguresOut = Field(description="What a list shows of it.")

    @classmethod
    def listed(cls, listed: Listed) -> "ListedOrganizationOut":
        organization = OrganizationOut.of(listed.organization, listed.standing)
        return cls(**dict(organization), figures=FiguresOut.of(listed.figures))


class ListedOrganizationPage(Page[ListedOrganizationOut]):
    pass
