"""Why Twilio did not do what it was asked to."""

from domain.campaigns import delivery_failure
from domain.campaigns.telephony import Account, AccountStatus, Refused
from providers.errors import AlreadyTerminal, ProviderRefused, ProviderUnavailable
from providers.twilio import reading

WRONG_CREDENTIALS = frozenset({"20003", "401"})
_PARENT_SUSPENDED = "21476"
_SUSPENDED_BY_TWILIO = "21478"
_CLOSED = "21479"


def why_not(account: Account, want: AccountStatus, refusal: ProviderRefused | None) -> Exception:
    if account.status is AccountStatus.CLOSED or (refusal is not None and refusal.code == _CLOSED):
        return AlreadyTerminal("the subaccount is closed", code=_CLOSED)
    if refusal is None:
        return ProviderUnavailable(
            f"Twilio was asked to set {want.value}, but still reports {account.status.value}"
        )
    if refusal.code == _SUSPENDED_BY_TWILIO:
        return AlreadyTerminal(
            "Twilio itself suspended the subaccount", code=refusal.code, reference=refusal.reference
        )
    if refusal.code == _PARENT_SUSPENDED or delivery_failure.suspended(
        reading.number(refusal.code)
    ):
        # until its bill is paid
        return ProviderUnavailable("Twilio suspended the parent account", code=refusal.code)
    return refusal


def refused(refusal: ProviderRefused) -> Refused:
    if refusal.code in WRONG_CREDENTIALS:
        raise refusal
    code = reading.number(refusal.code) or 0
    return Refused(
        code=code, message=str(refusal), account_suspended=delivery_failure.suspended(code)
    )
