"""What each subaccount does on which day: the same for the same seed. Pure."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

STEPS = 4
"""A day has so many: at the end of each, what is due is read."""
CATEGORIES = {
    "calls-inbound-local": 8_500,
    "calls-outbound": 14_000,
    "verify-voice-sms": 50_000,
    "lookups": 5_000,
    "recordingstorage": 500,
    "mms-outbound-longcode": 22_000,
    "failed-message-processing-fee": 1_000,
    "sms-messages-carrierfees": 3_000,
    "a-category-that-nobody-listed": 7_001,
}
"""Prices of a unit. Rent, and messages in both directions, make it twelve."""
POLICIES = (
    {"prefix": "calls", "action": "charge", "factor": "1.35"},
    {"prefix": "lookups", "action": "charge", "unit_price": "0.004"},
    {"prefix": "recordingstorage", "action": "absorb"},
)
BUSY, USUAL = 0.1, 0.4
"""A tenth spends in each step, three tenths about once a day, the others once in ten days."""
LATE, CORRECTED, PRICELESS, CREDIT = 0.15, 0.12, 0.03, 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """Twilio books it for the day, or for the day before; `corrected` is the step in which it
    gets another price. A `price_micros` of None is not known before that.
    """

    category: str
    price_micros: int | None
    units: int
    days_late: int = 0
    corrected: int | None = None
    corrected_micros: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Doing:
    """What a subaccount does in a step."""

    charges: tuple[Charge, ...] = ()
    sent: int = 0
    received: int = 0

    def __bool__(self) -> bool:
        return bool(self.charges or self.sent or self.received)


def of_organization(number: int, organizations: int, days: int, seed: int = 0) -> Iterator[Doing]:
    """What the subaccount does in each step of the days."""
    chance = random.Random(f"{seed}-{number}")  # noqa: S311 - chance, not a secret
    rank = number / organizations
    often = 0.9 if rank < BUSY else 1 / STEPS if rank < USUAL else 0.1 / STEPS
    for step in range(days * STEPS):
        if chance.random() >= often:
            yield Doing()
            continue
        yield Doing(
            charges=tuple(_charge(chance, step, days) for _ in range(chance.randint(1, 2))),
            sent=chance.randint(1, 4) if chance.random() < 0.3 else 0,
            received=chance.randint(1, 6) if chance.random() < 0.4 else 0,
        )


def _charge(chance: random.Random, step: int, days: int) -> Charge:
    category = chance.choice(sorted(CATEGORIES))
    units = chance.randint(1, 9)
    price = CATEGORIES[category] * units + chance.randint(0, 999)
    if chance.random() < CREDIT:
        price = -price
    priceless = chance.random() < PRICELESS
    corrected = None
    if priceless or chance.random() < CORRECTED:
        corrected = min(step + chance.randint(1, 5 * STEPS), days * STEPS - 1)
    return Charge(
        category=category,
        price_micros=None if priceless else price,
        units=units,
        days_late=int(step >= STEPS and chance.random() < LATE),
        corrected=corrected,
        corrected_micros=chance.choice([0, price // 2, price + 12_345]),
    )
