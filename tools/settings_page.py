"""The page of the settings, generated from their types, defaults and docstrings."""

import ast
import inspect
import textwrap
from datetime import timedelta

from pydantic.fields import FieldInfo

from runtime import billing, settings
from runtime.temporal_address import temporal_connection
from tools.tables import GENERATED, joined, table


def settings_page() -> str:
    parts = [
        "# The settings",
        GENERATED,
        (
            "All settings are environment variables; no file is read. An empty variable counts as "
            "missing."
        ),
        (
            "A process refuses to start when a variable that it needs is missing or wrong. One "
            "line names all of them."
        ),
        (
            "It also refuses unknown names that begin with `TOLLGATE_`, except those that Compose "
            "and Kubernetes set."
        ),
        "Addresses begin with `https://`; `http://` is allowed for this machine only.",
        "Live and test mode cannot be mixed: a live Stripe key with PayPal's sandbox is refused.",
    ]
    groups: list[type[settings.Group]] = [settings.Settings, *billing.REGISTRY, settings.Twilio]
    for group in groups:
        title = "Every process" if group is settings.Settings else group.__name__
        about = (inspect.getdoc(group) or "") if "__doc__" in vars(group) and group.__doc__ else ""
        prefix = str(group.model_config.get("env_prefix", ""))
        docs = _attribute_docs(group)
        rows = [
            (f"`{prefix}{name}`".upper(), _default(field), docs.get(name, ""))
            for name, field in group.model_fields.items()
        ]
        parts += [f"## {title}", about, table(("variable", "default", ""), rows)]
    parts += [
        "## Temporal",
        " ".join((inspect.getdoc(temporal_connection) or "").split()),
        (
            "`TEMPORAL_API_KEY` turns TLS on. For mutual TLS set `TEMPORAL_TLS_CLIENT_CERT_PATH` and "
            "`TEMPORAL_TLS_CLIENT_KEY_PATH`; `TEMPORAL_TLS_SERVER_CA_CERT_PATH` and "
            "`TEMPORAL_TLS_SERVER_NAME` are for a server with its own authority or another name. "
            "Instead of `..._PATH`, `..._DATA` takes the PEM itself."
        ),
        (
            "The API and the worker need `TEMPORAL_ADDRESS`. Without it, `demo` and `dev` start a "
            "server of their own."
        ),
    ]
    return joined(part for part in parts if part)


def _attribute_docs(group: type) -> dict[str, str]:
    """The strings below the attributes, which Python itself discards."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(group))).body
    assert isinstance(body, ast.ClassDef)
    comments: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(statement.target, ast.Name)
            assert isinstance(following.value, ast.Constant)
            comments[statement.target.id] = " ".join(str(following.value.value).split())
    return comments


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    if field.default_factory is not None:
        return "the installed version"
    match field.default:
        case None:
            return ""
        case timedelta() as span:
            return f"`{_iso(span)}`"
        case tuple() as several:
            return "<br>".join(f"`{value}`" for value in several)
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case value:
            return f"`{value}`"


def _iso(span: timedelta) -> str:
    """A duration in the form that the environment accepts (ISO 8601)."""
    for unit, seconds, prefix in (("D", 86400, "P"), ("H", 3600, "PT"), ("M", 60, "PT")):
        if span.total_seconds() % seconds == 0:
            return f"{prefix}{span // timedelta(seconds=seconds)}{unit}"
    return f"PT{span.total_seconds():g}S"
