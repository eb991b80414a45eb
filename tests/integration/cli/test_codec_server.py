"""`tollgate codec-server` refuses to show payloads to others, and wrong keys are refused by all."""

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

from tests.integration.cli.test_commands import NO_DATABASE
from tests.integration.cli.test_starting import one_line
from tests.world import until

KEY = "bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm4="
SERVE = ("codec-server", "--origin", "http://localhost:8233")


def test_without_keys_there_is_nothing_to_decrypt() -> None:
    line = one_line(*SERVE)

    assert line == "TOLLGATE_PAYLOAD_KEYS is not set: nothing is encrypted"


def test_other_machines_need_a_token() -> None:
    changed = {"TOLLGATE_PAYLOAD_KEYS": f"2026-12:{KEY}"}

    assert one_line(*SERVE, "--host", "0.0.0.0", changed=changed).startswith("--host 0.0.0.0: ")


@pytest.mark.parametrize(
    "keys", ["2026-12", "2026-12:short", f"a:{KEY},a:{KEY}", f"a:{KEY},clear", f":{KEY}"]
)
def test_wrong_keys_are_refused_by_every_process_without_repeating_them(keys: str) -> None:
    line = one_line("certify", database_url=NO_DATABASE, changed={"TOLLGATE_PAYLOAD_KEYS": keys})

    assert line.startswith("TOLLGATE_PAYLOAD_KEYS")
    assert KEY not in line


async def test_it_decrypts_for_the_ui_until_it_is_stopped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    command = [sys.executable, "-m", "cli.main", *SERVE, "--port", str(port)]
    environment = {**os.environ, "TOLLGATE_PAYLOAD_KEYS": f"2026-12:{KEY}"}
    payloads = '{"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "MQ=="}]}'
    with subprocess.Popen(command, env=environment) as process:  # noqa: ASYNC220
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

            async def encoded() -> str | None:
                assert process.poll() is None
                try:
                    return (await http.post("/encode", content=payloads)).text
                except httpx.ConnectError:
                    return None

            decoded = await http.post("/decode", content=await until(encoded))
        process.send_signal(signal.SIGTERM)

    assert '"MQ=="' in decoded.text
    assert process.returncode == 0
