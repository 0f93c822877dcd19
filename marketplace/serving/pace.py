"""How slow a client may be: seconds it is given, and bytes that earn it more of them.

One flat limit would either cut off honest phones on a bad network or let a byte a second go on for hours.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_CREDIT = 60.0


@dataclass(frozen=True)
class Stage:
    """What a connection waits for its client with: the seconds it begins with, and how many bytes earn another."""

    name: str
    seconds: float
    bytes_a_second: float = 0.0


# Longer than the 60 seconds for which nginx keeps a connection, so that it is the proxy that closes one first.
IDLE = Stage("idle", 75)
HEADER = Stage("header", 20)
BODY = Stage("body", 20, 1_000)
ANSWER = Stage("answer", 20, 1_000)
# A client that was refused may still send what it has begun, and would not read the refusal if it were cut off.
LINGERING = Stage("lingering", 10)


class Pace:
    """The seconds that the client of one connection has left, counted at every look."""

    def __init__(self, now: float) -> None:
        self.stage: Stage | None = None
        self.since = self._seen_at = now
        self.credit = 0.0
        self._subject: object = None
        self._done = 0

    def look(self, now: float, stage: Stage | None, subject: object, done: int) -> None:
        """`subject` is what the client works at, and `done` how many bytes of it have passed."""
        if stage is not self.stage or subject != self._subject:
            self.stage, self._subject, self.since = stage, subject, now
            self.credit = stage.seconds if stage else LONGEST_CREDIT
        elif stage:
            earned = (done - self._done) / stage.bytes_a_second if stage.bytes_a_second else 0.0
            most = max(stage.seconds, LONGEST_CREDIT)
            self.credit = min(most, self.credit + earned - (now - self._seen_at))
        self._seen_at, self._done = now, done

    @property
    def is_used_up(self) -> bool:
        return self.stage is not None and self.credit < 0

    @property
    def share_left(self) -> float:
        """Of the seconds at the beginning: who has least of it is the slowest."""
        return self.credit / self.stage.seconds if self.stage else LONGEST_CREDIT
