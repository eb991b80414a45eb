"""Uploading recipients: a stream of lines into a draft; bad lines are listed, duplicates dropped,
an aborted upload can be repeated.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest

from api.campaigns import uploads
from tests.integration.conftest import Tollgate

CAMPAIGNS = "/v1/organizations/acme/campaigns"
NDJSON, CSV = uploads.NDJSON, uploads.CSV
IGNORE = "?unused_columns=ignore"


async def draft(tollgate: Tollgate, **changed: object) -> str:
    response = await tollgate.post(
        CAMPAIGNS, {"name": "Autumn", "body": "Hello"} | changed, key="k1"
    )
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def upload(
    tollgate: Tollgate,
    id_: str,
    content: bytes | str | AsyncIterator[bytes],
    media_type: str = NDJSON,
    query: str = "",
) -> httpx.Response:
    sent = content.encode() if isinstance(content, str) else content
    headers = {"Content-Type": media_type}
    return await tollgate.post(
        f"{CAMPAIGNS}/{id_}/recipients{query}", content=sent, headers=headers
    )


def ndjson(numbers: Iterable[str]) -> str:
    return "".join(json.dumps({"to": number}) + "\n" for number in numbers)


def numbers(count: int, start: int = 0) -> list[str]:
    return [f"+1415{2_000_000 + number}" for number in range(start, start + count)]


def accepted(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def stored(tollgate: Tollgate) -> list[tuple[int, str, str]]:
    async with tollgate.services.engine.connect() as conn:
        found = await conn.exec_driver_sql(
            "SELECT position, recipient, country FROM messages ORDER BY position"
        )
        return [(row.position, row.recipient, row.country) for row in found]


async def test_lines_of_ndjson_become_recipients(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate, recipients=["+14155550100"])

    answer = accepted(
        await upload(tollgate, id_, ndjson(["+14155550100", "+4915112345678", "+4915112345678"]))
    )

    assert answer == {"total": 2, "rows": 3, "added": 1, "duplicates": 2, "bad": 0, "bad_lines": []}
    assert await stored(tollgate) == [(1, "+14155550100", "US"), (2, "+4915112345678", "DE")]
    assert (await tollgate.get(f"{CAMPAIGNS}/{id_}")).json()["total"] == 2


async def test_a_column_of_csv_becomes_recipients(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    rows = '\ufeffname,to\r\n"Smith, Ann",+14155550100\r\n\r\nBob,"+14155550101"\r\n"Eve",  +14155550102 \r\n'

    answer = accepted(await upload(tollgate, id_, rows, f"{CSV}; charset=utf-8", IGNORE))

    assert (answer["total"], answer["rows"], answer["bad"]) == (3, 3, 0)
    assert [number for _, number, _ in await stored(tollgate)] == [
        "+14155550100",
        "+14155550101",
        "+14155550102",
    ]


async def test_a_file_in_windows_1252_is_read_whole(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    file = (
        "to;name\r\n+14155550100;Ann\r\n+14155550101;Jürgen\r\n+14155550102;Zoë\r\n+14155550103;Bob"
    )

    answer = accepted(await upload(tollgate, id_, file.encode("cp1252"), CSV, IGNORE))

    assert (answer["rows"], answer["added"], answer["bad"]) == (4, 4, 0)


async def test_bad_numbers_are_named_and_kept_out(tollgate: Tollgate) -> None:
    await tollgate.onboard(price_per_segment=None)
    await tollgate.ask("PUT", "/v1/rates/US", {"price_per_segment": "0.01", "currency": "USD"})
    id_ = await draft(tollgate)
    lines = [
        "+14155550100",
        "4155550101",
        "+141555501010",
        "+4915112345678",
        "+870773111632",
        "+14155550102",
    ]

    answer = accepted(await upload(tollgate, id_, "\n" + ndjson(lines) + "\n"))

    assert [bad_line["line"] for bad_line in answer["bad_lines"]] == [3, 4, 5, 6]
    assert [bad_line["message"] for bad_line in answer["bad_lines"]] == [
        "not in E.164, such as +14155550100",
        "no number of that country has this length",
        "there is no rate for DE, and no price for all countries",
        "the number's country is not known, and there is no price for all countries",
    ]
    assert (answer["rows"], answer["added"], answer["bad"]) == (6, 2, 4)
    assert [number for _, number, _ in await stored(tollgate)] == ["+14155550100", "+14155550102"]


async def test_only_a_hundred_bad_lines_are_named_and_all_are_counted(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    answer = accepted(await upload(tollgate, id_, ndjson(["+14155550100", *["x"] * 7_000])))

    assert (answer["bad"], answer["added"]) == (7_000, 1)
    assert [bad_line["line"] for bad_line in answer["bad_lines"]] == list(range(2, 102))


@pytest.mark.parametrize(
    ("media_type", "content", "why"),
    [
        (
            NDJSON,
            ndjson(["4155550101", "0151 12345678"]),
            "line 1: not in E.164, such as +14155550100",
        ),
        (
            NDJSON,
            ndjson(["+870773111632"]),
            "line 1: the number's country is not known, and there is no price",
        ),
        (NDJSON, "\n \n", "it has no recipients"),
        (CSV, "to\n0151 12345678\n\n#NAME?\n", "line 2: not in E.164, such as +14155550100"),
        (CSV, "to\n\n", "it has no recipients"),
        (CSV, "to\n14155550100\n14155550101\n", "line 2: a spreadsheet has taken the + off"),
    ],
)
async def test_a_file_without_any_number_to_send_to_is_refused(
    tollgate: Tollgate, media_type: str, content: str, why: str
) -> None:
    await tollgate.onboard(price_per_segment=None)
    await tollgate.ask("PUT", "/v1/rates/US", {"price_per_segment": "0.01", "currency": "USD"})
    id_ = await draft(tollgate)

    answer = await upload(tollgate, id_, content, media_type)

    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith("nothing was stored: ")
    assert why in answer.json()["detail"]
    assert await stored(tollgate) == []


@pytest.mark.parametrize(
    ("media_type", "tail"),
    [
        (NDJSON, '{"to": "+14155550'),
        (NDJSON, "[]\n"),
        (CSV, '"+14155550\n'),
        (CSV, "+14155550,\tx\n"),
        (CSV, "1.41556E+10\n"),
        (CSV, "\x00\n"),
    ],
)
async def test_a_fault_at_the_end_of_a_long_file_leaves_nothing_stored(
    tollgate: Tollgate, media_type: str, tail: str
) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    many = numbers(uploads.AT_ONCE + 10)
    file = ndjson(many) if media_type == NDJSON else "\n".join(["to", *many, ""])

    answer = await upload(tollgate, id_, file + tail, media_type)

    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"].startswith("nothing was stored: line ")
    assert await stored(tollgate) == []
    assert accepted(await upload(tollgate, id_, file, media_type))["added"] == len(many)


@pytest.mark.parametrize("query", ["", "?unused_columns=refuse"])
async def test_columns_that_nothing_uses_are_refused(tollgate: Tollgate, query: str) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    as_csv = await upload(tollgate, id_, "to,first_name\n+14155550100,Ann\n", CSV, query)
    as_ndjson = await upload(
        tollgate, id_, '{"to": "+14155550100", "first_name": "Ann"}\n', NDJSON, query
    )

    assert [answer.status_code for answer in (as_csv, as_ndjson)] == [422, 422]
    assert "`first_name` would not be used" in as_csv.json()["detail"]
    assert await stored(tollgate) == []


async def test_ndjson_needs_no_last_line_end(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    assert (
        accepted(await upload(tollgate, id_, ndjson(numbers(2)).removesuffix("\n")))["added"] == 2
    )


async def test_an_upload_that_is_repeated_finds_duplicates(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    file = ndjson(numbers(12_000))

    first = accepted(await upload(tollgate, id_, file))
    again = accepted(await upload(tollgate, id_, file + ndjson(numbers(1, 12_000))))

    assert (first["added"], first["duplicates"], first["total"]) == (12_000, 0, 12_000)
    assert (again["added"], again["duplicates"], again["total"]) == (1, 12_000, 12_001)
    assert [position for position, _, _ in await stored(tollgate)] == list(range(1, 12_002))


async def test_a_client_that_hangs_up_leaves_nothing_in_the_draft(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)
    sent, may_end = asyncio.Event(), asyncio.Event()

    async def half() -> AsyncIterator[bytes]:
        yield ndjson(numbers(2 * uploads.AT_ONCE)).encode()
        sent.set()
        await may_end.wait()

    uploading = asyncio.create_task(upload(tollgate, id_, half()))
    await sent.wait()
    uploading.cancel()
    await asyncio.gather(uploading, return_exceptions=True)
    answer = accepted(await upload(tollgate, id_, ndjson(numbers(uploads.AT_ONCE + 20))))

    assert (answer["added"], answer["duplicates"], answer["total"]) == (
        uploads.AT_ONCE + 20,
        0,
        uploads.AT_ONCE + 20,
    )


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


async def test_a_draft_that_is_started_while_its_file_arrives_takes_nothing_of_it(
    tollgate: Tollgate,
) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate, recipients=numbers(1, 90_000))
    sent, started = asyncio.Event(), asyncio.Event()

    async def two_parts() -> AsyncIterator[bytes]:
        yield ndjson(numbers(uploads.AT_ONCE)).encode()
        sent.set()
        await started.wait()
        yield ndjson(numbers(10, uploads.AT_ONCE)).encode()

    uploading = asyncio.create_task(upload(tollgate, id_, two_parts()))
    await sent.wait()
    assert (await tollgate.post(f"{CAMPAIGNS}/{id_}/start")).status_code == 200
    started.set()
    answer = await uploading

    assert (answer.status_code, answer.json()["added"]) == (409, 0)
    assert len(await stored(tollgate)) == 1


@pytest.mark.parametrize(
    ("media_type", "content", "status"),
    [
        ("application/json", "[]", 415),
        ("", "", 415),
        (CSV, "", 422),
        (CSV, "\n\n", 422),
        (CSV, "contact\n+14155550100\n", 422),
        (CSV, "to:name\n+14155550100:Ann\n", 422),
        (f"{CSV}; charset=utf-7", "to\n+14155550100\n", 415),
        (f"{CSV}; charset=utf-8", b"to\n+14155550100\n\xe9\n", 422),
        (NDJSON, b'{"to": "\xe9"}\n', 422),
        (CSV, "to,to\n1,2\n", 422),
        (CSV, 'to,"name\n+14155550100,Ann\n', 422),
    ],
)
async def test_an_invalid_recipients_file_is_refused(
    tollgate: Tollgate, media_type: str, content: str | bytes, status: int
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

    async def spaces(mebibytes: int) -> AsyncIterator[bytes]:
        for _ in range(mebibytes):
            yield (b" " * 1023 + b"\n") * 1024

    longer_than_other_bodies = await upload(tollgate, id_, spaces(6))
    too_many = await upload(tollgate, id_, blank(1_002_000))
    too_large = await declared(tollgate, f"{CAMPAIGNS}/{id_}/recipients", 64 * 2**20 + 1)

    assert "it has no recipients" in longer_than_other_bodies.text
    assert (too_many.status_code, too_large) == (413, b"HTTP/1.1 413 Request Entity Too Large")


async def declared(tollgate: Tollgate, path: str, length: int) -> bytes:
    """The first line of the response to a body that is announced but not sent."""
    url = httpx.URL(tollgate.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    answer = await reader.readline()
    writer.close()
    return answer.strip()


async def test_a_client_still_sending_its_body_reads_the_refusal(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    id_ = await draft(tollgate)

    await tollgate.post(f"{CAMPAIGNS}/{id_}/cancel")
    answer = await upload(tollgate, id_, "to\n" + "x" * 20 * 2**20, CSV)

    assert (answer.status_code, answer.json()["added"]) == (409, 0)


async def test_an_unknown_campaign_takes_nothing(tollgate: Tollgate) -> None:
    await tollgate.onboard()

    answers = [await upload(tollgate, id_, ndjson(numbers(1))) for id_ in ("x", "0" * 32)]

    assert [response.status_code for response in answers] == [404, 404]


async def test_quiet_hours_skip_numbers_without_a_known_time_zone(tollgate: Tollgate) -> None:
    await tollgate.onboard()
    night = {"quiet_hours": {"begins": "21:00", "ends": "08:00"}}
    id_ = await draft(tollgate, **night)
    to = ["+870773111632", "+38344123456"]

    uploaded = accepted(await upload(tollgate, id_, ndjson(to)))
    created = await tollgate.post(
        CAMPAIGNS, {"name": "A", "body": "B", "recipients": to} | night, key="k2"
    )
    previewed = (
        await tollgate.post(
            f"{CAMPAIGNS}/preview", {"name": "A", "body": "B", "recipients": to} | night
        )
    ).json()
    without = await tollgate.post(CAMPAIGNS, {"name": "A", "body": "B", "recipients": to}, key="k3")

    why = "the number's country is unknown, and so are its quiet hours"
    assert (uploaded["added"], uploaded["bad_lines"]) == (1, [{"line": 1, "message": why}])
    assert (created.status_code, created.json()["errors"]) == (
        422,
        [{"field": "recipients.0", "message": why, "code": "invalid_value"}],
    )
    assert (previewed["recipients"], previewed["bad_recipients"]) == (
        1,
        [{"index": 0, "message": why}],
    )
    assert without.status_code == 201
