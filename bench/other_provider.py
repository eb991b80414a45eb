"""Measures how soon a customer who pays at Stripe is suspended while PayPal does not answer."""

import asyncio
import time

from bench import load
from bench.load import Target
from bench.outcome import BenchFailed
from domain.billing.subscription import Provider

HANGING = 120
AT_ONCE = 20
"""As many as a worker's queue of one provider has slots, unless it is set otherwise."""
_HANGS = {"kind": "timeout_before", "method": "GET", "path": "/v1/billing/subscriptions/"}


async def suspended_seconds(target: Target, prefix: str = "HANGS") -> float:
    """Seconds from a suspension's webhook of Stripe to its closed receipt, with 120 queries waiting
    for PayPal's answer. Onboards its own organizations; PayPal answers again at the end.
    """
    waiting = await load.onboard(target, prefix, HANGING)
    suspending = await load.onboard(target, f"{prefix}-NOT", 1, provider=Provider.STRIPE)
    to_paypal = await load.sign(target, waiting, "suspend")
    [to_stripe] = await load.sign(target, suspending, "suspend")
    await load.ok(target.paypal.post("/_sim/faults", json=_HANGS))
    try:
        await load.each(to_paypal, lambda signed: load.deliver(target, signed), at_once=8)
        await _hanging(target)
        began = time.time()
        await load.deliver(target, to_stripe)
        await load.at_rest(target, suspending)
        [finished] = await load.finished_at(target, suspending)
    finally:
        await load.ok(target.paypal.delete("/_sim/faults"))
    return finished - began


async def _hanging(target: Target) -> None:
    """Wait until as many queries hang as a worker makes at once; the others wait behind them."""
    deadline = time.monotonic() + load.PATIENCE
    while time.monotonic() < deadline:
        faults = (await load.ok(target.paypal.get("/_sim/faults"))).json()["faults"]
        if sum(fault["hits"] for fault in faults) >= AT_ONCE:
            return
        await asyncio.sleep(0.1)
    raise BenchFailed("no queries hang at PayPal")
