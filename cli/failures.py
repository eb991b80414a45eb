"""How a command ends: its exit status, and the message of a command that failed."""

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
        Status.DONE: "Success; whatever was checked holds.",
        Status.NO: "Negative result: a guarantee is broken, an object does not exist, a cohort is paused.",
        Status.MISUSED: "An option, an argument or a setting is wrong, or the schema does not suit this build.",
        Status.UNAVAILABLE: "A server does not answer. Try again.",
        Status.MISTAKE: "An error in Tollgate, with a traceback.",
        Status.INTERRUPTED: "Interrupted by Ctrl-C.",
        Status.READER_LEFT: "The reader of the output, such as `head`, closed it early.",
    }
)


class CommandFailed(Exception):
    """The command cannot be carried out; the message is written for the user and shown alone."""

    status = Status.NO


class Misused(CommandFailed):
    """The arguments contradict each other, or name something that does not exist."""

    status = Status.MISUSED
