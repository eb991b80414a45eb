"""Requests and answers about campaigns."""

from dataclasses import asdict
from datetime import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from api.http.cursors import Page
from api.http.fields import Body, Moment, Name, SmsBody, Time, Uuid, options
from db.campaigns.campaigns import Campaign
from db.campaigns.progress import Progress
from domain.campaigns.campaign import CampaignStatus
from domain.campaigns.quiet_hours import QuietHours
from domain.campaigns.waits import Wait

MOST_RECIPIENTS = 100_000
BODY_BYTES = 4 * 1024 * 1024
"""The limit of other bodies is too small for this many numbers."""
FILE_BYTES = 64 * 1024 * 1024
"""Read as it arrives, never held."""
LocalTime = Annotated[
    time,
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\\.[0-9]+)?)?$",
            "examples": ["21:00"],
        }
    ),
]


class QuietHoursBody(Body):
    """Local time in the country of the recipient, in all its time zones; at most 12 hours, which
    may pass midnight.
    """

    model_config = ConfigDict(title="QuietHours")

    begins: LocalTime = Field(description="When quiet hours begin; recipients get no message then.")
    ends: LocalTime = Field(description="When quiet hours end.")

    @model_validator(mode="after")
    def _lasting(self) -> "QuietHoursBody":
        self.value()
        return self

    def value(self) -> QuietHours:
        return QuietHours(
            self.begins.replace(second=0, tzinfo=None), self.ends.replace(second=0, tzinfo=None)
        )


class CampaignRequest(Body):
    """A campaign. A number that occurs twice gets one message. Without recipients it is a draft;
    upload recipients to it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Autumn",
                    "body": "20 % off today.",
                    "recipients": ["+14155550100", "+14155550101"],
                }
            ]
        }
    )

    name: Name = Field(description="For people; recipients do not see it.")
    body: SmsBody = Field(description="The text of each message.")
    recipients: list[Annotated[str, Field(max_length=32)]] = Field(
        default_factory=list,
        max_length=MOST_RECIPIENTS,
        description="Phone numbers in E.164 form.",
    )
    quiet_hours: Annotated[
        QuietHoursBody | None, Field(description="When recipients get no message; null: never.")
    ] = None

    @property
    def quiet(self) -> QuietHours | None:
        return None if self.quiet_hours is None else self.quiet_hours.value()


class StartRequest(Body):
    """When a campaign starts."""

    at: Annotated[
        Moment | None,
        Field(description="The time at which to start; immediately if missing or past."),
    ] = None


class ProgressOut(BaseModel):
    """Counts of the campaign's messages, and its pace."""

    model_config = ConfigDict(title="CampaignProgress")

    sent: int = Field(description="Messages that Twilio accepted.")
    delivered: int = Field(description="Messages that Twilio reports as delivered.")
    failed: int = Field(description="Messages that were not delivered.")
    refunded: int = Field(description="Messages whose price was refunded.")
    skipped: int = Field(description="Recipients that have opted out; not charged.")
    unconfirmed: int = Field(
        description="Messages that Twilio may have accepted; their outcome is still unknown."
    )
    remaining: int = Field(description="Messages that were not handed to Twilio yet.")
    per_second: float = Field(
        description="Messages handed to Twilio per second, over the last minute."
    )
    remaining_seconds: int | None = Field(
        description=(
            "Time left at that pace; null while the campaign waits, or if no message remains."
        )
    )

    @classmethod
    def of(cls, progress: Progress) -> "ProgressOut":
        return cls(**asdict(progress))


class WaitOut(BaseModel):
    """Why a campaign does not move."""

    code: str = Field(examples=["twilio_limit"], description="The cause, for programs.")
    message: str = Field(examples=["Twilio asked to wait"], description="The cause, for people.")
    since: Time | None = Field(description="When the wait began.")
    until: Time | None = Field(description="When the campaign tries again; null if unknown.")

    @classmethod
    def of(cls, wait: Wait) -> "WaitOut":
        return cls(code=wait.code, message=wait.text, since=wait.since, until=wait.until)


class CampaignOut(BaseModel):
    """A campaign with its status and, if it was read alone, its progress."""

    id: Uuid = Field(description="The id of the campaign.")
    organization_id: str = Field(description="The id of the organization.")
    name: str = Field(description="For people; recipients do not see it.")
    body: str = Field(description="The text of each message.")
    status: str = Field(
        examples=["running"],
        description=(
            "`scheduled` campaigns start at `scheduled_at`; `parked` ones resume by "
            "themselves once they may; `paused` ones only on request; `canceled` ones never."
        ),
        json_schema_extra=options(CampaignStatus),
    )
    reason: str = Field(description="Why it is parked or paused; empty otherwise.", examples=[""])
    waiting: WaitOut | None = Field(
        default=None, description="Why it does not move; null while it moves, and after its end."
    )
    total: int = Field(description="How many recipients it has.")
    next_position: int | None = Field(
        description=(
            "The first message, counted from 1, that was not handed to Twilio; null if all were."
        )
    )
    created_at: Time = Field(description="When it was created.")
    started_at: Time | None = Field(description="When it was started.")
    completed_at: Time | None = Field(
        description="When its last message was handed to Twilio or refunded."
    )
    scheduled_at: Time | None = Field(default=None, description="When it is to start.")
    quiet_hours: QuietHoursBody | None = Field(
        default=None, description="When recipients get no message; null: never."
    )
    progress: ProgressOut | None = Field(
        default=None, description="Counts and pace; only if one campaign is read."
    )
    counts: dict[str, int] | None = Field(
        default=None, description="Messages by status; only if one campaign is read."
    )
    duplicates_dropped: int | None = Field(
        default=None, description="Numbers that occurred twice; only in the answer to the creation."
    )

    @classmethod
    def of(
        cls,
        campaign: Campaign,
        *,
        position: int | None,
        counts: dict[str, int] | None = None,
        progress: Progress | None = None,
        waiting: Wait | None = None,
        duplicates: int | None = None,
    ) -> "CampaignOut":
        return cls(
            id=str(campaign.id),
            organization_id=campaign.organization_id,
            name=campaign.name,
            body=campaign.body,
            status=campaign.status.value,
            reason=campaign.reason,
            waiting=None if waiting is None else WaitOut.of(waiting),
            total=campaign.total,
            next_position=position,
            created_at=campaign.created_at,
            started_at=campaign.started_at,
            completed_at=campaign.completed_at,
            scheduled_at=campaign.scheduled_at,
            quiet_hours=campaign.quiet_hours
            and QuietHoursBody(begins=campaign.quiet_hours.begins, ends=campaign.quiet_hours.ends),
            progress=None if progress is None else ProgressOut.of(progress),
            counts=counts,
            duplicates_dropped=duplicates,
        )


class CampaignPage(Page[CampaignOut]):
    pass
