"""Every 15 minutes: compares the providers' lists of events with the received deliveries."""

from collections.abc import Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.inbox.event_backfill import EventBackfill, Settled, Tally
    from activities.workflow_contracts import RECONCILE_EVENTS, reconciliation_queue
    from workflows import options


MOST_ROUNDS = 12
"""About an hour; the next run handles the rest."""
_HEADING = (
    "| provider | listed | missed | duplicates | out of order | problem |",
    "| --- | --- | --- | --- | --- | --- |",
)


@workflow.defn(name=RECONCILE_EVENTS)
class ReconcileEvents:
    """Processes missed events and reports the figures; decides nothing."""

    @workflow.run
    async def run(self, start: Settled) -> list[Tally]:
        found: dict[str, Tally] = {}
        for _ in range(MOST_ROUNDS):
            tallies: list[Tally] = await workflow.execute_activity_method(
                EventBackfill.take_in_missed_events,
                start,
                task_queue=reconciliation_queue(workflow.info().task_queue),
                start_to_close_timeout=options.BATCH,
                heartbeat_timeout=options.HEARTBEAT,
                retry_policy=options.SOON,
                summary="list, compare, process",
            )
            for tally in tallies:
                found[tally.provider] = (
                    found[tally.provider].followed_by(tally) if tally.provider in found else tally
                )
            workflow.set_current_details(_in_words(list(found.values())))
            if not any(tally.behind for tally in tallies):
                break
        return list(found.values())


def _in_words(found: Sequence[Tally]) -> str:
    rows = [
        f"| {tally.provider} | {tally.listed} | {tally.missed} | {tally.duplicates} |"
        f" {tally.out_of_order} | {tally.problem} |"
        for tally in found
    ]
    return "\n".join([*_HEADING, *rows])
