"""Finds variables that look like settings but are not read: a misspelled one would silently keep
its default.
"""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

OF_COMPOSE = ("TOLLGATE_API_PORT", "TOLLGATE_DB_PASSWORD")
"""docker-compose.yml reads these; no process of Tollgate does."""
OF_TEMPORAL = (
    "TEMPORAL_ADDRESS",
    "TEMPORAL_NAMESPACE",
    "TEMPORAL_API_KEY",
    "TEMPORAL_TLS",
    "TEMPORAL_TLS_CLIENT_CERT_PATH",
    "TEMPORAL_TLS_CLIENT_CERT_DATA",
    "TEMPORAL_TLS_CLIENT_KEY_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_DATA",
    "TEMPORAL_TLS_SERVER_CA_CERT_PATH",
    "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
    "TEMPORAL_TLS_SERVER_NAME",
    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
)
FORMER = ("TOLLGATE_SELF_CHECK_INTERVAL",)
"""Settings of earlier builds, ignored: during a deployment one environment serves two builds."""
_PREFIX = "TOLLGATE_"
_NEARLY_THE_SAME = 0.9
_OF_KUBERNETES = re.compile(
    r"TOLLGATE_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)=.*"
    r"|TOLLGATE_(\w+_)?PORT=\w+://.*"
)
"""Variables that Kubernetes sets in each container for a Service named `tollgate` or
`tollgate-...`.
"""


def unknown(environment: Mapping[str, str], variable_names: Collection[str]) -> tuple[str, ...]:
    """A problem for each of our variables that nothing reads, and for each name that is similar to
    a setting's.

    Other programs' TEMPORAL_... variables are ignored. An empty variable counts as unset.
    """
    names = {name.upper(): value for name, value in environment.items() if value}
    read = {*variable_names, *OF_COMPOSE, *OF_TEMPORAL, *FORMER}
    problems = []
    for name in sorted(names.keys() - read):
        if name.startswith(_PREFIX):
            if not _OF_KUBERNETES.fullmatch(f"{name}={names[name]}"):
                problems.append(_problem(name, get_close_matches(name, variable_names, n=1)))
        elif name.startswith("T") and (
            near := get_close_matches(name, read, n=1, cutoff=_NEARLY_THE_SAME)
        ):
            problems.append(_problem(name, near))
    return tuple(problems)


def _problem(name: str, near: list[str]) -> str:
    return f"{name} is not a setting{f': did you mean {near[0]}?' if near else ''}"
