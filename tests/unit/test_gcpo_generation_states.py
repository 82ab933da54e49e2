"""What is kept of the states that sampling computes: one per row, at the token that the feature is read at."""

import gc

import pytest
import torch

from gcpo.generation_states import GenerationStates
from gcpo.scm import feature_index

EOS, MARK = 1, 9
OUTPUTS = [[5, MARK, 6, EOS], [EOS], [MARK, 5, MARK, 5, 5], [4, 5, EOS], [7, EOS]]


def state(call: int, row: int, step: int) -> torch.Tensor:
    return torch.tensor([call, row, step], dtype=torch.float32)


def follow(states: GenerationStates, outputs: list[list[int]], call: int = 0) -> None:
    """A sampler's forwards: the prompts, then every token but those of the last step; ended rows are fed padding."""
    states.begin()
    rows, longest = len(outputs), max(map(len, outputs))
    states.add(torch.full((rows, 4), 3), torch.full((rows, 4, 3), -1.0))
    for step in range(longest - 1):
        ids = torch.tensor([[row[step] if step < len(row) else 0] for row in outputs])
        states.add(ids, torch.stack([state(call, row, step) for row in range(rows)]).unsqueeze(1))


@pytest.mark.parametrize("position", ["eos", "last_content", "answer_marker"])
def test_the_state_kept_is_that_of_the_feature_s_own_token_or_none(position: str) -> None:
    ends = torch.tensor([MARK]) if position == "answer_marker" else None
    states = GenerationStates(position=position, eos_ids=[EOS], marker_ends=ends)
    assert not states
    for call, part in enumerate((OUTPUTS, OUTPUTS[::-1], OUTPUTS[:1] * 2)):
        follow(states, part, call)
    assert len(states) == 12
    found = 0
    for call, part in enumerate((OUTPUTS, OUTPUTS[::-1], OUTPUTS[:1] * 2)):
        for row, output in enumerate(part):
            index, _ = feature_index(output, position=position, marker_ids=[MARK], eos_ids=[EOS])
            kept = states.find(5 * call + row, index)
            if kept is not None:
                assert torch.equal(kept, state(call, row, index))
                found += 1
    assert found >= 7 and states.find(0, 3 if position != "eos" else 2) is None


def test_what_stays_alive_does_not_grow_with_the_steps() -> None:
    def alive(steps: int) -> int:
        states = GenerationStates(position="eos", eos_ids=[EOS])
        gc.collect()
        before = sum(t.numel() for t in gc.get_objects() if isinstance(t, torch.Tensor))
        follow(states, [[5] * steps] * 16)
        gc.collect()
        return sum(t.numel() for t in gc.get_objects() if isinstance(t, torch.Tensor)) - before

    assert alive(200) == alive(10)
