"""What is encrypted at Temporal: every payload, and failures' messages; not search attributes."""

import base64
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from google.protobuf import json_format
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.client import Client
from temporalio.envconfig import ClientConnectConfig
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer

from activities.workflow_contracts import organization_workflow_id
from api.http.codec_server import create_codec_app
from runtime import client, payload_codec
from runtime.payload_codec import EncryptingCodec, UndecodablePayload
from runtime.worker import WORKFLOWS, workflow_runner
from simulators.paypal.certificate import Authority
from tests.replay.test_replay import RECORDED, history
from tests.world import World, world

OLD, NEW = ("2026-01", b"o" * 32), ("2026-12", b"n" * 32)
UI = "http://localhost:8233"
SECRET = Payload(metadata={"encoding": b"json/plain"}, data=b'"acme"')


def keys(*pairs: tuple[str, bytes]) -> tuple[SecretStr, ...]:
    return tuple(SecretStr(f"{id_}:{base64.b64encode(key).decode()}") for id_, key in pairs)


@pytest_asyncio.fixture
async def encrypting(
    temporal_client: Client, database_url: str, tmp_path: Path, authority: Authority
) -> AsyncIterator[World]:
    connected = await client.connect(
        ClientConnectConfig(target_host=temporal_client.service_client.config.target_host),
        codec=payload_codec.codec(keys(NEW, OLD)),
    )
    async with world(database_url, connected, tmp_path, authority) as running_world:
        running_world.start_worker()
        yield running_world


async def test_no_payload_of_a_suspension_is_readable_at_temporal(encrypting: World) -> None:
    organization_id, subscription_id = await encrypting.organization()
    await encrypting.lapse(subscription_id)
    await encrypting.applied(organization_id, "suspended")

    handle = encrypting.services.client.get_workflow_handle(
        organization_workflow_id(organization_id)
    )
    [started, *events] = (await handle.fetch_history()).events
    [payload] = started.workflow_execution_started_event_attributes.input.payloads
    payloads = [
        payload
        for event in events
        for payload in event.activity_task_scheduled_event_attributes.input.payloads
    ]

    assert payloads
    assert all(b"encrypted" in found.metadata["encoding"] for found in [payload, *payloads])
    assert organization_id.encode() not in payload.data
    description = await handle.describe()
    assert organization_id in str(description.typed_search_attributes)  # these stay readable


async def test_the_first_key_encrypts_and_every_key_decrypts() -> None:
    [old] = await EncryptingCodec([OLD]).encode([SECRET])
    rotated = EncryptingCodec([NEW, OLD])
    [new] = await rotated.encode([SECRET])

    assert new.metadata["encryption-key-id"] == b"2026-12"
    assert await rotated.decode([old, new, SECRET]) == [SECRET] * 3
    with pytest.raises(UndecodablePayload, match="has no key '2026-12'"):
        await EncryptingCodec([OLD]).decode([new])


async def test_a_changed_payload_or_key_id_is_refused() -> None:
    codec = EncryptingCodec([NEW, OLD])
    [payload] = await codec.encode([SECRET])
    changed, renamed = Payload(), Payload()
    changed.CopyFrom(payload)
    changed.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])
    renamed.CopyFrom(payload)
    renamed.metadata["encryption-key-id"] = b"2026-01"

    for forged in (changed, renamed):
        with pytest.raises(UndecodablePayload):
            await codec.decode([forged])


async def test_a_first_step_decrypts_before_anybody_encrypts() -> None:
    [payload] = await EncryptingCodec([NEW]).encode([SECRET])
    first = EncryptingCodec([("clear", b""), NEW])

    assert await first.encode([SECRET]) == [SECRET]
    assert await first.decode([payload]) == [SECRET]


async def test_a_failure_is_redacted_and_then_encrypted() -> None:
    converter = client.data_converter(EncryptingCodec([NEW]))
    failure = Failure()
    try:
        raise ApplicationError("message to +14155550100") from ValueError("of +14155550111")
    except ApplicationError as problem:
        await converter.encode_failure(problem, failure)
    sent = failure.SerializeToString()
    read = str(await converter.decode_failure(failure))

    assert b"message to" not in sent
    assert b"4155550" not in sent
    assert read.startswith("message to ")
    assert "+14155550100" not in read


@pytest.mark.parametrize("path", RECORDED[:3], ids=[path.stem for path in RECORDED[:3]])
async def test_a_history_from_before_encryption_replays(path: Path) -> None:
    replayer = Replayer(
        workflows=WORKFLOWS,
        data_converter=client.data_converter(EncryptingCodec([NEW])),
        workflow_runner=workflow_runner(),
    )

    await replayer.replay_workflow(history(path))


async def ask(token: str | None, host: str = "localhost", **headers: str) -> httpx.Response:
    codec = EncryptingCodec([NEW])
    app = create_codec_app(codec, origins=[UI], token=token)
    body = json_format.MessageToJson(Payloads(payloads=await codec.encode([SECRET])))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as http:
        return await http.post("/decode", content=body, headers={"origin": UI, **headers})


async def test_the_codec_server_shows_payloads_to_the_ui() -> None:
    answer = await ask(None)

    assert answer.headers["access-control-allow-origin"] == UI
    assert list(json_format.Parse(answer.content, Payloads()).payloads) == [SECRET]


async def test_the_codec_server_shows_nothing_to_others() -> None:
    answers = [
        await ask("token"),
        await ask("token", authorization="Bearer other"),
        await ask(None, "attacker.example"),  # a name that leads to this machine
    ]
    foreign = await ask(None, origin="https://attacker.example")

    assert [answer.status_code for answer in answers] == [401, 401, 400]
    assert "access-control-allow-origin" not in foreign.headers
    assert (await ask("token", uuid.uuid4().hex, authorization="Bearer token")).is_success
