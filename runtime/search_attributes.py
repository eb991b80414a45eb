"""The search attributes that workflows are started with: which the namespace lacks, and adding
them.
"""

from collections.abc import Sequence

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.workflow_contracts import ORGANIZATION_ID, STANDING, STUCK
from runtime.client import RPC_TIMEOUT
from runtime.settings import BadSettings
from runtime.temporal_refusals import is_refusal

log = structlog.get_logger()
SEARCH_ATTRIBUTES = {ORGANIZATION_ID.name: "Keyword", STANDING.name: "Keyword", STUCK.name: "Bool"}
_TYPES = {
    number: name.removeprefix("INDEXED_VALUE_TYPE_").title().replace("_", "")
    for name, number in IndexedValueType.items()
}
"""The types' names, as the CLI writes them."""
_EXAMPLES = {"Keyword": "'-'", "Bool": "true"}


async def register(client: Client) -> None:
    """Add the SEARCH_ATTRIBUTES that the namespace lacks; the dev server gets them at its start.

    Raises BadSettings, with the commands for an operator, if the namespace lacks some and Temporal
    refuses to add them, or has some as another type: it would refuse to start every workflow.
    """
    await _check_types(client)
    try:
        lacking = await missing(client)
    except RPCError as problem:
        if not is_refusal(problem):
            raise
        log.warning(
            "search_attributes_not_checked",
            detail=f"{problem.message}; if they are missing: {remedy(client.namespace)}",
        )
        return
    if lacking:
        await _add(client, lacking)


async def missing(client: Client) -> list[str]:
    """The names that a query of the namespace does not know.

    Asks as a reader of workflows may; the list of search attributes is for operators only.
    """
    return [name for name in SEARCH_ATTRIBUTES if not await _is_known(client, name)]


def remedy(namespace: str, names: Sequence[str] = tuple(SEARCH_ATTRIBUTES)) -> str:
    """The commands with which an operator adds search attributes.

    One for each: of several names the Temporal CLI adds only the first (1.8.2).
    """
    commands = [
        f"temporal operator search-attribute create --namespace {namespace} --name {name} "
        f"--type {SEARCH_ATTRIBUTES[name]}"
        for name in names
    ]
    at_cloud = " ".join(f"--search-attribute {name}={SEARCH_ATTRIBUTES[name]}" for name in names)
    return (
        f"`{' && '.join(commands)}`, at Temporal Cloud "
        f"`tcld namespace search-attributes add --namespace {namespace} {at_cloud}`"
    )


async def _check_types(client: Client) -> None:
    """Only operators may list types; for others, a query of a wrong type fails as if it was
    missing.
    """
    request = ListSearchAttributesRequest(namespace=client.namespace)
    try:
        listed = await client.operator_service.list_search_attributes(request, timeout=RPC_TIMEOUT)
    except RPCError as problem:
        if not is_refusal(problem):
            raise
        return
    wrong = {
        name: _TYPES.get(number, "another type")
        for name, number in listed.custom_attributes.items()
        if name in SEARCH_ATTRIBUTES
        and _TYPES.get(number, "another type") != SEARCH_ATTRIBUTES[name]
    }
    if wrong:
        removals = " && ".join(
            f"temporal operator search-attribute remove --yes --namespace {client.namespace} "
            f"--name {name}"
            for name in wrong
        )
        raise BadSettings(
            f"TEMPORAL_NAMESPACE: {client.namespace} has the search attributes "
            f"{', '.join(f'{name} as {type_}' for name, type_ in wrong.items())}, and needs "
            f"{', '.join(f'{name} as {SEARCH_ATTRIBUTES[name]}' for name in wrong)}: `{removals}`, "
            f"then {remedy(client.namespace, tuple(wrong))}"
        )


async def _is_known(client: Client, name: str) -> bool:
    query = f"{name} = {_EXAMPLES[SEARCH_ATTRIBUTES[name]]}"
    try:
        await client.count_workflows(query, rpc_timeout=RPC_TIMEOUT)
    except RPCError as problem:
        if problem.status is RPCStatusCode.INVALID_ARGUMENT:
            return False
        raise
    return True


async def _add(client: Client, names: list[str]) -> None:
    types = {
        name: IndexedValueType.Value(f"INDEXED_VALUE_TYPE_{SEARCH_ATTRIBUTES[name].upper()}")
        for name in names
    }
    request = AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    try:
        await client.operator_service.add_search_attributes(request, timeout=RPC_TIMEOUT)
    except RPCError as problem:
        if problem.status is RPCStatusCode.ALREADY_EXISTS:
            return  # another process added them; queries know them soon
        if is_refusal(problem) or problem.status is RPCStatusCode.INVALID_ARGUMENT:
            raise BadSettings(
                f"TEMPORAL_NAMESPACE: {client.namespace} lacks the search attributes "
                f"{', '.join(names)} (or has them as other types), and Temporal refuses to add "
                f"them ({problem.message}): {remedy(client.namespace, names)}"
            ) from problem
        raise
