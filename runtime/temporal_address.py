"""Which Temporal server the environment names, in the variables of Temporal's own tools."""

import os
from typing import TYPE_CHECKING

from runtime import formats
from runtime.settings import BadSettings

if TYPE_CHECKING:  # the import takes a tenth of a second, and few commands need Temporal
    from temporalio.envconfig import ClientConnectConfig


def temporal_connection() -> "ClientConnectConfig | None":
    """The configuration from TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and
    TEMPORAL_TLS_*; None without an address.

    The Temporal CLI's own configuration file is not read: a developer's default profile may be a
    production cluster.
    """
    from temporalio.envconfig import ClientConfig  # noqa: PLC0415 - as above

    try:
        config = ClientConfig.load_client_connect_config(disable_file=True)
    except (OSError, RuntimeError, ValueError) as problem:
        raise BadSettings(f"TEMPORAL_TLS_*: {problem}") from None
    if os.environ.get("TEMPORAL_TLS", "true").lower() not in {"", "true", "false", "1", "0"}:
        raise BadSettings("TEMPORAL_TLS: must be true or false")
    address = config.get("target_host")
    if not address:
        return None
    if not formats.is_address(address):
        raise BadSettings("TEMPORAL_ADDRESS: must be a host and a port, such as temporal:7233")
    _check_credentials(config)
    return config


def _check_credentials(config: "ClientConnectConfig") -> None:
    key, tls = config.get("api_key"), config.get("tls")
    if key is not None:
        try:
            formats.plain(key)
        except ValueError as problem:
            raise BadSettings(f"TEMPORAL_API_KEY: {problem}") from None
        if tls is False:
            raise BadSettings("TEMPORAL_API_KEY needs TLS, and TEMPORAL_TLS is false")
    if not isinstance(tls, bool | None) and bool(tls.client_cert) != bool(tls.client_private_key):
        raise BadSettings(
            "TEMPORAL_TLS_CLIENT_CERT_* and TEMPORAL_TLS_CLIENT_KEY_* must be set together"
        )
