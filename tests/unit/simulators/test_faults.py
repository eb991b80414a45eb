import asyncio
import signal
import sys
import time

import httpx
import pytest

from simulators.twilio.app import MAIN_SID, MAIN_TOKEN, TwilioSimulator

MAIN = (MAIN_SID, MAIN_TOKEN)
PATH = f"/2010-04-01/Accounts/{MAIN_SID}/Messages.json"
FORM = {"To": "+15551234567", "From": "+15550001111", "Body": "Hello"}


async def post(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post(PATH, data=FORM, auth=MAIN, timeout=0.3)


@pytest.mark.parametrize(("kind", "code"), [("429", 20429), ("500", 20500), ("503", 20503)])
async def test_an_error_strikes_as_often_as_configured(
    client: httpx.AsyncClient, twilio: TwilioSimulator, kind: str, code: int
) -> None:
    await client.post(
        "/_sim/faults",
        json={"kind": kind, "method": "POST", "path": PATH, "times": 1, "retry_after": 2},
    )
    struck, passed = await post(client), await post(client)

    assert (struck.status_code, struck.json()["code"], struck.headers["retry-after"]) == (
        int(kind),
        code,
        "2",
    )
    assert passed.status_code == 201
    assert len(twilio.state.messages) == 1


@pytest.mark.parametrize(
    ("kind", "accepted"), [("timeout_before", 0), ("timeout_after_acceptance", 1)]
)
async def test_a_timeout_may_or_may_not_have_done_the_work(
    client: httpx.AsyncClient, twilio: TwilioSimulator, kind: str, accepted: int
) -> None:
    twilio.faults.add(kind, method="POST")
    with pytest.raises(httpx.ReadTimeout):
        await post(client)

    assert len(twilio.state.messages) == accepted


@pytest.mark.parametrize(("kind", "accepted"), [("down", 0), ("reset_after_acceptance", 1)])
async def test_a_connection_can_be_reset(
    client: httpx.AsyncClient, twilio: TwilioSimulator, kind: str, accepted: int
) -> None:
    twilio.faults.add(kind, method="POST")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await post(client)

    assert len(twilio.state.messages) == accepted
    assert (await client.get("/_sim/counts")).status_code == 200


async def test_an_answer_can_be_slow_or_malformed(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    twilio.faults.add("slow", seconds=0.1, times=1)
    twilio.faults.add("malformed_json", times=1)
    started = time.monotonic()
    slow = await post(client)
    took = time.monotonic() - started
    malformed = await post(client)

    assert slow.status_code == 201
    assert took >= 0.1
    with pytest.raises(ValueError, match=r".+"):
        malformed.json()


async def test_a_seed_repeats_the_same_chances(
    client: httpx.AsyncClient, twilio: TwilioSimulator
) -> None:
    runs = []
    for _ in range(2):
        twilio.faults.clear()
        twilio.faults.add("500", probability=0.5, seed=7)
        runs.append([(await post(client)).status_code for _ in range(20)])

    assert runs[0] == runs[1]
    assert set(runs[0]) == {201, 500}


@pytest.mark.parametrize("simulator", ["paypal", "twilio"])
async def test_a_process_tells_its_address_and_ends_cleanly(simulator: str) -> None:
    command = (sys.executable, "-m", "simulators.server", simulator, "--port", "0")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{line.removeprefix('listening ').strip()}/_sim/counts")
    process.send_signal(signal.SIGTERM)
    status = await asyncio.wait_for(process.wait(), 30)

    assert line.startswith("listening http://127.0.0.1:")
    assert answer.status_code == 200
    assert status == 0
