"""Delivers signed events to the registered URLs, with retries until a 2xx; or as requested."""

import asyncio
import random
import time
from collections.abc import Collection, Iterable, Mapping
from itertools import count
from typing import Any

from simulators.delivery_faults import DeliveryFault, DeliveryFaults
from simulators.delivery_faults import Kind as FaultKind
from simulators.posting import Poster
from simulators.transmissions import Delivery, Event, Schedule, Webhook


class Deliveries:
    """The common part of all providers' webhooks; a provider's subclass signs them."""

    def __init__(self, *, limit: int = 50) -> None:
        self.webhooks: dict[str, Webhook] = {}
        self.schedule = Schedule()
        self.faults = DeliveryFaults("event_type")
        self.all: dict[int, Delivery] = {}
        self.holding = False
        self._limit = limit
        self._poster: Poster | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._overtaken: list[Delivery] = []
        self._numbers = count(1)

    def start(self) -> None:
        self._poster = Poster(limit=self._limit)

    async def stop(self) -> None:
        self.cancel_pending()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._poster is not None:
            await self._poster.close()

    def cancel_pending(self) -> None:
        for task in self._tasks:
            task.cancel()

    def register(
        self, url: str, event_types: Iterable[str] = ("*",), webhook_id: str | None = None
    ) -> Webhook:
        webhook = Webhook(webhook_id or self.new_webhook_id(), url, tuple(event_types))
        self.webhooks[webhook.id] = webhook
        return webhook

    def signed_headers(self, raw: bytes, webhook_id: str, /) -> dict[str, str]:
        """The headers that the provider sends with a body; each call makes a new transmission."""
        raise NotImplementedError

    def new_webhook_id(self) -> str:
        raise NotImplementedError

    def deliver(
        self,
        events: Iterable[Event],
        *,
        headers: Mapping[str, str] | None = None,
        only: Collection[str] | None = None,
    ) -> list[Delivery]:
        """Start delivering each event to every subscribed URL (or to the webhooks `only`); returns
        at once.
        """
        return [
            self._start(event, webhook, headers or {})
            for event in events
            for webhook in self.webhooks.values()
            if (webhook.wants(event.type) if only is None else webhook.id in only)
        ]

    def deliver_in_order(self, events: Iterable[Event]) -> list[Delivery]:
        """Post each event once before the next one, whatever faults are active."""
        ordered = [
            self._new(event, webhook, {})
            for event in events
            for webhook in self.webhooks.values()
            if webhook.wants(event.type)
        ]
        self._spawn(self._one_by_one(ordered))
        return ordered

    def reset(self) -> None:
        """Reset deliveries, faults and settings; the registered webhooks stay."""
        self.cancel_pending()
        self.all.clear()
        self.faults.clear()
        self._overtaken.clear()
        self.holding = False
        self.schedule = Schedule()

    def release(self, order: str | list[str] = "fifo", *, seed: int = 0) -> list[Delivery]:
        """Send the held deliveries: fifo, reverse, shuffle, or in the order of the given event ids;
        stop holding.
        """
        self.holding = False
        waiting = [each for each in self.all.values() if each.status == "held"]
        if isinstance(order, list):
            waiting = sorted(
                (each for each in waiting if each.event.id in order),
                key=lambda each: order.index(each.event.id),
            )
        elif order == "reverse":
            waiting.reverse()
        elif order == "shuffle":
            random.Random(seed).shuffle(waiting)  # noqa: S311 - chance, not a secret
        for delivery in waiting:
            delivery.status = "pending"
        self._spawn(self._one_by_one(waiting))
        return waiting

    def _start(self, event: Event, webhook: Webhook, override: Mapping[str, str]) -> Delivery:
        delivery = self._new(event, webhook, override)
        if self.holding:
            delivery.status = "held"
            return delivery
        fault = self.faults.strike(event.type)
        if fault is None:
            self._spawn(self._until_taken(delivery))
            for waiting in tuple(self._overtaken):
                self._overtake(waiting, after=0.05)
        else:
            self._go_wrong(fault, delivery)
        return delivery

    def _new(self, event: Event, webhook: Webhook, override: Mapping[str, str]) -> Delivery:
        headers = self.signed_headers(event.raw, webhook.id)
        replaced = {name.lower() for name in override}
        headers = {
            name: value for name, value in headers.items() if name.lower() not in replaced
        } | dict(override)
        delivery = Delivery(id=next(self._numbers), event=event, webhook=webhook, headers=headers)
        self.all[delivery.id] = delivery
        return delivery

    def _go_wrong(self, fault: DeliveryFault, delivery: Delivery) -> None:
        match fault.kind:
            case FaultKind.LOST:
                delivery.status = "lost"
            case FaultKind.DUPLICATE:
                for _ in range(fault.copies):
                    self._spawn(self._until_taken(delivery))
            case FaultKind.DELAYED:
                self._spawn(self._until_taken(delivery, fault.seconds))
            case FaultKind.REORDERED:
                self._overtaken.append(delivery)
                asyncio.get_running_loop().call_later(fault.seconds, self._overtake, delivery, 0.0)

    def _overtake(self, delivery: Delivery, after: float) -> None:
        if delivery in self._overtaken:
            self._overtaken.remove(delivery)
            self._spawn(self._until_taken(delivery, after))

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _one_by_one(self, deliveries: list[Delivery]) -> None:
        """Post in this order, each once before the next one; refused ones are retried concurrently."""
        for delivery in deliveries:
            if not await self._attempt(delivery):
                self._spawn(self._until_taken(delivery, self.schedule.first))

    async def _until_taken(self, delivery: Delivery, wait: float = 0.0) -> None:
        pause = self.schedule.first
        if wait:
            await asyncio.sleep(wait)
        while not await self._attempt(delivery) and delivery.status != "failed":
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.schedule.longest)

    async def _attempt(self, delivery: Delivery) -> bool:
        assert self._poster is not None
        self._poster.timeout = self.schedule.timeout
        if delivery.attempts and self.schedule.new_transmission_per_retry:
            delivery.headers = self.signed_headers(delivery.event.raw, delivery.webhook.id)
        started = time.time()
        posted = await self._poster.post(delivery.webhook.url, delivery.event.raw, delivery.headers)
        delivery.attempts.append(
            {
                "status_code": posted.status,
                "seconds": posted.seconds,
                "error": posted.error,
                "at": started,
            }
        )
        if posted.ok:
            delivery.status = "delivered"
        elif len(delivery.attempts) >= self.schedule.tries and delivery.status == "pending":
            delivery.status = "failed"
        return posted.ok
