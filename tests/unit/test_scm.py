"""Contexts of the paper's graph: who sees whom, in which order, and what happens over the budget."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcpo.scm import ContextLayout, Group, by_agreement, candidate_view, feature_index, rfind, strip_eos

EOS, SEP, MARK = 0, 100, 50
LAYOUT = ContextLayout(separator_ids=[SEP], closing_ids=[SEP], marker_ids=[MARK], eos_ids=[EOS])
GROUP = Group([1, 2], [[11, MARK, 5, EOS], [12, 13, EOS], [14, MARK, 6, MARK, 7, EOS]])


def test_the_collider_context_is_the_query_and_every_final_answer():
    assert LAYOUT.collider(GROUP) == [1, 2, SEP, MARK, 5, SEP, SEP, MARK, 7, SEP]


def test_x_i_leaves_out_y_i_and_ends_with_y_n():
    y_n = [15, MARK, 9, EOS]
    assert LAYOUT.without(GROUP, 0) == [1, 2, SEP, SEP, MARK, 7, SEP]
    assert LAYOUT.without(GROUP, 2, [y_n]) == [1, 2, SEP, MARK, 5, SEP, SEP, MARK, 9, SEP]


def test_the_full_view_keeps_the_reasoning_without_eos():
    layout = ContextLayout([SEP], [], [MARK], [EOS], view="full")
    assert layout.without(GROUP, 0) == [1, 2, SEP, 12, 13, SEP, 14, MARK, 6, MARK, 7]


def test_an_order_permutes_the_candidates_and_leaves_y_n_last():
    assert LAYOUT.without(GROUP, 1, [[MARK, 9]], order=[2, 1, 0]) == [
        1,
        2,
        SEP,
        MARK,
        7,
        SEP,
        MARK,
        5,
        SEP,
        MARK,
        9,
        SEP,
    ]


def test_by_agreement_equal_views_stand_together_and_the_most_frequent_first():
    layout = ContextLayout([SEP], [SEP], [MARK], [EOS], agreement=True)
    group = Group([1, 2], [[MARK, 7], [13], [11, MARK, 5, EOS], [12, MARK, 7, EOS], [MARK, 3], [14, MARK, 5]])
    seven, five, three = [SEP, MARK, 7], [SEP, MARK, 5], [SEP, MARK, 3]
    assert layout.collider(group) == [1, 2, *five, *five, *seven, *seven, *three, SEP, SEP]
    # y_n counts among the others, wherever it stands
    assert layout.without(group, 2, [[MARK, 3]]) == [1, 2, *three, *three, *seven, *seven, *five, SEP, SEP]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(3, 5), max_size=2), min_size=1, max_size=7), st.randoms())
def test_by_agreement_is_a_permutation_that_forgets_the_order_of_the_views(views, random):
    order = by_agreement(views)
    assert sorted(order) == list(range(len(views)))
    laid_out = [views[k] for k in order]
    shuffled = random.sample(views, len(views))
    assert [shuffled[k] for k in by_agreement(shuffled)] == laid_out
    counts = [views.count(view) for view in laid_out if view]
    assert counts == sorted(counts, reverse=True)


def test_a_fresh_candidate_takes_the_place_of_the_one_it_replaces():
    assert LAYOUT.replaced(GROUP, 1, [3, MARK, 8, EOS]) == [1, 2, SEP, MARK, 5, SEP, MARK, 8, SEP, MARK, 7, SEP]
    assert GROUP.candidates[1] == [12, 13, EOS]


tokens = st.lists(st.sampled_from([EOS, MARK, 3, 4, 5]), min_size=1, max_size=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(tokens, min_size=2, max_size=6), st.data())
def test_no_context_of_y_i_depends_on_y_i(candidates, data):
    i = data.draw(st.integers(0, len(candidates) - 1))
    other = data.draw(tokens)
    changed = [other if k == i else y for k, y in enumerate(candidates)]
    assert LAYOUT.without(Group([1], candidates), i) == LAYOUT.without(Group([1], changed), i)


@settings(max_examples=100, deadline=None)
@given(tokens)
def test_no_view_ends_with_eos_and_a_final_answer_starts_with_its_marker(ids):
    for view in ("full", "final_answer"):
        seen = candidate_view(ids, view=view, marker_ids=[MARK], eos_ids=[EOS])
        assert not seen or seen[-1] != EOS
        assert view == "full" or not seen or (seen[0] == MARK and MARK not in seen[1:])


def test_a_context_over_the_budget_is_an_error_that_names_the_lengths():
    layout = ContextLayout([SEP], [SEP], [MARK], [EOS], view="full", budget=10)
    with pytest.raises(ValueError, match=r"a context of 16 tokens .* over the budget of 10"):
        layout.collider(GROUP)


def test_tails_keep_the_last_tokens_of_each_view_within_the_budget():
    layout = ContextLayout([SEP], [SEP], [MARK], [EOS], view="full", budget=10, overflow="tails")
    assert layout.collider(GROUP) == [1, 2, SEP, 5, SEP, 13, SEP, 7, SEP]
    with pytest.raises(ValueError, match="over the budget"):
        ContextLayout([SEP], [SEP], [MARK], [EOS], view="full", budget=3, overflow="tails").collider(GROUP)


def test_a_template_gets_the_prompt_and_the_views_and_makes_the_context():
    layout = ContextLayout([], [], [MARK], [EOS], render=lambda prompt, views: [len(prompt), *map(len, views)])
    assert layout.without(Group([1], GROUP.candidates, "what?"), 0) == [5, 0, 2]


def test_an_unknown_view_or_position_is_refused():
    with pytest.raises(ValueError, match="candidate_view"):
        candidate_view([1], view="summary", marker_ids=[], eos_ids=[])
    with pytest.raises(ValueError, match="feature_position"):
        feature_index([1], position="middle", marker_ids=[], eos_ids=[])


@pytest.mark.parametrize(
    ("ids", "position", "want"),
    [
        ([11, MARK, 5, EOS], "eos", (3, True)),
        ([11, MARK, 5], "eos", (2, False)),  # truncated: the last token there is
        ([11, MARK, 5, EOS], "last_content", (2, True)),
        ([EOS], "last_content", (0, True)),
        ([11, MARK, 5, EOS], "answer_marker", (1, True)),
        ([11, 5, EOS], "answer_marker", (1, False)),
    ],
)
def test_the_feature_is_read_at_the_asked_token_and_misses_are_told(ids, position, want):
    assert feature_index(ids, position=position, marker_ids=[MARK], eos_ids=[EOS]) == want


def test_an_output_without_tokens_has_no_feature():
    with pytest.raises(ValueError, match="without tokens"):
        feature_index([], position="eos", marker_ids=[], eos_ids=[EOS])


def test_the_state_of_a_marker_of_several_tokens_is_read_at_its_last():
    assert feature_index([8, 50, 51, 3], position="answer_marker", marker_ids=[50, 51], eos_ids=[]) == (2, True)


def test_rfind_finds_the_last_and_strip_eos_strips_all():
    assert rfind([1, 2, 1, 2, 3], [1, 2]) == 2
    assert rfind([1, 2], []) == -1
    assert strip_eos([1, EOS, EOS], [EOS]) == [1]
    assert strip_eos([EOS], [EOS]) == []
