"""What can go wrong for reasons that the caller can put right, and what a library says of it."""


def find_cause_line(exc: BaseException) -> str:
    """The line that says what happened: OpenVINO's comes after where it happened, torch's before what to try."""
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith(("Exception from", "Check '"))), type(exc).__name__)


class MlError(Exception):
    """The message says what was wrong, where, and what to do; commands print it and exit with status 1."""
