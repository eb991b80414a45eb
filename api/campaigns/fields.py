"""What campaigns look like on the wire."""

from dataclasses import asdict
from datetime import time
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from api.http.cursors import Page
from api.http.fields import Body, Moment, Name, SmsBody, Time
from db.campaigns.campaigns import Campaign
from db.campaigns.progress import Progress
from domain.campaigns.quiet_hours import QuietHours
from domain.campaigns.waits import Wait

MOST_RECIPIENTS = 100_000
BODY_BYTES = 4 * 1024 * 1024
"""So many numbers do not fit into what other bodies may have."""
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
    """Local time in the recipient's country, in all its time zones; at most 12 hours, over midnight
    if need be.
    """

    model_config = ConfigDict(
        title="QuietHours", json_schema_extra={"examples": [{"begins": "21:00", "ends": "08:00"}]}
    )

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
    """A number that stands twice gets one message. Without recipients it is a draft to upload them
    to.
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

    name: Name
    body: SmsBody
    recipients: Annotated[
        list[Annotated[str, Field(max_length=32)]],
        Field(default_factory=list, max_length=MOST_RECIPIENTS),
    ]
    quiet_hours: Annotated[
        QuietHoursBody | None, Field(description="When recipients are left alone; none: never.")
    ] = None

    @property
    def quiet(self) -> QuietHours | None:
        return None if self.quiet_hours is None else self.quiet_hours.value()


class StartRequest(Body):
    model_config = ConfigDict(json_schema_extra={"examples": [{"at": "2026-12-24T08:00:00Z"}]})

    at: Annotated[
        Moment | None, Field(description="When to begin; now if it is missing or past.")
    ] = None


class ProgressOut(BaseModel):
    """Counts of the campaign's messages, and its pace."""

    model_config = ConfigDict(title="CampaignProgress")

    sent: int
    delivered: int
    failed: int
    refunded: int
    skipped: int = Field(description="Recipients that have opted out; not charged.")
    unconfirmed: int
    remaining: int
    per_second: float = Field(description="Handed over in the last minute, per second.")
    remaining_seconds: int | None = Field(
        description="At that rate; null while it waits, or nothing is left to go."
    )

    @classmethod
    def of(cls, progress: Progress) -> "ProgressOut":
        return cls(**asdict(progress))


class WaitOut(BaseModel):
    """Why a campaign does not move. `until` is when it is tried again, null where nobody knows."""

    code: str = Field(examples=["twilio_limit"])
    message: str = Field(examples=["Twilio asked to wait"])
    since: Time | None
    until: Time | None

    @classmethod
    def of(cls, wait: Wait) -> "WaitOut":
        return cls(code=wait.code, message=wait.text, since=wait.since, until=wait.until)


class CampaignOut(BaseModel):
    """`scheduled` campaigns begin at their time, `canceled` ones never go on.

    `parked` campaigns go on by themselves once they may; `paused` ones only when a person resumes
    them.

    `next_position` is the first message, counted from 1, that was not handed over yet; null when
    all were.
    """

    id: str
    organization_id: str
    name: str
    body: str
    status: str = Field(examples=["running"])
    reason: str = Field(description="Why it is parked or paused.", examples=[""])
    waiting: WaitOut | None = Field(
        default=None, description="Why it does not move; null while it does, and when it is over."
    )
    total: int
    next_position: int | None
    created_at: Time
    started_at: Time | None
    completed_at: Time | None
    scheduled_at: Time | None = None
    quiet_hours: QuietHoursBody | None = None
    progress: ProgressOut | None = Field(default=None, description="Only for one campaign.")
    counts: dict[str, int] | None = Field(
        default=None, description="Messages by status; only for one campaign."
    )
    duplicates_dropped: int | None = Field(
        default=None, description="Only in the answer to its creation."
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
