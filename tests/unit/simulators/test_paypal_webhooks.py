import json
import zlib
from base64 import b64decode, b64encode

import httpx
import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from simulators.paypal.app import PayPalSimulator
from tests.unit.simulators.receiver import Received, Receiver, until

WEBHOOK_ID = "5GP028458E2496506"
NAME = "messageverificationcerts.paypal.com"


async def check(api: httpx.AsyncClient, post: Received, body: bytes | None = None) -> None:
    """Verify like a receiver: issuer, chain to the CA, name, then the signature over the raw body's
    CRC-32.
    """
    async with httpx.AsyncClient() as anybody:
        pem = (await anybody.get(post.headers["paypal-cert-url"])).content
        [leaf] = x509.load_pem_x509_certificates(pem)
        [place] = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
        between = [
            x509.load_der_x509_certificate((await anybody.get(place.access_location.value)).content)
        ]
    root = x509.load_pem_x509_certificate((await api.get("/_sim/ca")).content)
    PolicyBuilder().store(Store([root])).build_server_verifier(x509.DNSName(NAME)).verify(
        leaf, between
    )
    key = leaf.public_key()
    assert isinstance(key, RSAPublicKey)
    crc = zlib.crc32(post.body if body is None else body)
    text = f"{post.headers['paypal-transmission-id']}|{post.headers['paypal-transmission-time']}|{WEBHOOK_ID}|{crc}"
    key.verify(
        b64decode(post.headers["paypal-transmission-sig"]),
        text.encode(),
        PKCS1v15(),
        hashes.SHA256(),
    )


def types(receiver: Receiver) -> list[str]:
    return [json.loads(post.body)["event_type"] for post in receiver.received]


