"""What else costs money at Twilio's simulator: senders of services, 10DLC campaigns, short codes,
recordings, Verify, and inbound messages with their webhooks.
"""

from typing import Any
from urllib.parse import parse_qs, parse_qsl

import httpx
import pytest
from twilio.request_validator import RequestValidator  # type: ignore[import-untyped]

from simulators.twilio.app import TwilioSimulator
from tests.unit.simulators.receiver import Receiver, until
from tests.unit.simulators.test_twilio_billing import API, MAIN, opened, record

MONTHLY = "a2p-10dlc-registrationfees-monthly"
CAMPAIGN: dict[str, Any] = {
    "BrandRegistrationSid": "BN" + "1" * 32,
    "Description": "Tells customers that their order is on its way.",
    "MessageFlow": "Customers agree on the web site when they place their order.",
    "MessageSamples": ["Your order 17 is on its way.", "Your order 18 was delivered."],
    "UsAppToPersonUsecase": "MARKETING",
    "HasEmbeddedLinks": "false",
    "HasEmbeddedPhone": "false",
}


class Own:
    """An account of the simulator, with its own credentials."""

    def __init__(self, client: httpx.AsyncClient, account: dict[str, Any]) -> None:
        self.client = client
        self.sid = str(account["sid"])
        self.auth = (self.sid, str(account["auth_token"]))

    async def ask(self, method: str, path: str, **data: Any) -> httpx.Response:
        return await self.client.request(method, path, data=data or None, auth=self.auth)

    async def sim(self, path: str, method: str = "POST", **body: Any) -> dict[str, Any]:
        answer = await self.client.request(method, f"/_sim/accounts/{self.sid}/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()  # type: ignore[no-any-return]

    async def service(self, **settings: str) -> str:
        made = await self.ask("POST", "/v1/Services", FriendlyName="shop", **settings)
        assert made.status_code == 201, made.text
        return str(made.json()["sid"])

    async def costs(self, category: str) -> str:
        return str((await record(self.client, self.sid, category, "AllTime"))["price"])


@pytest.fixture
async def own(client: httpx.AsyncClient) -> Own:
    return Own(client, await opened(client))


def code(answer: httpx.Response) -> tuple[int, int | None]:
    return answer.status_code, answer.json().get("code") if answer.content else None


async def test_senders_are_added_to_a_service_and_removed_with_twilios_errors(own: Own) -> None:
    number = (await own.sim("phone_numbers", phone_number="+14155550101"))["sid"]
    deaf = (await own.sim("phone_numbers", phone_number="+14155550102", sms=False))["sid"]
    short = (await own.sim("short_codes", short_code="12345"))["sid"]
    service, other = await own.service(), await own.service()
    pool = f"/v1/Services/{service}"
    added = [
        await own.ask("POST", f"{pool}/PhoneNumbers", PhoneNumberSid=number),
        await own.ask("POST", f"{pool}/ShortCodes", ShortCodeSid=short),
        await own.ask("POST", f"{pool}/AlphaSenders", AlphaSender="ACME"),
    ]
    refused = [
        await own.ask("POST", f"{pool}/PhoneNumbers", PhoneNumberSid=number),
        await own.ask("POST", f"/v1/Services/{other}/PhoneNumbers", PhoneNumberSid=number),
        await own.ask("POST", f"{pool}/PhoneNumbers", PhoneNumberSid="PN" + "0" * 32),
        await own.ask("POST", f"{pool}/PhoneNumbers", PhoneNumberSid=deaf),
        await own.ask("POST", f"{pool}/PhoneNumbers"),
        await own.ask("POST", f"{pool}/AlphaSenders", AlphaSender="12345"),
    ]
    listed = (await own.ask("GET", f"{pool}/PhoneNumbers")).json()["phone_numbers"]
    gone = await own.ask("DELETE", f"{pool}/PhoneNumbers/{number}")
    again = await own.ask("POST", f"/v1/Services/{other}/PhoneNumbers", PhoneNumberSid=number)

    assert [answer.status_code for answer in added] == [201, 201, 201]
    assert [code(answer) for answer in refused] == [
        (409, 21710),
        (409, 21712),
        (400, 21421),
        (400, 21715),
        (400, 20001),
        (400, 20001),
    ]
    assert [each["sid"] for each in listed] == [number]
    assert (gone.status_code, again.status_code) == (204, 201)


async def test_an_rcs_sender_of_the_account_is_added_by_its_sid(
    own: Own, twilio: TwilioSimulator
) -> None:
    await own.sim("senders", sender="rcs:acme_agent")
    service = await own.service()
    account = twilio.state.accounts[own.sid]
    sid = twilio.newer.services.sid_of(account, "rcs:acme_agent")
    added = await own.ask("POST", f"/v1/Services/{service}/ChannelSenders", Sid=sid)
    removed = await own.ask("DELETE", f"/v1/Services/{service}/ChannelSenders/{sid}")

    assert (added.json()["sender"], added.json()["sender_type"]) == ("rcs:acme_agent", "RCS")
    assert removed.status_code == 204
    assert account.services[service] == []


async def test_a_10dlc_campaign_costs_its_vetting_and_then_every_month_also_while_suspended(
    own: Own,
) -> None:
    path = f"/v1/Services/{await own.service()}/Compliance/Usa2p"
    made = (await own.ask("POST", path, **CAMPAIGN)).json()
    pending = await own.costs(MONTHLY)
    await own.client.post(f"/_sim/usa2p/{made['sid']}", json={"status": "VERIFIED"})
    verified = await own.costs(MONTHLY)
    await own.client.post(f"{API}/{own.sid}.json", data={"Status": "suspended"}, auth=MAIN)
    hidden = await own.ask("GET", path)
    await own.client.post("/_sim/clock", json={"days": 31})
    later = await own.costs(MONTHLY)
    await own.client.post(f"{API}/{own.sid}.json", data={"Status": "active"}, auth=MAIN)
    [listed] = (await own.ask("GET", path)).json()["compliance"]
    deleted = await own.ask("DELETE", f"{path}/{made['sid']}")
    await own.client.post("/_sim/clock", json={"days": 62})

    assert made["campaign_status"] == "PENDING"
    assert made["message_samples"] == CAMPAIGN["MessageSamples"]
    assert (pending, verified, later) == ("0", "10", "20")
    assert await own.costs("a2p-10dlc-registrationfees-campaignvetting") == "15"
    assert code(hidden) == (403, 20005)
    assert (listed["campaign_status"], listed["us_app_to_person_usecase"]) == (
        "VERIFIED",
        "MARKETING",
    )
    assert deleted.status_code == 204
    assert await own.costs(MONTHLY) == "20"


@pytest.mark.parametrize(
    "wrong",
    [
        {"BrandRegistrationSid": "BN1"},
        {"Description": "short"},
        {"MessageSamples": ["only one of them, twenty chars"]},
        {"UsAppToPersonUsecase": "FUN"},
        {"HasEmbeddedLinks": "maybe"},
    ],
)
async def test_a_campaign_with_a_wrong_parameter_is_refused_and_costs_nothing(
    own: Own, wrong: dict[str, Any]
) -> None:
    path = f"/v1/Services/{await own.service()}/Compliance/Usa2p"

    assert code(await own.ask("POST", path, **CAMPAIGN | wrong)) == (400, 20001)
    assert await own.costs("a2p-registration-fees") == "0"


async def test_a_short_code_is_leased_by_the_quarter_on_the_card(
    own: Own, twilio: TwilioSimulator
) -> None:
    leased = await own.sim("short_codes", short_code="12345")
    listed = await own.client.get(f"{API}/{own.sid}/SMS/ShortCodes.json", auth=MAIN)
    await own.client.post("/_sim/clock", json={"days": 80})
    before = await own.costs("shortcodes")
    await own.client.post("/_sim/clock", json={"days": 15})
    after = await own.costs("shortcodes")
    await own.sim("short_codes", "DELETE", sid=leased["sid"])
    await own.client.post("/_sim/clock", json={"days": 200})

    assert [each["short_code"] for each in listed.json()["short_codes"]] == ["12345"]
    assert (before, after) == ("1500", "3000")
    assert await own.costs("shortcodes") == "3000"
    assert twilio.state.balance_micros(twilio.state.main) == twilio.state.behaviour.balance_micros


async def test_recordings_cost_until_they_are_deleted_by_the_parent_while_suspended(
    own: Own,
) -> None:
    stored = await own.sim("recordings", seconds=61)
    await own.client.post(f"{API}/{own.sid}.json", data={"Status": "suspended"}, auth=MAIN)
    path = f"{API}/{own.sid}/Recordings"
    await own.client.post("/_sim/clock", json={"days": 31})
    listed = (await own.client.get(f"{path}.json", auth=MAIN)).json()["recordings"]
    deleted = [
        (await own.client.delete(f"{path}/{stored['sid']}.json", auth=MAIN)).status_code
        for _ in range(2)
    ]
    await own.client.post("/_sim/clock", json={"days": 62})

    assert [each["sid"] for each in listed] == [stored["sid"]]
    assert deleted == [204, 404]
    assert await own.costs("recordingstorage") == "0.002"  # two minutes, two months


async def test_a_verification_costs_when_it_is_approved(own: Own) -> None:
    service = (await own.ask("POST", "/v2/Services", FriendlyName="Shop")).json()["sid"]
    path = f"/v2/Services/{service}"
    refused = [
        await own.ask("POST", f"{path}/Verifications", To="5551234", Channel="sms"),
        await own.ask("POST", f"{path}/Verifications", To="+15551234567", Channel="pigeon"),
        await own.ask("POST", "/v2/Services/VA0/Verifications", To="+15551234567", Channel="sms"),
    ]
    started = await own.ask("POST", f"{path}/Verifications", To="+15551234567", Channel="sms")
    [sent] = (await own.client.get("/_sim/verifications")).json()["verifications"]
    wrong = await own.ask("POST", f"{path}/VerificationCheck", To="+15551234567", Code="0000")
    unpaid = await own.costs("verify-voice-sms")
    right = await own.ask("POST", f"{path}/VerificationCheck", To=sent["to"], Code=sent["code"])
    again = await own.ask("POST", f"{path}/VerificationCheck", To=sent["to"], Code=sent["code"])

    assert [code(answer) for answer in refused] == [(400, 60200), (400, 60200), (404, 20404)]
    assert (started.status_code, started.json()["status"]) == (201, "pending")
    assert (wrong.json()["valid"], unpaid) == (False, "0")
    assert (right.json()["status"], await own.costs("verify-voice-sms")) == ("approved", "0.05")
    assert again.status_code == 404


async def test_an_inbound_message_is_posted_signed_and_falls_back_at_once(
    own: Own, receiver: Receiver
) -> None:
    sid = (await own.sim("phone_numbers", phone_number="+14155550101"))["sid"]
    path = f"{API}/{own.sid}/IncomingPhoneNumbers/{sid}.json"
    alone = await own.ask("POST", path, SmsFallbackUrl=f"{receiver.url}/fallback")
    await own.ask(
        "POST", path, SmsUrl=f"{receiver.url}/sms", SmsFallbackUrl=f"{receiver.url}/fallback"
    )
    receiver.answers.append(500)
    [message] = (await own.sim("inbound", to="+14155550101", body="STOP"))["sids"]
    await until(lambda: len(receiver.received) == 2)
    first, second = receiver.received
    params = dict(parse_qsl(first.body.decode(), keep_blank_values=True))
    fallback = parse_qs(second.body.decode())

    assert code(alone) == (400, 21406)
    assert (first.path, second.path) == ("/sms", "/fallback")
    assert (params["MessageSid"], params["Body"], params["SmsStatus"]) == (
        message,
        "STOP",
        "received",
    )
    assert RequestValidator(own.auth[1]).validate(
        f"{receiver.url}/sms", params, first.headers["x-twilio-signature"]
    )
    assert fallback["ErrorCode"] == ["11200"]
    assert fallback["ErrorUrl"] == [f"{receiver.url}/sms"]
    assert await own.costs("sms-inbound") == "0.0083"


async def test_a_service_takes_inbound_messages_at_its_own_webhook_or_not_at_all(
    own: Own, receiver: Receiver
) -> None:
    number = (await own.sim("phone_numbers", phone_number="+14155550101"))["sid"]
    path = f"{API}/{own.sid}/IncomingPhoneNumbers/{number}.json"
    await own.ask("POST", path, SmsUrl=f"{receiver.url}/number")
    service = await own.service()
    await own.ask("POST", f"/v1/Services/{service}/PhoneNumbers", PhoneNumberSid=number)
    deaf = await own.sim("inbound", to="+14155550101")
    await own.ask("POST", f"/v1/Services/{service}", InboundRequestUrl=f"{receiver.url}/service")
    await own.sim("inbound", to="+14155550101")
    await until(lambda: len(receiver.received) == 1)
    await own.ask("POST", f"/v1/Services/{service}", UseInboundWebhookOnNumber="true")
    await own.sim("inbound", to="+14155550101")
    await until(lambda: len(receiver.received) == 2)

    assert deaf["count"] == 0
    assert [each.path for each in receiver.received] == ["/service", "/number"]
    assert parse_qs(receiver.received[0].body.decode())["MessagingServiceSid"] == [service]
    assert await own.costs("sms-inbound") == "0.0166"
