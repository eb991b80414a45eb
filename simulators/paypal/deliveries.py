"""Signs deliveries as PayPal does: the CRC-32 of the body, with a certificate under the simulator's
root.
"""

import uuid
from datetime import datetime

from simulators import deliveries
from simulators.paypal.certificate import Authority, Kind
from simulators.paypal.resources import Resources
from simulators.paypal.state import State, to_time


class Deliveries(deliveries.Deliveries):
    def __init__(
        self, state: State, resources: Resources, authority: Authority, *, limit: int = 50
    ) -> None:
        super().__init__(limit=limit)
        self.state = state
        self.resources = resources
        self.authority = authority
        self.certificate = Kind.GOOD

    def start(self) -> None:
        super().start()
        self.authority.leaf(address=self.resources.url)

    def reset(self) -> None:
        super().reset()
        self.certificate = Kind.GOOD

    def new_webhook_id(self) -> str:
        return self.state.new_id()

    def signed_headers(
        self,
        raw: bytes,
        webhook_id: str,
        *,
        at: datetime | None = None,
        certificate: Kind | None = None,
        transmission_id: str | None = None,
    ) -> dict[str, str]:
        """The headers that PayPal sends with a body; each call makes a new transmission."""
        leaf = self.authority.leaf(certificate or self.certificate, self.resources.url)
        transmission = transmission_id or str(uuid.uuid1())
        when = to_time(at or self.state.now()) or ""
        return {
            "PAYPAL-TRANSMISSION-ID": transmission,
            "PAYPAL-TRANSMISSION-TIME": when,
            "PAYPAL-TRANSMISSION-SIG": leaf.sign(transmission, when, webhook_id, raw),
            "PAYPAL-CERT-URL": f"{self.resources.url}/v1/notifications/certs/{leaf.id}",
            "PAYPAL-AUTH-ALGO": "SHA256withRSA",
            "PAYPAL-AUTH-VERSION": "v2",
            "CORRELATION-ID": uuid.uuid4().hex[:13],
            "Content-Type": "application/json",
            "User-Agent": "PayPal/AUHR-214.0-59217459",
            "Accept": "*/*",
        }
