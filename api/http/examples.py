"""Examples in the OpenAPI document, by the name of the schema; its tests check that they are
valid.
"""

from typing import Any

_CAMPAIGN_ID = "0195f1d2-6d3a-7c41-9b1e-3f0a5c7d2e90"
_MESSAGE_ID = "0195f1d4-0b52-7d19-8a3c-5e1f2b9c4d70"
_AT = "2026-05-04T09:30:00Z"
_CHECKOUT = "https://checkout.stripe.com/c/pay/cs_live_a1b2c3"
_ADDRESSES = {
    "return_url": "https://example.com/done",
    "cancel_url": "https://example.com/canceled",
}
_SETTINGS: dict[str, Any] = {
    "id": "acme",
    "name": "Acme Ltd",
    "currency": "USD",
    "twilio_account_sid": "AC0123456789abcdef0123456789abcdef",
    "sender": "+15550001000",
    "price_per_segment": "0.0125",
    "grace_period_seconds": 259200,
}
_ENTRY = {
    "seq": 42,
    "kind": "debit",
    "amount": "-12.50",
    "currency": "USD",
    "balance_after": "87.50",
    "reference_id": "order-991",
    "refunds": None,
    "description": "",
    "created_at": _AT,
}

REQUESTS: dict[str, Any] = {
    "CampaignRequest": {
        "name": "Autumn",
        "body": "20 % off today.",
        "recipients": ["+14155550100", "+14155550101"],
        "quiet_hours": {"begins": "21:00", "ends": "08:00"},
    },
    "CaptureRequest": {"amount": "12.50"},
    "CheckoutRequest": {
        "provider": "paypal",
        "plan_id": "P-5ML4271244454362WXNWU5NQ",
        **_ADDRESSES,
    },
    "CollectionRequest": {"amount": "49.00", "currency": "USD"},
    "DefaultRateRequest": {"price_per_segment": "0.0125", "currency": "USD"},
    "HoldRequest": {
        "reference_id": "ride-17",
        "amount": "20.00",
        "currency": "USD",
        "expires_at": "2026-12-24T18:00:00Z",
    },
    "LinkRequest": {"provider": "paypal", "subscription_id": "I-BW452GLLEP1G"},
    "MessageRequest": {"to": "+14155550100", "body": "Your order is on its way."},
    "OrganizationChangeRequest": {"sender": "ACME"},
    "OrganizationRequest": _SETTINGS,
    "PlanRequest": {"plan_id": "P-5ML4271244454362WXNWU5NQ"},
    "PostingRequest": {"reference_id": "order-991", "amount": "12.50", "currency": "USD"},
    "RateRequest": {"price_per_segment": "0.0125"},
    "ReasonRequest": {"reason": "abuse report 4711"},
    "StartRequest": {"at": "2026-12-24T08:00:00Z"},
    "SwitchRequest": {"provider": "stripe", "plan_id": "price_standard", **_ADDRESSES},
    "TopUpRequest": {
        "provider": "stripe",
        "amount": "50.00",
        "currency": "USD",
        **_ADDRESSES,
    },
}
ANSWERS: dict[str, Any] = {
    "Campaign": {
        "id": _CAMPAIGN_ID,
        "organization_id": "acme",
        "name": "Autumn",
        "body": "20 % off today.",
        "status": "running",
        "reason": "",
        "waiting": None,
        "total": 2,
        "next_position": 2,
        "created_at": _AT,
        "started_at": _AT,
        "completed_at": None,
        "scheduled_at": None,
        "quiet_hours": None,
        "progress": None,
        "counts": None,
        "duplicates_dropped": 0,
    },
    "CanSend": {
        "can_send": False,
        "reasons": [{"code": "nonpayment", "message": "the subscription is not paid"}],
    },
    "Checkout": {"provider": "stripe", "subscription_id": "cs_live_a1b2c3", "url": _CHECKOUT},
    "Entry": _ENTRY,
    "Hold": {
        "reference_id": "ride-17",
        "amount": "20.00",
        "captured": "12.50",
        "currency": "USD",
        "status": "captured",
        "expires_at": "2026-12-24T18:00:00Z",
        "description": "",
    },
    "Message": {
        "id": _MESSAGE_ID,
        "campaign_id": None,
        "to": "+14155550100",
        "status": "accepted",
        "delivery_status": "delivered",
        "provider_sid": "SM0123456789abcdef0123456789abcdef",
        "segments": 1,
        "price": "0.0125",
        "currency": "USD",
        "country": "US",
        "provider_price": "0.0079",
        "provider_currency": "USD",
        "error_code": None,
        "problem": None,
        "created_at": _AT,
    },
    "Organization": {
        **_SETTINGS,
        "messages_per_second": None,
        "created_at": _AT,
        "standing": {
            "status": "active",
            "epoch": 0,
            "applied_epoch": 0,
            "applied": True,
            "deadline": None,
            "blocks": [],
        },
    },
    "PostingOutcomes": {
        "outcomes": [
            {"reference_id": "order-991", "outcome": "booked", "entry": _ENTRY, "problem": None}
        ]
    },
    "Problem": {
        "type": "urn:tollgate:problem:insufficient_funds",
        "title": "Insufficient funds",
        "status": 402,
        "code": "insufficient_funds",
        "detail": "the wallet holds 1.00 USD, a segment costs 2.00 USD",
        "reasons": [
            {
                "code": "insufficient_funds",
                "message": "the wallet holds 1.00 USD, a segment costs 2.00 USD",
            }
        ],
        "balance": "1.00",
        "needed": "2.00",
        "request_id": "5f0c7b1e9a3d4c2f8e6b1a0d9c8b7a6f",
    },
    "Rate": {
        "organization_id": None,
        "country": "DE",
        "currency": "USD",
        "price_per_segment": "0.0125",
        "changed_at": _AT,
    },
    "Standing": {
        "status": "suspended",
        "epoch": 3,
        "applied_epoch": 3,
        "applied": True,
        "deadline": None,
        "blocks": [{"code": "nonpayment", "message": "the subscription is not paid"}],
    },
    "Subscription": {
        "provider": "paypal",
        "subscription_id": "I-BW452GLLEP1G",
        "is_current": True,
        "status": "active",
        "raw_status": "ACTIVE",
        "as_of": _AT,
        "confirmed_at": _AT,
        "access_until": "2026-06-04T09:30:00Z",
        "paid_until": "2026-06-04T09:30:00Z",
        "past_due_since": None,
        "outstanding": None,
        "alert": None,
        "checkout_url": None,
    },
    "Switch": {
        "organization_id": "acme",
        "id": "0195f1d6-7e10-7a02-b5c8-1d2e3f4a5b60",
        "status": "offered",
        "message": "the customer has the checkout link and has not consented yet",
        "reason": "",
        "source": {"provider": "paypal", "subscription_id": "I-BW452GLLEP1G"},
        "target": {"provider": "stripe", "subscription_id": None},
        "checkout_url": _CHECKOUT,
        "first_charge_at": "2026-06-04T09:30:00Z",
        "expires_at": "2026-05-05T09:30:00Z",
        "started_at": _AT,
        "ended_at": None,
    },
    "TopUp": {
        "provider": "stripe",
        "checkout_id": "cs_live_a1b2c3",
        "url": _CHECKOUT,
        "amount": "50.00",
        "currency": "USD",
        "status": "open",
    },
    "Wallet": {
        "organization_id": "acme",
        "balance": "100.00",
        "held": "20.00",
        "available": "80.00",
        "receivable": "0.00",
        "currency": "USD",
        "gate": "open",
        "frozen": False,
        "frozen_by": [],
        "freeze_reason": None,
        "entries": 42,
    },
}
