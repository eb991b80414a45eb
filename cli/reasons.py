"""Who acts at the command line, and why."""

import getpass

import typer
from pydantic import ValidationError

from api.http.fields import ReasonRequest


def user() -> str:
    """The name of the user at the terminal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"


def checked(reason: str) -> str:
    """The reason, as the API accepts it."""
    try:
        return ReasonRequest(reason=reason).reason
    except ValidationError as problem:
        raise typer.BadParameter(problem.errors()[0]["msg"], param_hint="--reason") from None
