"""Limits what Temporal's histories contain of an exception: its message, without secrets or full
phone numbers.
"""

from temporalio.api.failure.v1 import Failure
from temporalio.converter import DefaultFailureConverter, PayloadConverter

from domain.redaction import redact_text


class RedactingFailureConverter(DefaultFailureConverter):
    """Histories are kept for a long time, and more people see them than the database.

    An exception of a client or of the database, and its causes, may contain a URL or a row.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        redact(failure)


class EncodedFailureConverter(RedactingFailureConverter):
    """Moves messages, once they are redacted, to where a codec encrypts them.

    The parent calls it for each cause, too.
    """

    def to_failure(
        self, exception: BaseException, payload_converter: PayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        clear = {"message": failure.message, "stack_trace": failure.stack_trace}
        failure.encoded_attributes.CopyFrom(payload_converter.to_payloads([clear])[0])
        failure.message, failure.stack_trace = "Encoded failure", ""


def redact(failure: Failure) -> None:
    failure.message = redact_text(failure.message)
    failure.stack_trace = redact_text(failure.stack_trace)
    for payload in failure.application_failure_info.details.payloads:
        payload.data = redact_text(payload.data.decode(errors="replace")).encode()
    if failure.HasField("cause"):
        redact(failure.cause)
