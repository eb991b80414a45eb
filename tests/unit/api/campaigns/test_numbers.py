"""Compares our check of numbers with that of `phonenumbers`, for all kinds of numbers of all
countries and near misses.
"""

import random
from collections.abc import Iterator

import phonenumbers
import pytest
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, ValidationResult

from api.campaigns import numbers

SATELLITES_AND_THE_LIKE = [800, 808, 870, 878, 881, 882, 883, 888, 979]


def written(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def examples() -> Iterator[str]:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in PhoneNumberType.values():
            example = phonenumbers.example_number_for_type(region, kind)
            if example is not None:
                yield written(example)
    for code in SATELLITES_AND_THE_LIKE:
        example = phonenumbers.example_number_for_non_geo_entity(code)
        assert example is not None
        yield written(example)


def near_misses(number: str, chance: random.Random) -> Iterator[str]:
    """Variants with one digit more, less or changed: without a country, of a neighbour country, or
    with an invalid length.
    """
    yield number[:-1]
    yield f"{number}{chance.randrange(10)}"
    for _ in range(5):
        place = chance.randrange(1, len(number))
        yield f"{number[:place]}{chance.randrange(10)}{number[place + 1 :]}"
        end = chance.randrange(2, len(number))
        yield number[:end] + "".join(str(chance.randrange(10)) for _ in number[end:])


def judged(number: str) -> tuple[bool, bool, str | None]:
    """The result of `phonenumbers`: whether the number is possible, whether it is in canonical
    form, its region.
    """
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return False, False, None
    possible = phonenumbers.is_possible_number_with_reason(parsed) == ValidationResult.IS_POSSIBLE
    region = phonenumbers.region_code_for_number(parsed)
    return possible, written(parsed) == number, None if region == "001" else region


def test_numbers_of_every_country_are_judged_as_the_library_judges_them() -> None:
    chance = random.Random(7)
    tried = {
        number: judged(number)
        for example in examples()
        for number in (example, *near_misses(example, chance))
        if number[1] != "0" and 8 <= len(number) <= 16
    }

    taken = {number for number in tried if numbers.problem_with(number) is None}
    possible = {
        number for number, (possible, canonical, _) in tried.items() if possible and canonical
    }

    assert len(tried) > 5_000
    assert len(taken) > 3_000
    assert possible <= taken
    assert all(tried[number][0] for number in taken)
    assert {number: numbers.country_of(number) for number in possible} == {
        number: tried[number][2] for number in possible
    }


def test_every_country_is_found() -> None:
    found = {numbers.country_of(number) for number in examples()}

    # they cannot be distinguished from Morocco and Guadeloupe
    assert numbers.COUNTRIES - found <= {
        "EH",
        "MF",
    }


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        ("", "E.164"),
        ("4155550100", "E.164"),
        ("+0155550100", "E.164"),
        ("+1415555010\u0660", "E.164"),
        ("+1 415 555 0100", "E.164"),
        ("+14155550100\n", "E.164"),
        ("+2101234567890", "country code"),
        ("+5550100", "length"),
        ("+15550100", "length"),  # without its area code it can be dialled only nearby
        ("+4401632960001", "length"),  # the national prefix is for calls within the country
        ("+141555501000", "length"),
    ],
)
def test_an_invalid_number_is_refused_with_its_reason(number: str, problem: str) -> None:
    assert problem in (numbers.problem_with(number) or "")


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+14155550100", "US"),
        ("+16045550100", "CA"),
        ("+18765550100", "JM"),
        ("+447400123456", "GB"),
        ("+77011234567", "KZ"),
        ("+3906698123456", "VA"),
        ("+870773111632", None),  # Inmarsat
        ("+19995550100", None),  # no area code of any country
    ],
)
def test_countries_that_share_a_code_are_told_apart(number: str, country: str | None) -> None:
    assert numbers.problem_with(number) is None
    assert numbers.country_of(number) == country


async def test_many_are_checked_in_their_order() -> None:
    many = [f"+1415{number:07d}" for number in range(2_000_000, 2_012_000)]

    checked = await numbers.check([*many, "+1", many[0]])

    assert list(checked.countries) == many
    assert (checked.bad, checked.duplicates) == (
        [(12_000, "not in E.164, such as +14155550100")],
        1,
    )
