"""Sends one event to one endpoint: signs it, posts it, and says what came of it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from db.outbound.endpoints import Secret
from db.outbound.queues import Attempt, Head
from domain.outbound.payloads import payload
from domain.plain_text import visible
from providers.outbound import signatures
from providers.outbound.client import Answer, Outbound
from runtime.stored_secrets import SecretUnreadable, StoredSecrets

UNSIGNED = "its signing secret cannot be read here: TOLLGATE_SECRET_KEYS lacks its key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    attempt: Attempt
    answer: Answer


class Sender:
    def __init__(self, outbound: Outbound, secrets: StoredSecrets) -> None:
        self._outbound = outbound
        self._secrets = secrets

    async def send(self, head: Head, url: str, secrets: Iterable[Secret], *, now: datetime) -> Sent:
        """Post an event. `now` is by the database's clock, which all workers share."""
        began = time.monotonic()
        body = payload(head.event_id, head.type, head.occurred_at, head.about, head.data)
        answer = await self.post(head.event_id, body, url, secrets, now=now)
        at = now + timedelta(seconds=time.monotonic() - began - answer.seconds)
        return Sent(attempt=_attempt(head, answer, at=at), answer=answer)

    async def post(
        self, event_id: str, body: bytes, url: str, secrets: Iterable[Secret], *, now: datetime
    ) -> Answer:
        """Sign a body with each of the secrets, and post it."""
        try:
            keys = [
                (secret.scheme.value, self._secrets.decrypted(secret.encrypted, secret.endpoint_id))
                for secret in secrets
            ]
        except SecretUnreadable:
            return Answer(status=None, seconds=0.0, reason=UNSIGNED)
        headers = signatures.headers(event_id, int(now.timestamp()), body, keys)
        return await self._outbound.post(url, body, {"content-type": "application/json", **headers})


def _attempt(head: Head, answer: Answer, *, at: datetime) -> Attempt:
    return Attempt(
        endpoint_id=head.endpoint_id,
        position=head.position,
        event_id=head.event_id,
        at=at,
        status=answer.status,
        latency_ms=round(answer.seconds * 1000),
        answer=legible(answer.beginning),
        reason=reason(answer),
    )


def reason(answer: Answer) -> str:
    """Why an attempt failed, or what was not read of its answer."""
    if answer.reason or answer.ok or answer.status is None:
        return answer.reason
    if 300 <= answer.status < 400:
        return f"it answered {answer.status}, and redirects are not followed"
    return f"it answered {answer.status}"


def legible(beginning: bytes) -> str:
    """What can be stored and shown of an answer."""
    return visible(beginning.decode(errors="replace"))
