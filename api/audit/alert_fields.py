"""How the API shows alerts."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from api.http.fields import Body, Note, Time, options
from db.alerts import Alert
from db.audit.alert_records import Entry, status_of
from domain.alerts import MEANINGS, AlertKind, AlertStatus, Change, Severity, anchor, severity_of


class AlertOut(BaseModel):
    """Something that a person has to look at."""

    id: str = Field(
        examples=["alt_0195f1d26d3a7c419b1e3f0a5c7d2e90"],
        description="The id: of this occurrence, from when it is raised until it ends.",
    )
    organization_id: str | None = Field(
        description="The organization; null for the whole installation."
    )
    kind: AlertKind | str = Field(
        description="The kind of the alert; another text only if another version raised it."
    )
    severity: Severity = Field(description="How soon a person has to look: at once, today, or not.")
    status: AlertStatus = Field(description="`acknowledged` if somebody looks after it.")
    detail: str = Field(description="What happened, in words.")
    raised_at: Time = Field(description="When it was raised first.")
    last_seen_at: Time = Field(description="When the cause was last seen.")
    times: int = Field(description="How often the cause has occurred.")
    owner: str | None = Field(description="Who looks after it.")
    acknowledged_at: Time | None = Field(description="Since when somebody looks after it.")
    cleared_at: Time | None = Field(description="When it ended; null while it is open.")
    closed_by: str | None = Field(description="Who closed it; null if it cleared by itself.")

    @classmethod
    def of(cls, alert: Alert) -> "AlertOut":
        return cls(**_fields(alert))


class AlertChangeOut(BaseModel):
    """A change of an alert. Repetitions that say nothing new are only counted."""

    change: str = Field(description="What happened to it.", json_schema_extra=options(Change))
    note: str = Field(description="What was found, or what a person wrote.")
    made_by: str | None = Field(description="Who did it; null: Tollgate.")
    made_at: Time = Field(description="When it happened.")

    @classmethod
    def of(cls, entry: Entry) -> "AlertChangeOut":
        return cls(change=entry.change.value, note=entry.note, made_by=entry.by, made_at=entry.at)


class AlertRecordOut(AlertOut):
    """An alert, what it means, and its history."""

    about: str = Field(description="What the kind means, and what to do.")
    clears_when: str | None = Field(description="What ends it by itself; null: a person closes it.")
    runbook: str = Field(
        examples=["docs/how-to/runbook.md#alert-refund"],
        description="Where the documentation has the kind.",
    )
    history: list[AlertChangeOut] = Field(description="What happened to it, oldest first.")

    @classmethod
    def with_history(cls, alert: Alert, history: list[Entry]) -> "AlertRecordOut":
        meaning = MEANINGS[AlertKind(alert.kind)] if alert.kind in MEANINGS else None
        return cls(
            **_fields(alert),
            about=meaning.plain if meaning else "",
            clears_when=meaning.clears if meaning else None,
            runbook=f"docs/how-to/runbook.md#{anchor(alert.kind)}",
            history=[AlertChangeOut.of(entry) for entry in history],
        )


class AcknowledgementRequest(Body):
    """Who looks after an alert."""

    owner: Annotated[Note, Field(min_length=1, max_length=120)] | None = Field(
        default=None,
        description="Who looks after it; by default the API key's name.",
        examples=["jo@example.com"],
    )
    note: Note = Field(default="", description="For whoever looks at it later.")


def _fields(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "organization_id": alert.organization_id or None,
        "kind": alert.kind,
        "severity": severity_of(alert.kind),
        "status": status_of(alert),
        "detail": alert.detail,
        "raised_at": alert.raised_at,
        "last_seen_at": alert.last_seen_at,
        "times": alert.times,
        "owner": alert.owner,
        "acknowledged_at": alert.acknowledged_at,
        "cleared_at": alert.cleared_at,
        "closed_by": alert.closed_by,
    }
