"""`tollgate carrier`: who pays for which of Twilio's usage categories."""

import re
from decimal import Decimal, InvalidOperation

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from cli.console import errors, output, table
from cli.failures import CommandFailed
from cli.transactions import run
from db.carrier import policies
from db.carrier.policies import Policies
from db.lifecycle import organizations
from domain.carrier.policies import DEFAULTS, EVERYBODY, Action, Policy
from domain.money import BadAmount, parse_micros, to_decimal_string

CURRENCY = re.compile("[A-Z]{3}")
ALL = "*"
"""In place of a prefix: every category."""


def show(organization_id: str | None) -> None:
    found = run(lambda conn: _read(conn, organization_id or EVERYBODY))
    shown = table("set for", "category", "policy")
    for whose, of in (
        (organization_id or "", found.of_organization if organization_id else ()),
        ("everybody", found.of_everybody),
        ("by default", DEFAULTS),
    ):
        for policy in of:
            shown.add_row(whose, policy.prefix or ALL, in_words(policy))
    output.print(shown)


def set_one(
    organization_id: str | None,
    prefix: str,
    action: str,
    *,
    markup: str | None,
    unit_price: str | None,
) -> None:
    policy = Policy(
        prefix="" if prefix == ALL else prefix,
        action=Action(action),
        factor=Decimal(1) if markup is None else _decimal(markup),
        unit_price_micros=None if unit_price is None else _micros(unit_price),
    )
    problem = policy.problem
    if problem is not None:
        raise CommandFailed(problem)
    run(lambda conn: _put(conn, organization_id, policy))
    output.print(f"{prefix}: {in_words(policy)}", markup=False, highlight=False)


def unset(organization_id: str | None, prefix: str) -> None:
    named = "" if prefix == ALL else prefix
    if not run(lambda conn: policies.remove(conn, organization_id or EVERYBODY, named)):
        errors.print("there is no such policy", style="red")
        raise typer.Exit(1)
    output.print(f"{prefix}: unset", markup=False, highlight=False)


def set_exchange_rate(from_currency: str, to_currency: str, rate: str) -> None:
    value = _decimal(rate)
    if not 0 < value < 10**9 or value != round(value, 9) or from_currency == to_currency:
        raise CommandFailed(
            "an exchange rate is above 0, with nine decimals, between two currencies"
        )
    for currency in (from_currency, to_currency):
        if not CURRENCY.fullmatch(currency):
            raise CommandFailed(f"a currency is three capital letters (ISO 4217), not {currency}")
    run(lambda conn: policies.put_exchange_rate(conn, from_currency, to_currency, value))
    output.print(f"1 {from_currency} = {value} {to_currency}", highlight=False)


def in_words(policy: Policy) -> str:
    if policy.action is Action.ABSORB:
        return "absorb"
    price = (
        f"Twilio's price x {policy.factor.normalize():f}"
        if policy.unit_price_micros is None
        else f"{to_decimal_string(policy.unit_price_micros)} a unit"
    )
    return f"{policy.action.value}, {price}"


async def _read(conn: AsyncConnection, organization_id: str) -> Policies:
    await _check(conn, organization_id)
    return await policies.get(conn, organization_id)


async def _put(conn: AsyncConnection, organization_id: str | None, policy: Policy) -> None:
    await _check(conn, organization_id or EVERYBODY)
    await policies.put(conn, organization_id or EVERYBODY, policy)


async def _check(conn: AsyncConnection, organization_id: str) -> None:
    if organization_id != EVERYBODY and await organizations.get(conn, organization_id) is None:
        raise CommandFailed(f"there is no organization {organization_id}")


def _decimal(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise CommandFailed(f"{text} is no number") from None
    if not value.is_finite():
        raise CommandFailed(f"{text} is no number")
    return value


def _micros(text: str) -> int:
    try:
        return parse_micros(text)
    except BadAmount as problem:
        raise CommandFailed(str(problem)) from None
