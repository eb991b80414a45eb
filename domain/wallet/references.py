"""What Tollgate calls its own ledger entries. The host application's references may not look like
them.

`certify` asks of each such entry where the message, the payment or the reversal is that it was
booked for.
"""

import re

from domain.billing.events import MoneyObject
from domain.billing.subscription import Provider

_PROVIDER = f"({'|'.join(Provider)})"
MESSAGE = "message:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[1-9][0-9]{0,8}"
"""The debit of one attempt: the message's id and the attempt's number."""
REFUND = f"refund:{MESSAGE}"
CHARGE = f"charge:{MESSAGE}"
"""The debit of what was sent although it was refunded."""
TOPUP = f"{_PROVIDER}:({'|'.join(MoneyObject)}):.+"
"""The credit of a payment: the provider's kind of object and its id."""
RETURNED = f"returned:{_PROVIDER}:.+"
"""The credit of what a reversal had taken, by the reversal's id."""
TAKEN_BACK = f"(reversal|recovery):{_PROVIDER}:.+"
_OURS = re.compile(f"{MESSAGE}|{REFUND}|{CHARGE}|{TOPUP}|{RETURNED}|{TAKEN_BACK}")
RESERVED = "Tollgate's own entries have such references"


def is_ours(reference_id: str) -> bool:
    return _OURS.fullmatch(reference_id) is not None
