"""Uploading recipients: a stream of lines into a draft; bad ones are named, duplicates dropped, a cut file heals."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest

from api import uploads
from tests.integration.api.conftest import Tollgate
from tests.world import until

CAMPAIGNS = "/v1/organizations/acme/campaigns"
NDJSON, CSV = uploads.NDJSON, uploads.CSV


async def draft(tollgate: Tollgate, **changed: object) -> str:
    made = await tollgate.post(CAMPAIGNS, {"name": "Autumn", "body": "Hello"} | changed, key="k1")
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def upload(
    tollgate: Tollgate, id_: str, content: bytes | str | AsyncIterator[bytes], media_type: str = NDJSON
) -> httpx.Response:
    sent = content.encode() if isinstance(content, str) else content
    headers = {"Content-Type": media_type}
    return await tollgate.post(f"{CAMPAIGNS}/{id_}/recipients", content=sent, headers=headers)


def ndjson(numbers: Iterable[str]) -> str:
    return "".join(json.dumps({"to": one}) + "\n" for one in numbers)


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"+1415{2_000_000 + one}" for one in range(start, start + count)]


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def stored(tollgate: Tollgate) -> list[tuple[int, str, str]]:
    async with tollgate.services.engine.connect() as conn:
        found = await conn.exec_driver_sql("SELECT position, recipient, country FROM messages ORDER BY position")
        return [(row.position, row.recipient, row.country) for row in found]


async def test_lines_of_ndjson_become_recipients(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate, recipients=["+14155550100"])

    answer = told(await upload(tollgate, id_, ndjson(["+14155550100", "+4915112345678", "+4915112345678"])))

    assert answer == {"total": 2, "lines": 3, "added": 1, "duplicates": 2, "bad": 0, "bad_lines": []}
    assert await stored(tollgate) == [(1, "+14155550100", "US"), (2, "+4915112345678", "DE")]
    assert (await tollgate.get(f"{CAMPAIGNS}/{id_}")).json()["total"] == 2


async def test_a_column_of_csv_becomes_recipients(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    rows = '\ufeffname,to\r\n"Smith, Ann",+14155550100\r\n\r\nBob,"+14155550101"\r\n"Eve",  +14155550102 \r\n'

    answer = told(await upload(tollgate, id_, rows, f"{CSV}; charset=utf-8"))

    assert (answer["total"], answer["lines"], answer["bad"]) == (3, 5, 0)
    assert [number for _, number, _ in await stored(tollgate)] == ["+14155550100", "+14155550101", "+14155550102"]


async def test_bad_lines_are_named_and_kept_out(tollgate: Tollgate) -> None:
    await tollgate.onboard(price_per_segment=None)
    await tollgate.ask("PUT", "/v1/rates/US", {"price_per_segment": "0.01", "currency": "USD"})
    id_ = await draft(tollgate)
    lines = [
        '{"to": "+14155550100"}',
        '{"to": "4155550101"}',
        '{"to": 14155550101}',
        '["+14155550101"]',
        '{"to": "+14155550101"',
        "[" * 5_000,
        '{"to": "+14155550101", "name": "' + "x" * 9_000 + '"}',
        '{"to": "+141555501010"}',
        '{"to": "+4915112345678"}',
        '{"to": "+870773111632"}',
        '{"to": "+14155550102"}',
    ]

    answer = told(await upload(tollgate, id_, "\n".join(lines) + "\n" + "\n"))
    binary = told(await upload(tollgate, id_, b'{"to": "+1415555\xff0103"}\n{"to": "+14155550104"}\n'))

    assert [one["line"] for one in answer["bad_lines"]] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert [one["problem"].split(":")[0] for one in answer["bad_lines"]] == [
        "not in E.164, such as +14155550100",
        'it is not like {"to"',
        'it is not like {"to"',
        "it is not JSON",
        "it is not JSON",
        "it is longer than 8192 bytes",
        "no number of that country has this length",
        "there is no rate for DE, and no price for all countries",
        "the number's country is not known, and there is no price for all countries",
    ]  # fmt: skip
    assert (answer["added"], answer["bad"]) == (2, 9)
    assert (binary["added"], [one["line"] for one in binary["bad_lines"]]) == (1, [1])
    assert [number for _, number, _ in await stored(tollgate)] == ["+14155550100", "+14155550102", "+14155550104"]


async def test_a_stray_quote_spoils_one_row_of_csv(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    rows = 'to,name\n+14155550100,"Ann\n+14155550101,"B"ob\n+14155550102,a,b\n+14155550103\n+14155550104,Eve\n'

    answer = told(await upload(tollgate, id_, rows, CSV))

    assert [one["line"] for one in answer["bad_lines"]] == [2, 3, 4, 5]
    assert answer["added"] == 1


async def test_only_a_hundred_bad_lines_are_named_and_all_are_counted(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    answer = told(await upload(tollgate, id_, ndjson(["x"] * 7_000)))

    assert (answer["bad"], answer["added"]) == (7_000, 0)
    assert [one["line"] for one in answer["bad_lines"]] == list(range(1, 101))


@pytest.mark.parametrize(
    ("media_type", "file"),
    [(NDJSON, ndjson(["+4915112345678", "+49151123456789"])), (CSV, "to\n+4915112345678\n+49151123456789\n")],
)
async def test_a_file_cut_in_the_middle_of_a_line_has_a_bad_last_line(
    tollgate: Tollgate, media_type: str, file: str
) -> None:
    """What is left of the number is a possible one, too: it is somebody else's."""
    await tollgate.onboard()
    id_ = await draft(tollgate)
    cut = file.removesuffix("\n").removesuffix('"}')[:-1]

    answer = told(await upload(tollgate, id_, cut, media_type))

    assert (answer["added"], answer["bad"]) == (1, 1)
    assert answer["bad_lines"][0]["line"] == answer["lines"]
    assert told(await upload(tollgate, id_, file, media_type))["total"] == 2


