"""The errors of provider calls.

* ProviderError
  - ProviderUnavailable     try again: timeout, 429, 5xx, connection refused (it may still have happened)
  - ProviderRefused         never again: our request or our credentials are wrong
    - NotFound              the object does not exist there
    - NotAccepted           a value from our caller (a plan, a currency, an address) is not accepted there
    - WrongState            the state of the object does not allow it; nothing was done
      - AlreadyTerminal     and it never will (a closed account, a canceled subscription)
* WebhookError
  - InvalidSignature        forged or damaged: answer 400
    - NotMeantForUs         genuinely signed, and still not for us, or at another time: a setting or a clock is wrong
  - VerificationUnavailable cannot be checked now (certificate or key service down): answer 503

A declined payment, a refused message and "already so" are none of these: they are answers.
"""


class ProviderError(Exception):
    """`code` is the provider's own error name or number, `reference` its debug or request id, for
    support.
    """

    def __init__(self, message: str, *, code: str = "", reference: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reference = reference


class ProviderUnavailable(ProviderError):
    """`retry_after` is in seconds, if the provider gave it."""

    def __init__(
        self, message: str, *, code: str = "", reference: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, code=code, reference=reference)
        self.retry_after = retry_after


class ProviderRefused(ProviderError):
    pass


class NotFound(ProviderRefused):
    pass


class NotAccepted(ProviderRefused):
    pass


class WrongState(ProviderRefused):
    pass


class AlreadyTerminal(WrongState):
    pass


class WebhookError(Exception):
    pass


class InvalidSignature(WebhookError):
    pass


class NotMeantForUs(InvalidSignature):
    pass


class VerificationUnavailable(WebhookError):
    pass
