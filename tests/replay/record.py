"""Records histories again, on its own real servers: `python -m tests.replay.record [scenario …]`.

Each scenario has its own world, one after the other, so that faults do not interfere. Stack traces,
which a replay does not need, are left out.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from temporalio.client import Client

from devservers import temporal
from devservers.postgres import serve
from runtime import client, migrations
from runtime.processes import exit_now
from runtime.settings import Settings
from simulators.paypal.certificate import Authority
from tests.replay.scenarios import SCENARIOS
from tests.world import world

HISTORIES = Path(__file__).parent / "histories"
IDENTITY = "recorder"


async def record(names: Collection[str], directory: Path) -> None:
    settings, authority = Settings(), Authority()
    async with temporal.serve(directory / "temporal.log", settings.cache_dir, ui=False) as server:
        connected = await client.connect(server.connection, identity=IDENTITY)
        for scenario in SCENARIOS:
            if not names or scenario.__name__ in names:
                with serve(directory / scenario.__name__) as postgres:
                    migrations.migrate(postgres.url())
                    await _record(postgres.url(), connected, directory, authority, scenario)


async def _record(
    url: str, connected: Client, directory: Path, authority: Authority, scenario: Any
) -> None:
    async with world(url, connected, directory, authority, build_id="recorded") as running_world:
        running_world.start_worker()
        handle = await scenario(running_world)
        history = await handle.fetch_history()
    document = json.loads(history.to_json())
    kind = document["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
    target = HISTORIES / f"{kind}.{scenario.__name__}.json"
    target.write_text(json.dumps(_without_stack_traces(document), indent=1) + "\n")
    sys.stdout.write(f"{target.name}: {len(document['events'])} events\n")


def _without_stack_traces(value: Any) -> Any:
    match value:
        case dict():
            return {
                name: _without_stack_traces(inner)
                for name, inner in value.items()
                if name != "stackTrace"
            }
        case list():
            return [_without_stack_traces(inner) for inner in value]
        case _:
            return value


def main() -> None:
    HISTORIES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tollgate-record-") as temporary:
        directory = Path(temporary)
        directory.chmod(0o711)  # as root, PostgreSQL runs as another user
        asyncio.run(record(sys.argv[1:], directory))
    exit_now(0)


if __name__ == "__main__":
    main()
