"""GCPO's own draws: equal in every process and on every number of ranks, different between groups and rollouts."""

import subprocess
import sys

import torch

from gcpo.draws import chosen_rows, draw_seed, group_generators
from gcpo.scm import Group

GROUPS = [Group([3, 4], [[5, 1], [6, 7, 1]]), Group([3, 5], [[5, 1], [6, 7, 1]]), Group([3, 4], [[5, 1], [6, 8, 1]])]


def seeds(rollout: int = 0, groups: list[Group] = GROUPS) -> list[int]:
    return [generator.initial_seed() for generator in group_generators(42, groups, rollout)]


def test_a_seed_does_not_depend_on_the_process() -> None:
    code = "from gcpo.draws import draw_seed; print(draw_seed(42, 'a', [1, 2]))"
    done = [
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        for seed in ("1", "2")
    ]  # fmt: skip
    assert {int(run.stdout) for run in done} == {draw_seed(42, "a", [1, 2])}
    assert 0 <= draw_seed(1) < 2**62


def test_groups_rollouts_and_seeds_draw_apart_and_a_group_draws_alike_wherever_it_stands() -> None:
    assert len({*seeds(), *seeds(1), *seeds(2)}) == 9
    assert seeds(groups=GROUPS[1:]) == seeds()[1:]


def test_rows_are_chosen_evenly_in_order_and_without_repeats() -> None:
    counts = torch.zeros(4)
    for rollout in range(300):
        rows = chosen_rows(group_generators(0, GROUPS[:2], rollout), 4, 2)
        assert [g for g, _ in rows] == [0, 0, 1, 1] and rows[0][1] < rows[1][1] and rows[2][1] < rows[3][1]
        for _, i in rows:
            counts[i] += 1
    assert (counts / counts.sum() - 0.25).abs().max() < 0.04
