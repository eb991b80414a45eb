"""Commands, as a setting writes them: words and quotes, and no shell."""

import shlex
import shutil
from typing import Annotated

from pydantic import AfterValidator


def _command(text: str) -> str:
    try:
        words = shlex.split(text)
    except ValueError:  # quotes that are not closed
        words = []
    if not words or shutil.which(words[0]) is None:
        raise ValueError("must begin with a program that can be run")
    return text


Command = Annotated[str, AfterValidator(_command)]
