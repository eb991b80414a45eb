"""Runs the deployment on a Docker engine as it is shipped, with simulated providers: it comes up, plays
the demo's stories, heals after crashes, and keeps its data over an upgrade of the image.
"""

import argparse
import asyncio
import secrets
import sys
import time
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from cli.actors import Company, Provider, Twilio
from cli.console import errors, output
from cli.narration import Differs, Teller, expect, wait_for
from cli.second_story import SecondStory
from cli.story import Story
from devservers.ports import free_ports
from tools.compose_trial import https, images
from tools.compose_trial.engine import CommandFailed, Project

HEALS = 180.0
SIMULATORS = "TRIAL_SIMULATORS"
SERVICES = ("postgres", "temporal", "temporal-ui", "api", "worker")
ORDER = (
    ("postgres", "temporal-schema"),
    ("temporal-schema", "temporal"),
    ("temporal", "temporal-namespace"),
    ("temporal-namespace", "migrate"),
    ("migrate", "api"),
    ("migrate", "worker"),
)
"""Pairs of services: the second starts when the first is ready, or has ended."""
OURS = ("migrate", "api", "worker")


class Trial:
    def __init__(self, project: Project, tell: Teller) -> None:
        self.project = project
        self.tell = tell
        self.messages = 0

    async def play(self) -> None:
        async with AsyncExitStack() as clients:
            self.tell.chapter("docker compose up")
            async with self.tell.step("every service is up") as line:
                self.project.up(build=True)
                line.says("every service is up, in order: " + self._check_services())
            await self._connect(clients)
            await self.story.onboard()
            await self.story.lapse()
            await self.story.enforce()
            await self.story.repeat()
            await self.story.recover()
            await self.second.play()
            self.tell.chapter("Each service crashes, and is started again")
            for service in SERVICES:
                await self._crash(service)
            await self._kill()
            await self._upgrade()
            self._certify()

    async def _connect(self, clients: AsyncExitStack) -> None:
        made = self._tollgate("keys", "create", "--name", "trial", "--scope", "operator")
        key = made.split()[-1]
        project = self.project
        company, paypal, stripe, twilio = [
            await clients.enter_async_context(
                httpx.AsyncClient(base_url=address, headers=headers, timeout=30)
            )
            for address, headers in (
                (project.address("api", 8000), {"Authorization": f"Bearer {key}"}),
                *((project.address(name, 9000), {}) for name in ("paypal", "stripe", "twilio")),
            )
        ]
        self.company, self.twilio = Company(company), Twilio(twilio)
        self.story = Story(
            tell=self.tell, company=self.company, paypal=Provider(paypal), twilio=self.twilio
        )
        self.second = SecondStory(
            tell=self.tell, company=self.company, stripe=Provider(stripe), twilio=self.twilio
        )

    def _check_services(self) -> str:
        for earlier, later in ORDER:
            before = self.project.inspected(earlier)["State"]
            since = before["StartedAt"] if before["Running"] else before["FinishedAt"]
            started = self.project.inspected(later)["State"]["StartedAt"]
            expect(
                f"{later} started after {earlier}", _moment(since) < _moment(started), wanted=True
            )
        for service in OURS:
            found = self.project.inspected(service)
            rights = found["HostConfig"]
            expect(f"{service}: its root is read-only", rights["ReadonlyRootfs"], wanted=True)
            expect(f"{service}: its capabilities", rights["CapDrop"], ["ALL"])
            expect(f"{service}: its user", found["Config"]["User"], "tollgate")
        return "one after another, read-only, without capabilities"

    async def _crash(self, service: str) -> None:
        async with self.tell.step(f"{service} crashes") as line:
            before = self.project.inspected(service)
            self.project.crash(service)

            async def back() -> bool:
                now = self.project.inspected(service)
                restarted = now["RestartCount"] > before["RestartCount"]
                health = now["State"].get("Health", {"Status": "healthy"})["Status"]
                return bool(restarted and now["State"]["Running"] and health == "healthy")

            began = time.monotonic()
            await wait_for(f"{service} runs again", back, HEALS)
            await self._send()
            line.says(
                f"{service} was killed; after {time.monotonic() - began:.0f} s messages arrive"
            )

    async def _kill(self) -> None:
        async with self.tell.step("docker kill") as line:
            self.project.compose("kill", *SERVICES)
            self._up_again()
            await self._send()
            line.says(
                "docker kill of all of them, after which the engine restarts nothing: up heals it"
            )

    async def _upgrade(self) -> None:
        self.tell.chapter("The image is upgraded")
        async with self.tell.step("compose up with another build") as line:
            before = await self._books()
            old = self.project.inspected("api")["Image"]
            self.project.variables["TOLLGATE_BUILD_ID"] += "-next"
            self._up_again(build=True)
            for service in ("api", "worker"):
                replaced = self.project.inspected(service)["Image"] != old
                expect(f"{service} runs the new image", replaced, wanted=True)
            expect("the ledger after the upgrade", await wait_for("the API", self._books), before)
            await self._send()
            line.says("the new build has the old one's wallet and ledger, and sends")
        async with self.tell.step("the containers are removed") as line:
            before = await self._books()
            self.project.compose("rm", "--stop", "--force", *SERVICES)
            self._up_again()
            expect("the ledger in new containers", await wait_for("the API", self._books), before)
            await self._send()
            line.says("all containers removed and made again: the volume keeps everything")

    def _up_again(self, *, build: bool = False) -> None:
        self.project.up(build=build)
        self.project.compose("restart", "nginx")  # it looks the API's address up at its start

    async def _books(self) -> Any:
        organization = self.story.id
        wallet = await self.company.wallet(organization)
        entries = await self.company.ask("GET", f"/v1/organizations/{organization}/wallet/entries")
        return wallet["balance"], entries

    async def _send(self) -> None:
        """One message by the API, until Twilio has delivered it: it is paid for once, however often
        the call is repeated.
        """
        self.messages += 1
        of = f"/v1/organizations/{self.story.id}"
        key = f"trial-{self.messages}"
        body = {"to": f"+1415556{self.messages:04d}", "body": "Still here?"}

        async def accepted() -> Any | None:
            try:
                return await self.company.ask("POST", f"{of}/messages", body, key=key)
            except (httpx.HTTPError, Differs):
                return None  # not up again

        sent = await wait_for("the API takes a message", accepted, HEALS)

        async def delivered() -> bool:
            message = await self.company.ask("GET", f"{of}/messages/{sent['id']}")
            return bool(message["delivery_status"] == "delivered")

        await wait_for("the message is delivered", delivered, HEALS)
        at_twilio = [
            message
            for message in await self.twilio.messages(self.story.account)
            if message["to"] == body["to"]
        ]
        expect("messages at Twilio", len(at_twilio), 1)

    def _certify(self) -> None:
        self.tell.chapter("tollgate certify proves it on the database")
        self.tell.note(self._tollgate("certify").strip().splitlines()[-1])

    def _tollgate(self, *command: str) -> str:
        return self.project.compose("exec", "--no-TTY", "api", "tollgate", *command)


