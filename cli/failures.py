"""What ends a command in an expected way."""


class CommandFailed(Exception):
    """The command cannot be done; the message is for whoever typed it, and is all that is shown."""
