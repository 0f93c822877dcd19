class CannotStart(Exception):
    """What the person at the terminal has to change before a start can succeed."""
