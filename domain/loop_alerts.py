"""The alerts about background loops of a worker that fail repeatedly, with what each one means."""

from collections.abc import Mapping

from domain.alert_kinds import AlertKind
from domain.alert_meanings import Meaning, Severity, of_loop

LOOPS: Mapping[AlertKind, Meaning] = {
    AlertKind.RELAY_FAILED: of_loop("workflows are notified late", Severity.PAGE),
    AlertKind.FINDING_FAILED: of_loop("the owners of parked webhooks are not looked up"),
    AlertKind.EXPIRY_FAILED: of_loop("holds do not expire"),
    AlertKind.RECOVERY_FAILED: of_loop("debts are not collected from new money"),
    AlertKind.RECURRING_FAILED: of_loop("what subaccounts cost regularly is not read"),
    AlertKind.EMPTYING_FAILED: of_loop("empty wallets do not suspend where they should"),
    AlertKind.RESUME_FAILED: of_loop("parked campaigns resume late"),
    AlertKind.WATCH_FAILED: of_loop("alerts about campaigns are not raised or cleared"),
    AlertKind.SEALING_FAILED: of_loop("new ledger entries are not sealed"),
    AlertKind.CHECKING_FAILED: of_loop("refunds of failed messages are delayed"),
    AlertKind.READ_BACK_FAILED: of_loop(
        "a subaccount that somebody reactivates is suspended again after a quarter of an hour only"
    ),
    AlertKind.UNDECIDED_FAILED: of_loop("messages whose callbacks were lost are not looked up"),
    AlertKind.NOTIFYING_FAILED: of_loop("nobody is told of alerts"),
    AlertKind.MARK_FAILED: of_loop("nothing notices if the database is restored", Severity.PAGE),
    AlertKind.FAN_OUT_FAILED: of_loop("new events are not queued for webhook endpoints"),
    AlertKind.DELIVERY_FAILED: of_loop("events are not delivered to webhook endpoints"),
}
