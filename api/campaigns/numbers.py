"""Phone numbers: checks E.164 and the lengths of each country, and finds the country.

The data is that of `phonenumbers`, whose own functions take forty times as long, too long for a
hundred thousand numbers.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata
from phonenumbers.phonemetadata import PhoneNumberDesc
from phonenumbers.phonenumberutil import SUPPORTED_REGIONS

COUNTRIES = frozenset(SUPPORTED_REGIONS)
MOST_NAMED = 20
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_CODES = {str(code): code for code in COUNTRY_CODE_TO_REGION_CODE}
_AT_ONCE = 5000
"""The numbers that a thread checks at once, in some ten milliseconds, so that other requests get
their turn.
"""
_KINDS = (
    *(
        "premium_rate",
        "toll_free",
        "shared_cost",
        "voip",
        "personal_number",
        "pager",
        "uan",
        "voicemail",
    ),
    *("fixed_line", "mobile"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A calling code's numbers, without the code. `region` is set if all are of one region,
    otherwise `regions` decides.
    """

    lengths: frozenset[int]
    region: str | None
    regions: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Checked:
    """Numbers in order, each once, with their countries; invalid ones with their index and the
    reason.
    """

    countries: dict[str, str | None]
    bad: list[tuple[int, str]]
    duplicates: int


def problem_with(number: str) -> str | None:
    """Why the number is invalid; None if it may be valid.

    A number without its area code, which can be dialled only nearby, is invalid; so is one with a
    national prefix.
    """
    if not _E164.fullmatch(number):
        return "not in E.164, such as +14155550100"
    code = _calling_code(number)
    if code is None:
        return "its country code does not exist"
    if len(number) - 1 - len(code) not in _plan(_CODES[code]).lengths:
        return "no number of that country has this length"
    return None


def country_of(number: str) -> str | None:
    """The country (ISO 3166, two letters) of a number without a problem.

    None if unknown: for satellite phones and similar, or for an unassigned number of a code that
    several countries share.
    """
    code = _calling_code(number) or ""
    plan = _plan(_CODES[code])
    if plan.regions is None:
        return plan.region
    found = plan.regions.match(number, 1 + len(code))
    return found.lastgroup if found else None


async def check(numbers: Sequence[str]) -> Checked:
    """Check many numbers without delaying other requests."""
    countries: dict[str, str | None] = {}
    bad: list[tuple[int, str]] = []
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        bad += await asyncio.to_thread(_check, some, start, countries)
    return Checked(countries, bad, len(numbers) - len(countries) - len(bad))


def _check(
    numbers: Sequence[str], start: int, countries: dict[str, str | None]
) -> list[tuple[int, str]]:
    bad = []
    for index, number in enumerate(numbers, start):
        if number in countries:
            continue
        problem = problem_with(number)
        if problem is None:
            countries[number] = country_of(number)
        else:
            bad.append((index, problem))
    return bad


def _calling_code(number: str) -> str | None:
    """No calling code is a prefix of another one."""
    return next((number[1:end] for end in (2, 3, 4) if number[1:end] in _CODES), None)


@cache
def _plan(code: int) -> Plan:
    regions = COUNTRY_CODE_TO_REGION_CODE[code]
    lengths = frozenset(
        _general(
            PhoneMetadata.metadata_for_region_or_calling_code(code, regions[0])
        ).possible_length
    )
    if len(regions) > 1:
        return Plan(
            lengths,
            None,
            re.compile("|".join(f"(?P<{region}>{_belongs(region)})" for region in regions)),
        )
    return Plan(lengths, regions[0] if regions[0] in COUNTRIES else None, None)


def _belongs(region: str) -> str:
    """The pattern of a region's numbers, used as in `phonenumbers.region_code_for_number`: the
    first region that matches.
    """
    metadata = PhoneMetadata.metadata_for_region(region, None)
    if metadata is not None and metadata.leading_digits is not None:
        return f"(?:{metadata.leading_digits})"
    kinds = [
        _full(description)
        for description in (getattr(metadata, kind) for kind in _KINDS)
        if description and description.national_number_pattern
    ]
    return f"(?={_full(_general(metadata))})(?:{'|'.join(kinds)})"


def _full(kind: PhoneNumberDesc) -> str:
    lengths = "|".join(rf"\d{{{length}}}$" for length in kind.possible_length)
    return f"(?={lengths})(?:{kind.national_number_pattern})$"


def _general(metadata: PhoneMetadata | None) -> PhoneNumberDesc:
    assert metadata is not None
    assert metadata.general_desc is not None
    return metadata.general_desc