async def test_deliveries_are_signed_as_paypal_signs(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await api.post("/_sim/subscriptions", json={"custom_id": "org_1"})
    await until(lambda: len(receiver.received) == 3)

    for post in receiver.received:
        await check(api, post)
        assert post.headers["paypal-auth-algo"] == "SHA256withRSA"
        assert post.path == "/webhooks/paypal"
    with pytest.raises(InvalidSignature):
        await check(api, receiver.received[0], receiver.received[0].body + b" ")


@pytest.mark.parametrize("kind", ["expired", "wrong_name", "other_ca"])
async def test_a_bad_certificate_does_not_verify(
    api: httpx.AsyncClient, receiver: Receiver, kind: str
) -> None:
    await api.post("/_sim/certificate", json={"kind": kind})
    await api.post("/_sim/captures", json={"amount": "30"})
    await until(lambda: len(receiver.received) == 1)

    with pytest.raises(VerificationError):
        await check(api, receiver.received[0])


async def test_a_refused_delivery_is_repeated_with_the_same_transmission(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers = [503, 500]
    await api.post("/_sim/captures", json={"amount": "30"})
    await until(lambda: len(receiver.received) == 3)
    await until(lambda: not receiver.answers)

    assert len({post.headers["paypal-transmission-id"] for post in receiver.received}) == 1
    deliveries = (await api.get("/_sim/deliveries")).json()["deliveries"]
    assert [attempt["status_code"] for attempt in deliveries[0]["attempts"]][:2] == [503, 500]


async def test_retries_end(
    api: httpx.AsyncClient, receiver: Receiver, paypal: PayPalSimulator
) -> None:
    await api.patch("/_sim/schedule", json={"tries": 3, "first": 0.01})
    receiver.answers = [500] * 10
    await api.post("/_sim/captures", json={"amount": "30"})
    await until(lambda: paypal.deliveries.all[1].status == "failed")

    assert len(receiver.received) == 3


async def test_a_receiver_that_is_away_is_tried_again(
    api: httpx.AsyncClient, paypal: PayPalSimulator
) -> None:
    paypal.deliveries.webhooks.clear()
    paypal.deliveries.register("http://127.0.0.1:9/nobody", webhook_id=WEBHOOK_ID)
    await api.post("/_sim/captures", json={"amount": "30"})
    await until(lambda: len(paypal.deliveries.all[1].attempts) >= 2)

    assert {attempt["status_code"] for attempt in paypal.deliveries.all[1].attempts} == {0}


async def test_events_can_be_sent_again_by_the_api(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    created = (await api.post("/_sim/captures", json={"amount": "30", "deliver": False})).json()
    event_id = created["events"][0]["id"]
    answer = await api.post(f"/v1/notifications/webhooks-events/{event_id}/resend", json={})
    await until(lambda: len(receiver.received) == 1)

    assert answer.status_code == 202
    assert json.loads(receiver.received[0].body)["id"] == event_id


async def test_events_are_listed_by_time_and_type_in_pages(api: httpx.AsyncClient) -> None:
    for day in (1, 2, 3):
        at = f"2026-11-0{day}T10:00:00Z"
        await api.post("/_sim/captures", json={"amount": "30", "at": at, "deliver": False})
    listing = "/v1/notifications/webhooks-events"
    span = {"start_time": "2026-11-02T00:00:00Z", "end_time": "2026-11-04T00:00:00Z"}
    found = (await api.get(listing, params=span)).json()
    none = (await api.get(listing, params={**span, "event_type": "PAYMENT.SALE.COMPLETED"})).json()
    first = (await api.get(listing, params={"page_size": "2"})).json()
    (following,) = [link["href"] for link in first["links"] if link["rel"] == "next"]
    second = (await api.get(following)).json()

    assert [event["create_time"][:10] for event in found["events"]] == ["2026-11-03", "2026-11-02"]
    assert none["events"] == []
    assert (len(first["events"]), len(second["events"])) == (2, 1)


async def test_online_verification_takes_the_delivered_bytes_only(api: httpx.AsyncClient) -> None:
    signed = (await api.post("/_sim/sign", json={"raw": '{"id":"WH-1", "b":1.0,  "a":{}}'})).json()
    headers = signed["headers"]

    async def verify(event: str, webhook_id: str = WEBHOOK_ID) -> str:
        fields = {
            "auth_algo": headers["PAYPAL-AUTH-ALGO"],
            "cert_url": headers["PAYPAL-CERT-URL"],
            "transmission_id": headers["PAYPAL-TRANSMISSION-ID"],
            "transmission_sig": headers["PAYPAL-TRANSMISSION-SIG"],
            "transmission_time": headers["PAYPAL-TRANSMISSION-TIME"],
            "webhook_id": webhook_id,
        }
        request = json.dumps(fields)[:-1] + ', "webhook_event": ' + event + "}"
        answer = await api.post("/v1/notifications/verify-webhook-signature", content=request)
        assert answer.status_code == 200
        return answer.json()["verification_status"]  # type: ignore[no-any-return]

    assert await verify(signed["body"]) == "SUCCESS"
    assert await verify(json.dumps(json.loads(signed["body"]))) == "FAILURE"
    assert await verify(signed["body"], "ANOTHER") == "FAILURE"


async def test_any_bytes_can_be_sent_with_other_headers(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    raw = b"\xff not json"
    await api.post(
        "/_sim/events",
        json={"raw_base64": b64encode(raw).decode(), "headers": {"paypal-auth-algo": "none"}},
    )
    await until(lambda: len(receiver.received) == 1)

    assert receiver.received[0].body == raw
    assert receiver.received[0].headers["paypal-auth-algo"] == "none"
    await check(api, receiver.received[0])


async def test_held_deliveries_are_released_in_the_requested_order(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await api.post("/_sim/hold")
    await api.post("/_sim/subscriptions")
    await api.post("/_sim/release", json={"order": "reverse"})
    await until(lambda: len(receiver.received) == 3)

    assert types(receiver) == [
        "PAYMENT.SALE.COMPLETED",
        "BILLING.SUBSCRIPTION.ACTIVATED",
        "BILLING.SUBSCRIPTION.CREATED",
    ]


async def test_events_are_delivered_in_a_given_order(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    created = (await api.post("/_sim/subscriptions", json={"deliver": False})).json()["events"]
    await api.post(
        "/_sim/deliver", json={"event_ids": [created[2]["id"], created[0]["id"], created[2]["id"]]}
    )
    await until(lambda: len(receiver.received) == 3)

    assert types(receiver) == [
        "PAYMENT.SALE.COMPLETED",
        "BILLING.SUBSCRIPTION.CREATED",
        "PAYMENT.SALE.COMPLETED",
    ]


async def test_redelivery_is_a_new_transmission_each_time(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    created = (await api.post("/_sim/captures", json={"amount": "30", "deliver": False})).json()
    await api.post(f"/_sim/events/{created['events'][0]['id']}/redeliver", json={"times": 5})
    await until(lambda: len(receiver.received) == 5)

    assert len({post.body for post in receiver.received}) == 1
    assert len({post.headers["paypal-transmission-id"] for post in receiver.received}) == 5


async def test_a_delivery_can_be_duplicated_lost_or_overtaken(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await api.post(
        "/_sim/delivery_faults", json={"kind": "duplicate", "event_type": "PAYMENT", "copies": 3}
    )
    await api.post(
        "/_sim/delivery_faults", json={"kind": "lost", "event_type": "BILLING.SUBSCRIPTION.CREATED"}
    )
    await api.post("/_sim/subscriptions")
    await until(lambda: len(receiver.received) == 4)
    await api.delete("/_sim/delivery_faults")

    assert sorted(types(receiver)) == [
        "BILLING.SUBSCRIPTION.ACTIVATED",
        *["PAYMENT.SALE.COMPLETED"] * 3,
    ]

    receiver.received.clear()
    await api.post("/_sim/delivery_faults", json={"kind": "reordered", "times": 1, "seconds": 20})
    await api.post("/_sim/subscriptions")
    await until(lambda: len(receiver.received) == 3)

    assert types(receiver)[-1] == "BILLING.SUBSCRIPTION.CREATED"


async def test_a_storm_reaches_the_receiver_whole(
    api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await api.post("/_sim/subscriptions/bulk", json={"count": 300})
    await api.post("/_sim/subscriptions/bulk/suspend", json={"prefix": "BULK"})
    await until(lambda: len(receiver.received) == 300)

    assert len({json.loads(post.body)["resource"]["id"] for post in receiver.received}) == 300
