"""The base of what can go wrong for reasons that the caller can put right."""


class MlError(Exception):
    """The message says what was wrong, where, and what to do; commands print it and exit with status 1."""
