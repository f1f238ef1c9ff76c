"""How a command ends when it is not done, and what shows on a terminal of what others wrote."""


class CommandFailed(Exception):
    """It could not be done: declined, not found, unreachable. Exit status 1."""


class Declined(CommandFailed):
    """The admin API said no, with a line for each thing that is wrong. `code` is its word for why."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class WrongUse(Exception):
    """It was not asked for in a way that can be done. Exit status 2."""


def printable(text: str) -> str:
    """The text with what would steer a terminal shown as its escape; line ends stay."""
    return "".join(
        each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text
    )
