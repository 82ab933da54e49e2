"""What `evaluate` shows while it draws: answers as they end, inside a batch too, with the time left."""

import io

import pytest

from repro.verbs import evaluate
from repro.verbs.evaluate import Ticker


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

    monkeypatch.setattr(evaluate.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_log_gets_a_line_at_once_every_half_minute_and_at_the_end(clock):
    stream = io.StringIO()
    show = Ticker(stream)
    show("MATH500", 0, 40, 0)
    for second in range(1, 61):
        clock.now += 1
        show("MATH500", second / 6, 40, 100 * second)
    show("MATH500", 40, 40, 6000)
    assert stream.getvalue().splitlines() == [
        "MATH500: 0 of 40 answers",
        "MATH500: 5 of 40 answers, 100 tokens/s, 4 min left",
        "MATH500: 10 of 40 answers, 100 tokens/s, 3 min left",
        "MATH500: 40 of 40 answers, 100 tokens/s",
    ]


def test_a_terminal_is_renewed_at_most_five_times_a_second_and_ends_its_line(clock):
    stream = Terminal()
    show = Ticker(stream)
    for step in range(100):  # a second of decoding steps
        clock.now += 0.01
        show("AIME24", step / 10, 30, step)
    show.end()
    shown = stream.getvalue().split("\r")[1:]
    assert 4 <= len(shown) <= 6 and shown[-1].endswith("\n")


def test_what_was_stored_before_does_not_count_for_the_time_left(clock):
    stream = io.StringIO()
    show = Ticker(stream)
    show("AMC23", 30, 40, 0)
    clock.now += 50
    show("AMC23", 35, 40, 0)
    assert stream.getvalue().splitlines()[-1] == "AMC23: 35 of 40 answers, 50 s left"
