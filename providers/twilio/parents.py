"""The parent accounts: which one owns a subaccount, and the encryption of subaccounts' tokens.

Twilio lets a parent have 1,000 subaccounts by default ("View and create new Twilio Subaccounts",
its support article on the limit); whoever needs more has several parents, or has it raised.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ParentOf = Callable[[str], Awaitable[str | None]]
_MOST = 200_000
_KEY_BYTES = 64


class Parents:
    """`tokens` are those of the configured parents, by sid. `recorded` says which one the database
    has for a subaccount; it is only asked if there are several, once for each subaccount.
    """

    def __init__(self, tokens: Mapping[str, str], recorded: ParentOf | None) -> None:
        self.sids = tuple(tokens)
        self._ciphers = {sid: _cipher(token) for sid, token in tokens.items()}
        self._recorded = recorded
        self._known: OrderedDict[str, str] = OrderedDict()

    async def of(self, account_sid: str) -> str | None:
        """The parent of a subaccount; None: only Twilio can say."""
        if len(self.sids) == 1:
            return self.sids[0]
        known = self._known.get(account_sid)
        if known is None and self._recorded is not None:
            known = await self._recorded(account_sid)
            if known is not None:
                self.note(account_sid, known)
        return known if known in self.sids else None

    def note(self, account_sid: str, parent_sid: str) -> None:
        """Twilio says so."""
        self._known[account_sid] = parent_sid
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def encrypted(self, account_sid: str, parent_sid: str | None, token: str) -> bytes | None:
        """The same for the same token, so that a change can be seen. None if the parent is none of
        ours.
        """
        cipher = self._ciphers.get(parent_sid or "")
        return None if cipher is None else cipher.encrypt(token.encode(), [account_sid.encode()])

    def decrypted(self, account_sid: str, encrypted: bytes) -> str | None:
        """None if no parent's present token opens it: it was stored before a change of that token,
        or for another subaccount.
        """
        for cipher in self._ciphers.values():
            try:
                return cipher.decrypt(encrypted, [account_sid.encode()]).decode()
            except InvalidTag:
                continue
        return None


def _cipher(parent_token: str) -> AESSIV:
    """Whoever has the parent's token can read its subaccounts' tokens at Twilio anyway."""
    derived = HKDF(
        algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=b"tollgate subaccount tokens"
    )
    return AESSIV(derived.derive(parent_token.encode()))
