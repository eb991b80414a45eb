"""How a command ends: its exit status, and what is said where it was not done."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Status(IntEnum):
    DONE = 0
    NO = 1
    MISUSED = 2
    UNAVAILABLE = 69
    MISTAKE = 70
    INTERRUPTED = 130
    READER_LEFT = 141


MEANINGS: Mapping[Status, str] = MappingProxyType(
    {
        Status.DONE: "Done; what was asked about holds.",
        Status.NO: "The answer is no: a guarantee is broken, there is no such thing, a cohort is paused.",
        Status.MISUSED: "An option, an argument or a setting is wrong, or the schema is of another build.",
        Status.UNAVAILABLE: "A server does not answer. Try again.",
        Status.MISTAKE: "A mistake of Tollgate's, with a traceback.",
        Status.INTERRUPTED: "Interrupted by Ctrl-C.",
        Status.READER_LEFT: "Whoever read the output, such as `head`, left before its end.",
    }
)


class CommandFailed(Exception):
    """The command cannot be done; the message is for whoever typed it, and is all that is shown."""

    status = Status.NO


class Misused(CommandFailed):
    """What was typed does not fit together, or asks for what is not there."""

    status = Status.MISUSED
