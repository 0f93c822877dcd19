"""The base of what can go wrong for reasons that the caller can put right."""


def last_line(exc: Exception) -> str:
    """What a library says at the end of a message of many lines: the cause."""
    return (str(exc).strip().splitlines() or [type(exc).__name__])[-1]


class MlError(Exception):
    """The message says what was wrong, where, and what to do; commands print it and exit with status 1."""
