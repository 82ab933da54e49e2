"""The verifier pays for exactly one marked token that ends the completion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.tasks.procedural import REASONS, final_answer, integration_prompt, verify
from repro.tasks.procedural.tokenizer import EOS, PAD, VOCABULARY


@pytest.mark.parametrize(
    ("completion", "ended", "verdict"),
    [
        ("4+7=1;1-7=4;#4", True, (True, "correct")),
        ("#4" + EOS, True, (True, "correct")),
        ("#4" + EOS + PAD + PAD, False, (True, "correct")),
        ("#4", False, (False, "truncated")),
        ("4+7=1;", False, (False, "truncated")),
        ("#3", True, (False, "wrong")),
        ("# pen", True, (False, "wrong")),
        ("4+7=1;", True, (False, "no_answer")),
        ("", True, (False, "no_answer")),
        ("#", True, (False, "malformed")),
        ("#44", True, (False, "malformed")),
        ("#4;", True, (False, "malformed")),
        ("#4#4", True, (False, "malformed")),
        ("#3;#4", True, (False, "malformed")),
        ("#4 ", True, (False, "malformed")),
    ],
)
def test_verdicts(completion, ended, verdict):
    assert verify(completion, "4", ended=ended) == verdict


@given(st.lists(st.sampled_from(VOCABULARY), max_size=12), st.booleans())
def test_only_one_marked_token_at_the_end_is_ever_correct(words, ended):
    completion = "".join(words)
    correct, reason = verify(completion, "4", ended=ended)
    assert reason in REASONS
    assert correct == (reason == "correct")
    if correct:
        body = completion.partition(EOS)[0]
        assert body.endswith("#4")
        assert body.count("#") == 1
    assert (final_answer(completion, ended=ended) is None) == (reason in ("truncated", "no_answer", "malformed"))


def test_final_answer_is_the_marked_token():
    assert final_answer("1+1=2;#2" + EOS) == "2"
    assert final_answer("1+1=2;#2", ended=False) is None


def test_candidates_without_an_answer_show_an_empty_view():
    assert integration_prompt("q=", ["4", None, "3"]) == "q=|#4||#3|"
    assert integration_prompt("q=", []) == "q=|"
    assert integration_prompt("q=", ["3", None, "4", "9", "4", "3"], "agreement") == "q=|#3|#3|#4|#4|#9||"
