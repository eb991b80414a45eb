"""The senders: numbers, short codes and alphanumeric ids of an account, messaging services, and the
recipients that they can reach.

Every account owns the numbers +1 555 000 xxxx, which do not exist in reality, so that a test need
not buy one. Other senders are added, removed, or made unable to send with
`/_sim/accounts/{sid}/senders`. Sources: Twilio's pages of errors 21212, 21408, 21612, 21659, 21660,
21661, 21701 and 21704, and "Permitted Sender ID characters".
"""

import re
from collections.abc import Mapping

from simulators.twilio.state import Account

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_SHORT_CODE = re.compile(r"[0-9]{3,6}", re.ASCII)
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[ -9;-~]{1,11}", re.ASCII)
_EVERYBODYS = re.compile(r"\+1555000[0-9]{4}", re.ASCII)
TEST_NUMBER = "+15005550006"
"""The only number that Twilio's test credentials may send from."""


def refusal(
    accounts: Mapping[str, Account],
    account: Account,
    to: str,
    sender: str | None,
    service: str | None,
) -> int | None:
    """The code with which Twilio refuses the sender, alone or for this recipient; None: it may
    send.
    """
    if account.refuse_code is not None:
        return account.refuse_code
    if any(to.startswith(prefix) for prefix in account.regions_off):
        return 21408
    if service is not None:
        return _of_service(account, service)
    assert sender is not None
    if _NUMBER.fullmatch(sender):
        return _of_number(accounts, account, sender)
    if _SHORT_CODE.fullmatch(sender):
        return None if account.senders.get(sender) else 21659
    if _ALPHANUMERIC.fullmatch(sender):
        return 21612 if to.startswith("+1") else None  # not supported in North America
    return 21212


def _of_service(account: Account, service: str) -> int | None:
    pool = account.services.get(service)
    if pool is None:
        return 21701
    return None if pool else 21704


def _of_number(accounts: Mapping[str, Account], account: Account, sender: str) -> int | None:
    able = account.senders.get(sender)
    if able is not None:
        return None if able else 21661
    if sender in account.released:
        return 21659
    if _EVERYBODYS.fullmatch(sender) or sender == TEST_NUMBER:
        return None
    return 21660 if any(sender in other.senders for other in accounts.values()) else 21659