def _moment(docker: str) -> datetime:
    """Docker's nanoseconds are more than a datetime has."""
    return datetime.fromisoformat(f"{docker[:26].rstrip('Z')}+00:00")


def _variables(directory: Path) -> dict[str, str]:
    """What an operator writes into .env; the account is the simulator's."""
    (port,) = free_ports(1)
    build = f"trial-{secrets.token_hex(3)}"
    generated = {
        name: secrets.token_hex(32)
        for name in (
            *("POSTGRES_PASSWORD", "TOLLGATE_DB_PASSWORD", "TEMPORAL_DB_PASSWORD"),
            *("TOLLGATE_PAYPAL_CLIENT_SECRET", "TOLLGATE_PAYPAL_WEBHOOK_IDS"),
        )
    }
    return generated | {
        "TRIAL_DIRECTORY": str(directory),
        "TOLLGATE_BUILD_ID": build,
        SIMULATORS: f"tollgate:{build}",
        "TOLLGATE_API_PORT": str(port),
        "TOLLGATE_PUBLIC_URL": f"https://{https.API}",
        "TOLLGATE_PAYPAL_BASE_URL": f"https://{https.SIMULATORS['paypal']}",
        "TOLLGATE_PAYPAL_CLIENT_ID": "trial",
        "TOLLGATE_STRIPE_API_KEY": f"sk_test_{secrets.token_hex(16)}",
        "TOLLGATE_STRIPE_WEBHOOK_SECRETS": f"whsec_{secrets.token_hex(16)}",
        "TOLLGATE_TWILIO_ACCOUNT_SID": f"AC{secrets.token_hex(16)}",
        "TOLLGATE_TWILIO_AUTH_TOKEN": secrets.token_hex(16),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="compose_trial", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the containers and the images")
    keep = parser.parse_args().keep
    with TemporaryDirectory(prefix="tollgate-trial-") as directory:
        https.write(Path(directory))
        return _try(Project("tollgate-trial", _variables(Path(directory))), keep=keep)


def _try(project: Project, *, keep: bool) -> int:
    stand_ins: list[str] = []
    try:
        stand_ins = images.provide(project)
        asyncio.run(Trial(project, Teller(output)).play())
    except (CommandFailed, Differs) as problem:
        errors.print(str(problem), style="bold red")
        errors.print(project.compose("logs", "--tail=20"))
        return 1
    finally:
        if not keep:
            project.compose("down", "--volumes", "--remove-orphans")
            simulators, api = (
                project.variables[name] for name in (SIMULATORS, "TOLLGATE_BUILD_ID")
            )
            images.remove(stand_ins, [simulators, f"tollgate:{api}"])
    with_stand_ins = f", with stand-ins for {', '.join(stand_ins)}" if stand_ins else ""
    output.print(f"\nThe Compose file was tried on this engine{with_stand_ins}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
