"""Phone numbers: E.164 and of a length that their country has; many are checked without holding up other requests."""

import asyncio
import re
from collections.abc import Sequence

import phonenumbers

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_AT_ONCE = 200
MOST_NAMED = 20


def problem_with(number: str) -> str | None:
    """Why it is no number to send to; None if it may be one."""
    if not _E164.fullmatch(number):
        return "not in E.164, such as +14155550100"
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return "its country code does not exist"
    return None if phonenumbers.is_possible_number(parsed) else "no number of that country has this length"


def distinct(numbers: Sequence[str]) -> list[str]:
    """Each once, in the order of first appearance."""
    return list(dict.fromkeys(numbers))


async def problems(numbers: Sequence[str]) -> list[tuple[int, str]]:
    """The index and the problem of those that are none; at most MOST_NAMED are named."""
    found: list[tuple[int, str]] = []
    for start in range(0, len(numbers), _AT_ONCE):
        for index, number in enumerate(numbers[start : start + _AT_ONCE], start):
            problem = problem_with(number)
            if problem is not None:
                found.append((index, problem))
                if len(found) == MOST_NAMED:
                    return found
        await asyncio.sleep(0)
    return found
