"""`tollgate carrier tripwire`: the value of a subaccount's usage trigger."""

from sqlalchemy.ext.asyncio import AsyncConnection

from cli.console import output, table
from cli.failures import CommandFailed
from cli.transactions import run
from db.carrier import tripwires
from db.carrier.tripwires import Tripwire
from domain import money
from domain.money import BadAmount


def set_value(organization_id: str, value: str | None, *, computed: bool) -> None:
    """Show it, after setting it if a value is given, or `computed`."""
    if value is not None and computed:
        raise CommandFailed("give a value, or --computed")
    micros = None if value is None else _positive(value)
    change = computed or micros is not None
    tripwire = run(lambda conn: _set(conn, organization_id, micros, change=change))
    shown = table("set", "at Twilio", "fired")
    fired = tripwire.fired_at.strftime("%Y-%m-%d %H:%M UTC") if tripwire.fired_at else ""
    shown.add_row(
        "computed" if tripwire.set_micros is None else money.to_decimal_string(tripwire.set_micros),
        "" if tripwire.value_micros is None else money.to_decimal_string(tripwire.value_micros),
        fired,
    )
    output.print(shown)


def _positive(value: str) -> int:
    try:
        micros = money.parse_micros(value)
    except BadAmount as problem:
        raise CommandFailed(f"{value} is no amount: {problem}") from None
    if micros <= 0:
        raise CommandFailed(f"{value} is not above zero")
    return micros


async def _set(
    conn: AsyncConnection, organization_id: str, micros: int | None, *, change: bool
) -> Tripwire:
    tripwire = await tripwires.get(conn, organization_id)
    if tripwire is None:
        raise CommandFailed(f"there is no organization {organization_id}")
    if change:
        await tripwires.set_value(conn, organization_id, micros)
        tripwire = await tripwires.get(conn, organization_id)
        assert tripwire is not None
    return tripwire
