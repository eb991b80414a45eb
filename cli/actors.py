"""The actors of the demo: the software company that calls the API, its customers' providers, and
Twilio. All over HTTP.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from cli.narration import Differs, expect, wait_for

PLAN = "P-5ML4271244454362WXNWU5NQ"
PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Actor:
    """A client of one HTTP API; an unexpected response ends the story."""

    http: httpx.AsyncClient

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        status: int | None = None,
        key: str | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self.http.request(method, path, json=body, headers=headers, params=query)
        if answer.status_code != status if status else not answer.is_success:
            wanted = status or "a success"
            raise Differs(
                f"{method} {path}: expected {wanted}, got {answer.status_code}: {answer.text[:400]}"
            )
        return answer.json() if answer.content else None


@dataclass(frozen=True, slots=True)
class Company(Actor):
    """The software company, with its own API key."""

    async def organization(self, organization_id: str) -> Any:
        return await self.ask("GET", f"/v1/organizations/{organization_id}/explain")

    async def wallet(self, organization_id: str) -> Any:
        return await self.ask("GET", f"/v1/organizations/{organization_id}/wallet")

    async def applied(self, organization_id: str, status: str) -> Any | None:
        """The organization, after a standing with this status was applied."""
        organization = await self.organization(organization_id)
        standing = organization["standing"]
        return organization if standing["status"] == status and standing["applied"] else None

    async def campaign(self, organization_id: str, campaign_id: str) -> Any:
        return await self.ask("GET", f"/v1/organizations/{organization_id}/campaigns/{campaign_id}")


@dataclass(frozen=True, slots=True)
class Provider(Actor):
    """The customer and PayPal or Stripe itself, which signs and delivers the events."""

    async def act(self, subscription_id: str, action: str, **about: Any) -> list[Any]:
        """Perform an action on the subscription; returns the provider's events."""
        answer = await self.ask("POST", f"/_sim/subscriptions/{subscription_id}/{action}", about)
        events: list[Any] = answer["events"]
        return events

    async def answered(self, event_id: str, times: int = 1) -> list[float]:
        """Wait until the webhook has answered each delivery with 200; returns the seconds that each
        answer took.
        """

        async def look() -> list[Any] | None:
            deliveries = (await self.ask("GET", "/_sim/deliveries", query={"event_id": event_id}))[
                "deliveries"
            ]
            delivered = [delivery for delivery in deliveries if delivery["status"] == "delivered"]
            return deliveries if len(delivered) == len(deliveries) >= times else None

        delivered = await wait_for(f"webhook {event_id} was answered", look, PATIENCE)
        attempts = [attempt for delivery in delivered for attempt in delivery["attempts"]]
        expect("answers to the webhook", {attempt["status_code"] for attempt in attempts}, {200})
        return [attempt["seconds"] for attempt in attempts]


@dataclass(frozen=True, slots=True)
class Twilio(Actor):
    async def open_subaccount(self, name: str) -> str:
        opened = await self.ask("POST", "/_sim/accounts", {"friendly_name": name})
        sid: str = opened["accounts"][0]["sid"]
        return sid

    async def status_of(self, sid: str) -> str:
        accounts = (await self.ask("GET", "/_sim/accounts"))["accounts"]
        return next(str(account["status"]) for account in accounts if account["sid"] == sid)

    async def token_of(self, sid: str) -> str:
        accounts = (await self.ask("GET", "/_sim/accounts"))["accounts"]
        return next(str(account["auth_token"]) for account in accounts if account["sid"] == sid)

    async def send_as(self, sid: str, token: str, to: str) -> None:
        """Send with the subaccount's own credentials, past Tollgate."""
        message = {"To": to, "From": "+15550001001", "Body": "You have won!"}
        answer = await self.http.post(
            f"/2010-04-01/Accounts/{sid}/Messages.json", data=message, auth=(sid, token)
        )
        answer.raise_for_status()

    async def trigger_of(self, sid: str, token: str) -> Any | None:
        """The subaccount's usage trigger, if it has one."""
        listed = await self.http.get(
            f"/2010-04-01/Accounts/{sid}/Usage/Triggers.json", auth=(sid, token)
        )
        return next(iter(listed.raise_for_status().json()["usage_triggers"]), None)

    async def messages(self, sid: str) -> list[Any]:
        messages: list[Any] = (await self.ask("GET", "/_sim/messages", query={"account_sid": sid}))[
            "messages"
        ]
        return messages

    async def callbacks_are_out(self) -> None:
        """Wait until no status callback is pending."""

        async def look() -> bool:
            counts = await self.ask("GET", "/_sim/counts")
            moving = {"accepted", "queued", "sending", "sent"} & counts["statuses"].keys()
            return counts["callbacks_pending"] == 0 and not moving

        await wait_for("Twilio's status callbacks", look, PATIENCE)


@dataclass(frozen=True, slots=True)
class HostApplication(Actor):
    """The company's own software, which is told what happened."""

    @property
    def url(self) -> str:
        return f"{str(self.http.base_url).rstrip('/')}/tollgate"

    async def trust(self, secret: str) -> None:
        await self.ask("POST", "/_sim/secrets", {"secret": secret})

    async def event(self, type_: str, organization_id: str) -> Any | None:
        """The first event of that type about the organization that it received and verified."""
        received = (await self.ask("GET", "/_sim/received"))["received"]
        return next(
            (
                event
                for event in received
                if (event["type"], event["organization_id"]) == (type_, organization_id)
                and event["verified"]
            ),
            None,
        )


def kept(messages: list[Any]) -> list[Any]:
    """The messages that Twilio did not return unsent (30002: the account was suspended first)."""
    return [message for message in messages if message["error_code"] != 30002]
