"""Time limits that do not charge a program for time in which its judge was not running."""

import time

STALL_SECONDS = 1.0


class Stopwatch:
    """Wall time since the start, less the stalls; `remaining` must be asked far more often than STALL_SECONDS.

    A stall is a gap of over STALL_SECONDS between two questions: the process was stopped (a scheduler that suspends
    jobs, a person with Ctrl-Z) or starved, and so was the program.
    """

    def __init__(self, limit_seconds: float) -> None:
        self._limit = limit_seconds
        self._started = self._asked = time.monotonic()
        self._stalled = 0.0

    def elapsed(self) -> float:
        """Seconds since the start in which this process ran."""
        now = time.monotonic()
        if now - self._asked > STALL_SECONDS:
            self._stalled += now - self._asked
        self._asked = now
        return now - self._started - self._stalled

    def remaining(self) -> float:
        """Seconds left of the limit; negative when it is over."""
        return self._limit - self.elapsed()
