"""Quiet hours: when no message is sent to a country, by that country's clocks.

A country with several time zones is quiet while it is quiet in any of them; one whose zones are not
known always is. Source: the IANA database's `zone.tab`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

NO_COUNTRY = ""
"""Represents the unknown country of a number."""
_NOT_IN_ZONE_TAB = {"XK": "Europe/Belgrade", "AC": "Atlantic/St_Helena", "TA": "Atlantic/St_Helena"}
"""Kosovo, Ascension and Tristan da Cunha have numbers and no ISO code of their own; zones by
libphonenumber's data.
"""
LAST_CALL = timedelta(seconds=15)
"""Nothing is handed over so shortly before quiet hours: it would expire on its way."""
LONGEST = timedelta(hours=12)
"""With longer quiet hours, countries with the most time zones would never receive a message."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `begins` to `ends`, local time; they cross midnight if `ends` is before `begins`."""

    begins: time
    ends: time

    def __post_init__(self) -> None:
        """Raises `ValueError` if they are empty or longer than LONGEST."""
        if not timedelta(0) < self.span <= LONGEST:
            raise ValueError("quiet hours last up to 12 hours")

    @property
    def span(self) -> timedelta:
        begins, ends = (
            timedelta(hours=at.hour, minutes=at.minute) for at in (self.begins, self.ends)
        )
        return (ends - begins) % timedelta(days=1)

    def quiet_in(self, country: str, now: datetime) -> bool:
        """Whether it is quiet in the country now. Without a known time zone it always is: it might
        be night.
        """
        country_zones = zones().get(country)
        return country_zones is None or any(
            self._at(now.astimezone(zone).time()) for zone in country_zones
        )

    def quiet_countries(self, now: datetime) -> list[str]:
        """The countries where it is quiet now or within LAST_CALL; always includes NO_COUNTRY."""
        soon = now + LAST_CALL
        return [
            NO_COUNTRY,
            *(
                country
                for country in zones()
                if self.quiet_in(country, now) or self.quiet_in(country, soon)
            ),
        ]

    def begin_in(self, country: str | None, now: datetime) -> datetime:
        """When quiet hours begin next in the country, in the first of its time zones; now if none
        is known.
        """
        begins = (
            begin
            for zone in zones().get(country or NO_COUNTRY, ())
            for days in (0, 1, 2)  # a clock that is put forward may skip the time of one day
            if (begin := self._begins_on(now.astimezone(zone).date() + timedelta(days), zone)) > now
        )
        return min(begins, default=now)

    def until(self, countries: Iterable[str], now: datetime) -> datetime | None:
        """When quiet hours end in the first of these countries; None if there is none."""
        return min(
            (at for country in countries for at in self._ends_of(country, now)), default=None
        )

    def _at(self, local: time) -> bool:
        if self.begins < self.ends:
            return self.begins <= local < self.ends
        return local >= self.begins or local < self.ends

    def _begins_on(self, day: date, zone: ZoneInfo) -> datetime:
        return datetime.combine(day, self.begins, zone).astimezone(UTC)

    def _ends_of(self, country: str, now: datetime) -> Iterator[datetime]:
        """Quiet ends in a country when it ends in one of its zones, and is over in the others."""
        for zone in zones().get(country, ()):
            local = now.astimezone(zone)
            for days in (0, 1):
                end = datetime.combine(
                    local.date() + timedelta(days=days), self.ends, zone
                ).astimezone(now.tzinfo)
                if end > now and not self.quiet_in(country, end):
                    yield end


@cache
def zones() -> Mapping[str, tuple[ZoneInfo, ...]]:
    """The time zones of each country, by its ISO code."""
    by_country: dict[str, list[ZoneInfo]] = {}
    for line in (
        files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8").splitlines()
    ):
        if not line.startswith("#"):
            country, _, name, *_ = line.split("\t")
            by_country.setdefault(country, []).append(ZoneInfo(name))
    for country, name in _NOT_IN_ZONE_TAB.items():
        by_country.setdefault(country, []).append(ZoneInfo(name))
    return {country: tuple(of) for country, of in by_country.items()}
