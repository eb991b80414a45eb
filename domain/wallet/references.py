"""The references of Tollgate's own ledger entries. The host application may not use references of
these forms.

`certify` checks that the message, payment, reversal or charge of each such entry exists.
"""

import re

from domain.billing.events import MoneyObject
from domain.billing.subscription import Provider

_PROVIDER = f"({'|'.join(Provider)})"
MESSAGE = "message:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}:[1-9][0-9]{0,8}"
"""The debit of one attempt: the message's id and the number of the attempt."""
REFUND = f"refund:{MESSAGE}"
CHARGE = f"charge:{MESSAGE}"
"""The debit for a message that was sent although it was refunded."""
GOODWILL = f"goodwill:{MESSAGE}"
"""The credit by which an operator gave the price of a sent message back."""
BULK = "bulk:.+"
"""The credit of one organization in an act over many."""
TOPUP = f"{_PROVIDER}:({'|'.join(MoneyObject)}):.+"
"""The credit of a payment: the provider's object kind and its id."""
RETURNED = f"returned:{_PROVIDER}:.+"
"""The credit that returns what a reversal took, by the reversal's id."""
SEGMENTS = "segments:.+"
"""The credit for messages of which Twilio counted fewer segments than were paid for."""
CARRIER = "carrier(-refund)?:.+"
"""The charge for what Twilio billed, and what is returned of charges."""
TAKEN_BACK = f"reversal:{_PROVIDER}:.+"
RECOVERED = f"recovery:({'|'.join(Provider)}|carrier):.+"
_OURS = re.compile(
    f"{MESSAGE}|{REFUND}|{CHARGE}|{GOODWILL}|{BULK}|{TOPUP}|{RETURNED}|{SEGMENTS}|{CARRIER}|{TAKEN_BACK}|{RECOVERED}"
)
RESERVED = "Tollgate's own entries have such references"


def is_ours(reference_id: str) -> bool:
    return _OURS.fullmatch(reference_id) is not None
