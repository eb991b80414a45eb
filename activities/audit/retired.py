"""What the reconciliation of earlier releases called: its runs under way end with these answers."""

from dataclasses import dataclass

from temporalio import activity


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Organizations ordered by id, starting after `after`."""

    after: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """`after` is where the next page starts; None after the last page."""

    after: str | None = None
    compared: int = 0
    differing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notified:
    organizations: int = 0
    campaigns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesFrom:
    organization_id: str = ""
    day: str | None = None
    page: str | None = None


class Retired:
    """Each has nothing to do: the passes of today do it."""

    @activity.defn(name="ring_waiting")
    async def notify_waiting(self) -> Notified:
        return Notified()

    @activity.defn(name="settle_unknown_messages")
    async def settle_unknown_messages(self) -> int:
        return 0

    @activity.defn(name="audit")
    async def audit(self) -> list[str]:
        return []

    @activity.defn(name="record_prices")
    async def record_prices(self, _at: PricesFrom) -> PricesFrom | None:
        return None

    @activity.defn(name="compare_organizations")
    async def compare_organizations(self, _page: Page) -> Compared:
        return Compared()
