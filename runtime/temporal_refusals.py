"""What a cluster with authorization, such as Temporal Cloud, refuses to Tollgate and Tollgate can
work without.
"""

from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

log = structlog.get_logger()
REFUSED = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED})


def is_refusal(problem: Exception) -> bool:
    """Whether Temporal answered that this call is not for us; repeating it changes nothing."""
    return isinstance(problem, RPCError) and problem.status in REFUSED


async def serves(client: Client, within: timedelta) -> bool:
    """Whether Temporal serves. A server that answers, but does not tell its health, serves.

    Raises RPCError, or RuntimeError from a lazy client, if it does not answer.
    """
    try:
        return await client.service_client.check_health(timeout=within)
    except RPCError as problem:
        if is_refusal(problem):
            return True
        raise