async def test_ndjson_needs_no_last_line_end(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    assert told(await upload(tollgate, id_, ndjson(numbers(2)).removesuffix("\n")))["added"] == 2


async def test_an_upload_that_is_repeated_finds_duplicates(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    file = ndjson(numbers(12_000))

    first = told(await upload(tollgate, id_, file))
    again = told(await upload(tollgate, id_, file + ndjson(numbers(1, 12_000))))

    assert (first["added"], first["duplicates"], first["total"]) == (12_000, 0, 12_000)
    assert (again["added"], again["duplicates"], again["total"]) == (1, 12_000, 12_001)
    assert [position for position, _, _ in await stored(tollgate)] == list(range(1, 12_002))


async def test_a_client_that_hangs_up_leaves_what_was_stored_in_the_draft(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    may_end = asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield ndjson(numbers(uploads.AT_ONCE + 10)).encode()
        await may_end.wait()

    async def some_stored() -> bool:
        return len(await stored(tollgate)) == uploads.AT_ONCE

    uploading = asyncio.create_task(upload(tollgate, id_, half()))
    await until(some_stored, "the first part")
    uploading.cancel()
    await asyncio.gather(uploading, return_exceptions=True)
    answer = told(await upload(tollgate, id_, ndjson(numbers(uploads.AT_ONCE + 20))))
    campaign = (await tollgate.get(f"{CAMPAIGNS}/{id_}")).json()

    assert (answer["added"], answer["duplicates"]) == (20, uploads.AT_ONCE)
    assert (campaign["status"], campaign["total"]) == ("draft", uploads.AT_ONCE + 20)
    assert (await tollgate.get("/v1/organizations/acme/wallet")).json()["balance"] == "10.00"


async def test_only_a_draft_takes_recipients(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    empty = await tollgate.post(f"{CAMPAIGNS}/{id_}/start")
    await upload(tollgate, id_, ndjson(numbers(1)))
    await tollgate.post(f"{CAMPAIGNS}/{id_}/start")

    late = await upload(tollgate, id_, ndjson(numbers(2)))

    assert (empty.status_code, empty.json()["detail"]) == (409, "the campaign has no recipients")
    assert (late.status_code, late.json()["added"]) == (409, 0)
    assert len(await stored(tollgate)) == 1


async def test_a_draft_that_is_started_meanwhile_takes_no_more(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    started = asyncio.Event()

    async def two_parts() -> AsyncIterator[bytes]:
        yield ndjson(numbers(uploads.AT_ONCE)).encode()
        await started.wait()
        yield ndjson(numbers(10, uploads.AT_ONCE)).encode()

    async def some_stored() -> bool:
        return len(await stored(tollgate)) == uploads.AT_ONCE

    uploading = asyncio.create_task(upload(tollgate, id_, two_parts()))
    await until(some_stored, "the first part")
    assert (await tollgate.post(f"{CAMPAIGNS}/{id_}/start")).status_code == 200
    started.set()
    answer = await uploading

    assert (answer.status_code, answer.json()["added"]) == (409, uploads.AT_ONCE)
    assert len(await stored(tollgate)) == uploads.AT_ONCE


@pytest.mark.parametrize(
    ("media_type", "content", "status"),
    [
        ("application/json", "[]", 415),
        ("", "", 415),
        (CSV, "", 422),
        (CSV, "\n\n", 422),
        (CSV, "number\n+14155550100\n", 422),
        (CSV, "to;name\n+14155550100;Ann\n", 422),
        (CSV, "to,to\n1,2\n", 422),
        (CSV, 'to,"name\n+14155550100,Ann\n', 422),
    ],
)
async def test_what_is_no_file_of_recipients_is_refused(
    tollgate: Tollgate, media_type: str, content: str, status: int
) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    answer = await upload(tollgate, id_, content, media_type)

    assert answer.status_code == status, answer.text
    assert await stored(tollgate) == []


async def test_a_file_has_limits_of_its_own(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    async def blank(lines: int) -> AsyncIterator[bytes]:
        for _ in range(lines // 1_000):
            yield b"\n" * 1_000

    async def one_long_line(mebibytes: int) -> AsyncIterator[bytes]:
        for _ in range(mebibytes):
            yield b" " * 2**20

    longer_than_other_bodies = told(await upload(tollgate, id_, one_long_line(1)))
    too_many = await upload(tollgate, id_, blank(1_002_000))
    too_large = await declared(tollgate, f"{CAMPAIGNS}/{id_}/recipients", 64 * 2**20 + 1)

    assert (longer_than_other_bodies["bad"], longer_than_other_bodies["added"]) == (1, 0)
    assert (too_many.status_code, too_large) == (413, b"HTTP/1.1 413 Request Entity Too Large")


async def declared(tollgate: Tollgate, path: str, length: int) -> bytes:
    """The first line of the answer to a body that is announced and not sent."""
    url = httpx.URL(tollgate.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    answer = await reader.readline()
    writer.close()
    return answer.strip()


async def test_who_is_still_sending_hears_why_it_is_refused(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    answer = await upload(tollgate, id_, "number\n" + "x" * 20 * 2**20, CSV)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "line 1")


async def test_an_unknown_campaign_takes_nothing(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    answers = [await upload(tollgate, id_, ndjson(numbers(1))) for id_ in ("x", "0" * 32)]

    assert [one.status_code for one in answers] == [404, 404]
