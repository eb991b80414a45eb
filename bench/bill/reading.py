"""The contract between the benchmark and the worker that reads the bill in simulated time."""

from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

HEARTBEAT = timedelta(seconds=3)
READ, MAKE_TRIGGERS = "bench_read_bill", "bench_make_triggers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """`now` is Twilio's time, ISO 8601; `accounts` is how many subaccounts the policy assumes."""

    now: str
    accounts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Of usage: subaccounts and requests; and foreign messages that were new."""

    readings: int = 0
    calls: int = 0
    found: int = 0
    attempt: int = 1


@workflow.defn(name="BenchBill")
class ReadBill:
    """One reading of everything that is due. A worker that dies is replaced by another one."""

    @workflow.run
    async def run(self, at: Moment) -> Read:
        read: Read = await workflow.execute_activity(
            READ,
            at,
            result_type=Read,
            start_to_close_timeout=timedelta(minutes=10),
            heartbeat_timeout=HEARTBEAT,
            retry_policy=RetryPolicy(
                initial_interval=timedelta(milliseconds=200),
                maximum_interval=timedelta(seconds=2),
            ),
        )
        return read


@workflow.defn(name="BenchMakeTriggers")
class MakeTriggers:
    """Usage triggers as the reconciliation makes them, of these organizations."""

    @workflow.run
    async def run(self, organization_ids: list[str]) -> None:
        await workflow.execute_activity(
            MAKE_TRIGGERS, organization_ids, start_to_close_timeout=timedelta(minutes=5)
        )
