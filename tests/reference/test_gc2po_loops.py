"""The shipped GC2PO against loops from the equations: the pure functions on random groups, the trainer on a rollout.

The trainer's side reads keys that sampling left, packs every copy of a row into one forward and patches by a hook; the
loops' side runs one unpadded sequence per completion, episode, perturbation and answer.
"""

from collections.abc import Callable
from typing import Any

import gc2po_loops as loops
import pytest
import torch

import gcpo.trainers.gc2po as gc2po_trainer
from gcpo.gc2po import reward
from gcpo.gc2po.credit import l2t_credit
from gcpo.gc2po.episodes import find_episodes
from gcpo.trainers.gc2po import GC2POConfig, GC2POTrainer

SEEDS = range(5)


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    found, wanted = (torch.as_tensor(value, dtype=torch.float64) for value in (found, wanted))
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)


def random_group(seed: int, n: int = 4):
    """Rewards, episodes and log-probs of completions of unequal lengths, long enough that the mean is truncated."""
    generator = torch.Generator().manual_seed(seed)
    rewards, episodes, logps = [], [], []
    for row in range(n):
        count, length = 1 + (seed + row) % 4, 45 + 17 * row + seed
        rewards.append((torch.rand(count, generator=generator) - 0.1).tolist())
        episodes.append((torch.arange(length) * count // length).tolist())
        logps.append((-torch.rand(length, generator=generator, dtype=torch.float64) * 3).tolist())
    return rewards, episodes, logps


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "settings", [{}, {"ratio_cap": 2.0, "mean_floor": 0.9}, {"length_neutral": True}], ids=["bare", "guards", "neutral"]
)
def test_credit_equals_the_loops(seed: int, settings: dict) -> None:
    rewards, episodes, logps = random_group(seed)
    wanted = loops.l2t_credit(rewards, episodes, logps, **settings)
    width, episodes_most = max(map(len, logps)), max(map(len, rewards))
    rows = [
        torch.tensor([row + [fill] * (size - len(row)) for row in table])
        for table, fill, size in ((rewards, 0.0, episodes_most), (episodes, -1, width), (logps, 0.0, width))
    ]
    mask = (rows[1] >= 0).long()
    found, _ = l2t_credit(rows[0].double(), rows[1], torch.tensor([r + [0.0] * (width - len(r)) for r in logps],
                          dtype=torch.float64), mask, len(rewards), **settings)  # fmt: skip
    assert max(abs(value) for row in wanted for value in row) > 0.5
    for row, tokens in zip(found, wanted, strict=True):
        close(row[: len(tokens)], tokens, 1e-6)  # rewards went through float32


@pytest.mark.parametrize("seed", SEEDS)
def test_every_term_of_the_reward_equals_the_loops(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    logps = -3 * draw(3, 4) - 0.2
    lengths = [1, 4, 2]
    mask = torch.arange(4) < torch.tensor(lengths).unsqueeze(1)
    tokens = [row[:length] for row, length in zip(logps.tolist(), lengths, strict=True)]
    for other in (False, True):
        close(reward.answer_distribution(logps, mask, other=other), loops.answer_distribution(tokens, other))
    q, shaken = draw(5).softmax(-1), (3 * draw(4, 5)).softmax(-1)
    close(reward.robustness(q, shaken), loops.robustness(q.tolist(), shaken.tolist()))
    assert reward.robustness(q, shaken) < 0.99
    h, around = draw(7) - 0.5, draw(4, 7) - 0.5
    close(reward.norm_ratio(h, around), loops.norm_ratio(h.tolist(), around.tolist()))
    close(reward.variability(h, around[0]), loops.variability(h.tolist(), around[0].tolist()))
    close(reward.non_causal_robustness(q, shaken[0]), loops.variance_robustness(q.tolist(), shaken[0].tolist()))
    close(reward.non_causal_effectiveness(q, torch.tensor(5)), loops.entropy_effectiveness(q.tolist(), 5))
    scored = [[0, 2], [1], [0, 1, 3], [3]]
    values = draw(4, 3, 5)
    group = [{k: values[row, c].tolist() for c, k in enumerate(own)} for row, own in enumerate(scored)]
    reference = reward.group_reference(values, scored, 4)
    for row, own in enumerate(scored):
        for c, k in enumerate(own):
            close(reference[row, c], loops.group_mean_at(group, k))
    counts = [3, 2, 4, 5]
    filled = reward.over_all_episodes(values[:, :, 0], scored, counts)
    for row, own in enumerate(scored):
        single = {k: values[row, c, 0].item() for c, k in enumerate(own)}
        close(filled[row, : counts[row]], loops.over_all_episodes(single, counts[row]))


def naive_reading(model: Any, ids: list[int], place: int, answer_ids: list[int], shift: torch.Tensor, size: float):
    """Log-probs of the answer after `ids`, and the state before it, with the state of token `place` shifted."""
    latents = []

    def patch(_module: Any, _args: Any, hidden: torch.Tensor) -> torch.Tensor:
        z = hidden[0, place].clone()
        latents.append(z.tolist())
        hidden = hidden.clone()
        hidden[0, place] = z + size * loops.norm(z.tolist()) * shift
        return hidden

    hook = model.model.layers[0].register_forward_hook(patch)  # floor(2 · 2 / 3) = 1
    with torch.no_grad():
        output = model(torch.tensor([ids + answer_ids]), output_hidden_states=True)
    hook.remove()
    logps = output.logits[0].log_softmax(-1)
    tokens = [logps[len(ids) - 1 + j, token].item() for j, token in enumerate(answer_ids)]
    return tokens, output.hidden_states[-1][0, len(ids) - 1].tolist(), latents[0]


class Watched(GC2POTrainer):
    """Keeps the rollout with the advantages that the loss would get."""

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.rollout = super()._generate_and_score_completions(inputs)
        return self.rollout


def of_row(rollout: dict[str, Any], name: str, row: int) -> list[int]:
    return rollout[f"{name}_ids"][row][rollout[f"{name}_mask"][row].bool()].tolist()


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"episodic_reward": "non_causal", "extra_batch_size": 3},
        {"effectiveness": "variability", "answer_other": False},
        {"steps_per_generation": 3, "length_neutral": True},
    ],
    ids=["causal", "non_causal", "variability", "TRL's old log-probs"],
)
def test_the_advantages_of_a_rollout_equal_the_loops(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, settings: dict, toy_dataset: Any
) -> None:
    shifts = []
    original = gc2po_trainer.directions

    def recorded(*args: Any) -> torch.Tensor:
        shifts.append(original(*args))
        return shifts[-1]

    monkeypatch.setattr(gc2po_trainer, "directions", recorded)
    trainer = make_trainer(
        Watched, GC2POConfig, segmentation="delimiter", episode_delimiter="7", max_completion_length=40, seed=5,
        perturbation_size=0.7, num_perturbations=2, max_scored_episodes=None, temperature=1.0,
        reward_funcs=lambda completions, **_: [float("3" in c) for c in completions],
        train_dataset=toy_dataset.map(lambda row: {"prompt": row["prompt"][4 * (int(row["digit"]) % 2) :]}),
        **settings,
    )  # fmt: skip
    model = trainer.model.train()  # as in a training step; there is no dropout
    n = 4
    rows = 8 * trainer.args.steps_per_generation
    rollout = trainer._generate_and_score_completions([trainer.train_dataset[i // n] for i in range(rows)])
    assert len({int(m.sum()) for m in rollout["prompt_mask"]}) > 1  # left padding is at work
    words = trainer.processing_class.convert_ids_to_tokens
    prefix = trainer.processing_class("#")["input_ids"]
    copies = 0 if settings.get("episodic_reward") == "non_causal" else 2
    differing = 0
    for start in range(0, rows, n):
        group = range(start, start + n)
        completions = [of_row(rollout, "completion", row) for row in group]
        texts = [words(ids) for ids in completions]
        answers = {}
        for text in texts:
            tail = [w for w in text[-text[::-1].index("#") :] if not w.startswith("<")] if "#" in text else []
            if tail:
                answers.setdefault(tuple(tail), trainer.processing_class.convert_tokens_to_ids(tail))
        ended = [len(t) - (t[-1] == "<eos>") for t in texts]
        found = [
            find_episodes(t, e, segmentation="delimiter", delimiter="7", marker="#", max_episodes=30, min_tokens=1,
                          outside="episode")
            for t, e in zip(texts, ended, strict=True)
        ]  # fmt: skip
        distributions, latents, rewards, states = [], [], [], []
        for row, ids, episodes in zip(group, completions, found, strict=True):
            prompt = of_row(rollout, "prompt", row)
            q_row, z_row, h_row = {}, {}, {}
            for k, place in enumerate(episodes.latents):
                read = []
                for m in range(1 + copies):
                    shift = shifts[0].view(rows, -1, copies, 32)[row, k, m - 1] if m else torch.zeros(32)
                    before = prompt + ids[: place + 1] + prefix
                    at = len(prompt) + place
                    each = [naive_reading(model, before, at, a, shift, 0.7) for a in answers.values()]
                    empty = naive_reading(model, before, at, [], shift, 0.7)
                    read.append((loops.answer_distribution([e[0] for e in each], settings.get("answer_other", True))
                                 if answers or settings.get("answer_other", True) else [], *empty[1:]))  # fmt: skip
                q_row[k], z_row[k], h_row[k] = [r[0] for r in read], read[0][2], [r[1] for r in read]
            distributions.append(q_row)
            latents.append(z_row)
            states.append(h_row)
        for row, q_row, z_row, h_row in zip(group, distributions, latents, states, strict=True):
            outcome = float("3" in trainer.processing_class.decode(of_row(rollout, "completion", row)))
            total = []
            for k in q_row:
                if copies == 0:
                    clean = [{j: q[0] for j, q in other.items()} for other in distributions]
                    rob = loops.variance_robustness(q_row[k][0], loops.group_mean_at(clean, k))
                    eff = loops.entropy_effectiveness(q_row[k][0], len(answers) + 1)
                else:
                    rob = loops.robustness(q_row[k][0], q_row[k][1:])
                    eff = (
                        loops.variability(z_row[k], loops.group_mean_at(latents, k))
                        if settings.get("effectiveness")
                        else loops.norm_ratio(h_row[k][0], h_row[k][1:])
                    )
                total.append(outcome / len(q_row) + 0.9 * rob + 0.8 * eff)
            rewards.append(total)
        logps = []
        for row, ids in zip(group, completions, strict=True):
            prompt = of_row(rollout, "prompt", row)
            logps.append(naive_reading(model, prompt, 0, ids, torch.zeros(32), 0.0)[0])
        wanted = loops.l2t_credit(
            rewards, [f.segments for f in found], logps, mean_floor=1e-4, ratio_cap=5.0,
            length_neutral=settings.get("length_neutral", False),
        )  # fmt: skip
        for row, tokens in zip(group, wanted, strict=True):
            close(rollout["advantages"][row, : len(tokens)], tokens, 1e-4)
            assert not rollout["advantages"][row, len(tokens) :].any()
        differing += len({round(value, 3) for row in wanted for value in row}) > 20
    assert differing
