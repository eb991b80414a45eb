"""Runs one simulator as a process: `python -m simulators.server paypal|stripe|twilio|receiver --port 0`."""

import argparse
import asyncio
import os
import signal
import sys

from simulators.serving import Simulator, serve


def main() -> None:
    options = _parser().parse_args()
    simulator = _simulator(options)
    if sys.platform == "win32":
        asyncio.run(_run(simulator, options))
        return
    import uvloop  # noqa: PLC0415 - not available everywhere

    uvloop.run(_run(simulator, options))


async def _run(simulator: Simulator, options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve(simulator, host=options.host, port=options.port, url=options.url):
        print(f"listening {simulator.url}", flush=True)  # noqa: T201 - the line that callers wait for
        await stopped.wait()


def _simulator(options: argparse.Namespace) -> Simulator:
    if options.simulator == "twilio":
        from simulators.twilio.app import TwilioSimulator  # noqa: PLC0415 - only what is asked for is loaded

        return TwilioSimulator(
            account_sid=options.account_sid, auth_token=options.auth_token, seed=options.seed
        )
    if options.simulator == "receiver":
        from simulators.receiver import Receiver  # noqa: PLC0415

        return Receiver(*options.secret or ())
    if options.simulator == "stripe":
        from simulators.stripe.app import StripeSimulator  # noqa: PLC0415

        return StripeSimulator(
            api_key=options.api_key,
            webhook_secrets=options.webhook_secret or ["whsec_simulated"],
            webhook_url=options.webhook_url,
            seed=options.seed,
        )
    from simulators.paypal.app import PayPalSimulator  # noqa: PLC0415

    return PayPalSimulator(
        client_id=options.client_id,
        client_secret=options.client_secret,
        webhook_url=options.webhook_url,
        webhook_id=options.webhook_id,
        ca_file=options.ca_file,
        seed=options.seed,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulators.server", description=__doc__)
    kinds = parser.add_subparsers(dest="simulator", required=True)
    paypal = kinds.add_parser("paypal")
    paypal.add_argument("--client-id", default="sim-client-id")
    paypal.add_argument("--client-secret", default="sim-client-secret")
    paypal.add_argument("--webhook-url", help="registered at the start, for every event type")
    paypal.add_argument("--webhook-id", help="the id of the registration")
    paypal.add_argument(
        "--ca-file", help="where to write the certificate that signed webhooks chain to (PEM)"
    )
    stripe = kinds.add_parser("stripe")
    stripe.add_argument("--api-key", default="sk_test_simulated")
    stripe.add_argument(
        "--webhook-secret", action="append", help="signs webhooks; given twice, both sign"
    )
    stripe.add_argument("--webhook-url", help="registered at the start, for every event type")
    twilio = kinds.add_parser("twilio")
    twilio.add_argument("--account-sid", default="AC00000000000000000000000000000001")
    twilio.add_argument("--auth-token", default="11111111111111111111111111111111")
    receiver = kinds.add_parser("receiver")
    receiver.add_argument(
        "--secret", action="append", help="whsec_... or whpk_..., to verify events with"
    )
    for each in (paypal, stripe, twilio, receiver):
        each.add_argument("--host", default="127.0.0.1", help="the address to listen on")
        each.add_argument("--port", type=int, default=0)
        each.add_argument("--url", help="where others reach it, if not at its host and port")
        each.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    return parser


if __name__ == "__main__":
    main()
