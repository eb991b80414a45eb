"""What enters Temporal's histories of an exception: its message, without secrets or whole phone
numbers.
"""

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter

from domain.redaction import redact_text


class RedactingFailureConverter(DefaultFailureConverter):
    """Histories are kept for long, and are shown to more people than the database is.

    An exception of a client or of the database may hold the URL or the row that it was about; so
    may its causes.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        redact(failure)


def redact(failure: Failure) -> None:
    failure.message = redact_text(failure.message)
    failure.stack_trace = redact_text(failure.stack_trace)
    for payload in failure.application_failure_info.details.payloads:
        payload.data = redact_text(payload.data.decode(errors="replace")).encode()
    if failure.HasField("cause"):
        redact(failure.cause)
