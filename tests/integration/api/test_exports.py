"""The ledger as a file, and the balance as it was."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from db import seals
from tests.builders import rows
from tests.integration.api.conftest import Tollgate

WALLET = "/v1/organizations/acme/wallet"


async def test_the_export_has_every_entry_in_order_with_its_seal(tollgate: Tollgate) -> None:
    await tollgate.onboard(balance="10.00")
    for offset in range(3):
        asked = [{"reference_id": f"{offset}-{n}", "amount": "0.001", "currency": "USD"} for n in range(1000)]
        await tollgate.post(f"{WALLET}/debits", asked)
    for _ in range(4):
        async with tollgate.services.engine.begin() as conn:
            await seals.seal(conn)

    lines = (await tollgate.get(f"{WALLET}/entries/export?format=jsonl")).text.splitlines()
    answer = await tollgate.get(f"{WALLET}/entries/export")

    told = [json.loads(line) for line in lines]
    assert [one["seq"] for one in told] == list(range(1, 3002))
    assert all(len(one["seal"]) == 64 for one in told)
    assert (told[1]["amount"], told[-1]["balance_after"]) == ("-0.001", "7.00")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "acme-ledger.csv" in answer.headers["content-disposition"]
    found = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["seq"]) for row in found] == list(range(1, 3002))
    assert [row["seal"] for row in found] == [one["seal"] for one in told]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "'=1"])
async def test_no_text_in_the_csv_is_a_formula(tollgate: Tollgate, text: str) -> None:
    await tollgate.onboard()
    posting = {"reference_id": text, "amount": "1.00", "currency": "USD", "description": f'{text}, "quoted"'}
    await tollgate.post(f"{WALLET}/debits", posting)

    answer = await tollgate.get(f"{WALLET}/entries/export")

    [_, row] = csv.DictReader(io.StringIO(answer.text))
    assert (row["reference_id"], row["description"]) == (f"'{text}", f'\'{text}, "quoted"')
    assert row["amount"] == "-1.00"


async def test_an_export_of_nobody_or_in_another_form_is_refused(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    assert (await tollgate.get("/v1/organizations/nobody/wallet/entries/export")).status_code == 404
    assert (await tollgate.get(f"{WALLET}/entries/export?format=xml")).status_code == 422


async def test_the_balance_at_a_time_is_that_after_the_last_entry_until_then(tollgate: Tollgate) -> None:
    before = datetime.now(UTC)
    await tollgate.onboard(balance="10.00")
    await tollgate.debit("4.00", "d")
    [(booked,)] = await rows(tollgate.services.engine, "SELECT created_at FROM ledger_entries WHERE seq = 2")

    async def at(time: datetime) -> tuple[str, int]:
        told = (await tollgate.get(WALLET, params={"as_of": time.isoformat()})).json()
        return told["balance"], told["entries"]

    assert await at(before) == ("0.00", 0)
    assert await at(booked - timedelta(microseconds=1)) == ("10.00", 1)
    assert await at(booked) == ("6.00", 2)


@pytest.mark.parametrize("time", ["2999-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00", "now"])
async def test_a_time_that_is_not_over_or_has_no_zone_is_refused(tollgate: Tollgate, time: str) -> None:
    await tollgate.onboard()

    answer = await tollgate.get(WALLET, params={"as_of": time})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "as_of")
