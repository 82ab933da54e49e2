"""The one exception that the command line turns into a single line and exit code 2."""


class BadInput(Exception):
    """Input that cannot be used. The message is one line: what is wrong, where, and what would be right."""
