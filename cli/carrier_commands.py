"""The commands of what Twilio charges: the bill, and the policies by which it is charged."""

from enum import StrEnum
from typing import Annotated

import typer

from cli.bench_commands import Json

carrier = typer.Typer(help="Who pays for which of Twilio's usage categories.", no_args_is_help=True)
Organization = Annotated[
    str | None, typer.Option("--organization", help="Its id; everybody's unless it is given.")
]
Prefix = Annotated[
    str, typer.Argument(help="A usage category, or what its name begins with; * for all.")
]
Code = Annotated[str, typer.Argument(help="Three capital letters (ISO 4217).")]


class ActionName(StrEnum):
    CHARGE = "charge"
    ABSORB = "absorb"
    FORBID = "forbid"


def bill(
    organization: Annotated[
        str | None, typer.Argument(help="The organization's id; all of them without it.")
    ] = None,
    *,
    month: Annotated[
        str | None, typer.Option(help="Such as 2026-11 (UTC); by default, the present one.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what Twilio charged in a month, by usage category, and who paid it. Read-only.

    Exit status 1 if something is unpaid, or if the categories do not add up to Twilio's total.
    """
    from cli.bill import show

    show(organization, month, as_json=as_json)


@carrier.command("policies")
def list_policies(organization: Organization = None) -> None:
    """List the policies that count for an organization, or for everybody."""
    from cli.carrier import show

    show(organization)


@carrier.command("set")
def set_policy(
    prefix: Prefix,
    action: Annotated[
        ActionName, typer.Argument(help="`forbid` charges, and blocks at first sight.")
    ],
    *,
    markup: Annotated[
        str | None, typer.Option(help="Charge Twilio's price times this, such as 1.2.")
    ] = None,
    unit_price: Annotated[
        str | None, typer.Option(help="Charge this for each unit, in the wallet's currency.")
    ] = None,
    organization: Organization = None,
) -> None:
    """Set who pays for a usage category, from now on."""
    from cli.carrier import set_one

    set_one(organization, prefix, action.value, markup=markup, unit_price=unit_price)


@carrier.command("unset")
def unset_policy(prefix: Prefix, organization: Organization = None) -> None:
    """Remove a policy: the next more general one counts. Exit status 1 if there is none."""
    from cli.carrier import unset

    unset(organization, prefix)


@carrier.command("tripwire")
def set_tripwire(
    organization: Annotated[str, typer.Argument(help="The organization's id.")],
    *,
    value: Annotated[
        str | None, typer.Option(help="A day's price at Twilio, such as 12.50, that is too much.")
    ] = None,
    computed: Annotated[
        bool, typer.Option("--computed", help="Compute it from the last 28 days again.")
    ] = False,
) -> None:
    """Show, or set, at which price of a day Twilio reports that the subaccount spends."""
    from cli.tripwire import set_value

    set_value(organization, value, computed=computed)


@carrier.command("exchange-rate")
def set_exchange_rate(
    from_currency: Code,
    to_currency: Code,
    rate: Annotated[str, typer.Argument(help="What one unit of the first is worth.")],
) -> None:
    """Set what the currency in which Twilio charges is worth in that of wallets."""
    from cli.carrier import set_exchange_rate as set_rate

    set_rate(from_currency, to_currency, rate)
