"""Where episodes begin and end, where their latents stand, and what a final answer is."""

import pytest
import torch

from gcpo.gc2po.episodes import (
    EPISODE_REQUEST,
    OUTSIDE,
    PROMPT_END,
    choose_scored,
    final_answer,
    find_episodes,
    with_episode_request,
)


def found(texts, ended=None, **changes):
    settings = {
        "segmentation": "delimiter", "delimiter": ";", "marker": "#", "max_episodes": 30, "min_tokens": 1,
        "outside": "episode",
    }  # fmt: skip
    ended = len(texts) if ended is None else ended
    return find_episodes(list(texts), ended, **(settings | changes))


def test_steps_end_with_their_delimiter_and_the_answer_joins_the_last_one() -> None:
    episodes = found([*"4*5=0;2=2;#2", "<eos>"], ended=12)
    assert episodes.segments == [0] * 6 + [1] * 7
    assert episodes.latents == [5, 9]  # the delimiters, before the answer
    assert episodes.parsed


def test_a_tail_without_a_delimiter_is_an_episode_of_its_own() -> None:
    assert found("1;23").segments == [0, 0, 1, 1]
    assert found("1;23").latents == [1, 3]


@pytest.mark.parametrize("outside", ["sequence", "none"])
def test_the_answer_can_stand_outside_every_episode(outside: str) -> None:
    assert found("1;2;#7", outside=outside).segments == [0, 0, 1, 1, OUTSIDE, OUTSIDE]


def test_the_last_marker_begins_the_answer() -> None:
    assert found("1#2;3#4").latents == [3, 4]


def test_no_marks_make_one_episode_and_say_so() -> None:
    episodes = found("12345")
    assert (episodes.segments, episodes.latents, episodes.parsed) == ([0] * 5, [4], False)


def test_an_answer_without_reasoning_is_read_at_the_end_of_the_prompt() -> None:
    for texts, ended in ((["#", "7", "<eos>"], 2), (["<eos>"], 0)):
        for outside in ("episode", "none"):
            episodes = found(texts, ended, outside=outside)
            assert episodes.segments == [0] * len(texts)
            assert (episodes.latents, episodes.parsed) == ([PROMPT_END], False)


def test_an_episode_may_be_one_token() -> None:
    episodes = found(";;#1")
    assert (episodes.segments, episodes.latents) == ([0, 1, 1, 1], [0, 1])


def test_short_episodes_join_the_next_and_a_short_last_one_the_one_before() -> None:
    assert found("1;2;345;6", min_tokens=4).segments == [0] * 4 + [1] * 5
    assert found("1;", min_tokens=4).segments == [0, 0]


def test_the_rest_of_too_many_episodes_belongs_to_the_last() -> None:
    episodes = found("1;2;3;4;", max_episodes=2)
    assert (episodes.segments, episodes.latents) == ([0, 0, 1, 1, 1, 1, 1, 1], [1, 7])


def test_blank_lines_split_whatever_tokens_they_are_in() -> None:
    texts = ["a", ".\n", "\n", "b", ".\n\n", "\n", "c\n", "d"]
    episodes = found(texts, segmentation="blank_line", delimiter=None)
    assert (episodes.segments, episodes.latents) == ([0, 0, 0, 1, 1, 1, 2, 2], [2, 5, 7])


TAGGED = ["so ", "<episode_1>", "a", "</episode", "_1>", "\n", "<episode_2>", "b", "</episode_2>", "Then ", "#", "7"]


def test_tags_make_episodes_whose_latent_is_the_last_token_of_the_closing_tag() -> None:
    episodes = found(TAGGED, segmentation="tags", delimiter=None, outside="none")
    assert episodes.segments == [-1, 0, 0, 0, 0, -1, 1, 1, 1, -1, -1, -1]
    assert (episodes.latents, episodes.parsed) == ([4, 8], True)
    joined = found(TAGGED, segmentation="tags", delimiter=None)
    assert joined.segments == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]


def test_tags_with_other_numbers_or_behind_the_answer_are_no_episodes() -> None:
    for texts in (["<episode_1>", "a", "</episode_2>"], ["#", "<episode_1>", "a", "</episode_1>"], ["plain"]):
        episodes = found(texts, segmentation="tags", delimiter=None)
        assert (len(episodes.latents), episodes.parsed) == (1, False)


def test_a_token_with_the_end_of_one_tag_and_the_start_of_the_next_is_in_one_episode() -> None:
    texts = ["<episode_1>", "a</episode_1", "><", "episode_2>b", "</episode_2>"]
    assert found(texts, segmentation="tags", delimiter=None).segments == [0, 0, 0, 1, 1]


def test_an_unknown_segmentation_is_refused() -> None:
    with pytest.raises(ValueError, match="segmentation is 'sentences'; want one of"):
        found("1;2", segmentation="sentences")


@pytest.mark.parametrize(
    ("text", "marker", "end", "answer"),
    [
        ("1;#7", "#", None, "7"),
        ("#1;# 2 3 ", "#", None, "2 3"),
        ("1;7", "#", None, None),
        ("1;#", "#", None, None),
        (r"so \boxed{\frac{1}{2}}. Done", r"\boxed{", "}", r"\frac{1}{2}"),
        (r"\boxed{1} then \boxed{2}", r"\boxed{", "}", "2"),
        (r"\boxed{1", r"\boxed{", "}", None),
        (r"\boxed{}", r"\boxed{", "}", None),
        ("answer: 4\nmore", "answer:", "\n", "4"),
    ],
)
def test_the_final_answer_stands_between_the_last_marker_and_its_end(text, marker, end, answer) -> None:
    assert final_answer(text, marker, end) == answer


def test_the_request_for_tags_joins_the_system_message_and_leaves_the_data_alone() -> None:
    user = {"role": "user", "content": "1 + 1?"}
    assert with_episode_request([user]) == [{"role": "system", "content": EPISODE_REQUEST}, user]
    messages = [{"role": "system", "content": "Be brief."}, user]
    joined = with_episode_request(messages)
    assert joined[0]["content"].startswith("Be brief.\n\n") and joined[0]["content"].endswith(EPISODE_REQUEST)
    assert messages[0]["content"] == "Be brief." and joined[1] is user
    assert "30" in EPISODE_REQUEST and "<episode_1>" in EPISODE_REQUEST


def test_all_episodes_are_scored_or_a_few_random_ones_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    assert choose_scored([3, 1], None, generator) == [[0, 1, 2], [0]]
    drawn = [choose_scored([9, 2], 3, generator) for _ in range(50)]
    assert all(len(first) == 3 and first == sorted(set(first)) and second == [0, 1] for first, second in drawn)
    assert {k for first, _ in drawn for k in first} == set(range(9))
