"""One-line faults in GC2PO's functions that hand vectors and one small model must catch."""

import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

import gcpo.gc2po
from gcpo.gc2po import credit, episodes, perturbation, reward

FOLDER = Path(gcpo.gc2po.__file__).parent


def mutated(file: str, old: str, new: str) -> ModuleType:
    """The module with its first occurrence of `old` replaced."""
    source = (FOLDER / file).read_text(encoding="utf-8")
    assert old in source, f"{file} no longer holds {old!r}"
    module = ModuleType("gc2po_mutant")
    sys.modules[module.__name__] = module  # a dataclass looks its module up
    exec(compile(source.replace(old, new, 1), "mutant", "exec"), vars(module))
    return module


def close(found, wanted, tolerance=1e-6) -> bool:
    found, wanted = (torch.as_tensor(value, dtype=torch.float64) for value in (found, wanted))
    return found.shape == wanted.shape and bool(torch.allclose(found, wanted, rtol=0, atol=tolerance))


SEGMENTS = torch.tensor([[0, 0, 1, 1], [0, 0, 0, 1], [0, 1, -1, -1]])
LOGPS = torch.tensor([[-1, -3, -0.5, -0.5], [-0.2, -0.2, -0.6, -2], [-1, -1, 9, 9]], dtype=torch.float64)
MASK = (SEGMENTS >= 0).long()
REWARDS = torch.tensor([[0.9, 0.6], [0.3, 0.2], [0.6, 0.8]], dtype=torch.float64)
ADVANTAGES = [
    [-0.0520265964, -0.1560797891, -0.0693687952, -0.0693687952],
    [-0.457834048, -0.457834048, -1.3735021441, -1.5261134934],
    [0.8918845091, 1.1891793456, 0, 0],
]


def credit_holds(module) -> bool:
    def run(rewards=REWARDS, segments=SEGMENTS, **settings):
        return module.l2t_credit(rewards, segments, LOGPS, MASK, 3, **settings)[0]

    ramp = torch.cat([torch.arange(78.0) ** 2, torch.tensor([1e6, 1e7])]).unsqueeze(0)
    everywhere = torch.ones_like(ramp, dtype=torch.bool)
    means = [
        module.truncated_mean(ramp, everywhere, trim_share=0.05, trim_sides=side).item() for side in ("both", "upper")
    ]
    outside = SEGMENTS.clone()
    outside[0, 3] = -1
    _, statistics = module.l2t_credit(REWARDS, SEGMENTS, LOGPS, MASK, 3, ratio_cap=1.2)
    scaled = torch.tensor([1.5, 0.5, 1.4], dtype=torch.float64)
    scaled = (scaled - scaled.mean()) / (scaled.std() + 1e-8)
    sole = torch.tensor([0.9 / 3 + 0.6, 0.5 / 4, 0.7], dtype=torch.float64)  # the first row's three tokens
    sole[0] = (0.225 + 0.675 + 0.6) / 3
    sole = (sole - sole.mean()) / (sole.std() + 1e-8)
    floored = run(mean_floor=0.6)
    flipped = torch.tensor([[0.5, -0.6], [0.2, 0.2], [0.3, 0.3]], dtype=torch.float64)
    return (
        close(run(), ADVANTAGES)
        and close(run(token_weights="whole")[1, :3] / run(token_weights="whole")[1, 3], [1.5, 1.5, 1.5])
        and close(run(token_weights="uniform")[1, :3].std(), 0.0)
        and close(means, [sum(k * k for k in span) / 76 for span in (range(2, 78), range(76))], 1e-2)
        and close(run(length_neutral=True)[0], [scaled[0] * f for f in (0.6, 1.8, 0.8, 0.8)])
        and close(run(segments=outside, outside="sequence")[0, 3], sole[0])
        and close(run(segments=outside)[0, 3], 0.0)
        and close(run(ratio_cap=1.2)[0], [-0.0867109939 * f for f in (0.6, 1.2, 0.8, 0.8)])
        and close(statistics["share_ratio_clipped"], 0.3)
        and close(floored[1], [-0.9538209334] * 4)
        and close(floored[0], ADVANTAGES[0])
        and close(run(flipped)[0], [4.57, 13.72, -10.98, -10.98], 0.01)
        and close(run(flipped, ratio_cap=5.0)[0, :2], [0.0, 0.0])
        and bool(torch.isfinite(run(REWARDS * 0)).all())
    )


def reward_holds(module) -> bool:
    q = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64)
    other = torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64)
    js = 0.0
    for p in (q, other):
        js += sum(a * math.log(a / ((b + c) / 2)) for a, b, c in zip(p, q, other, strict=True) if a > 0) / 2
    logps, mask = torch.tensor([[0.5, 1.0], [0.5, 0.125]]).log(), torch.tensor([[True, False], [True, True]])
    left = 1 - 0.5 - 1 / 16
    h, around = torch.tensor([3.0, 4.0]), torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    values = torch.tensor([[1.0, 2.0, 3.0], [10.0, 0.0, 0.0], [5.0, 6.0, 0.0], [20.0, 0.0, 0.0]]).unsqueeze(-1)
    reference = module.group_reference(values, [[0, 1, 2], [0], [0, 1], [1]], 2)[..., 0]
    shuffled = module.permuted_over_batch(torch.arange(1.0, 7.0).view(2, 3), [3, 2], torch.Generator().manual_seed(0))
    return (
        close(module.robustness(q, torch.stack([q, other])), 1 - js / 2 / math.log(2))
        and close(module.answer_distribution(logps, mask, other=False), [2 / 3, 1 / 3])
        and close(module.answer_distribution(logps, mask, other=True)[0], left / (left + 0.75))
        and close(module.answer_distribution(logps, mask & mask[:, 1:], other=False), [0.0, 1.0])
        and close(module.norm_ratio(h, around), 0.5)
        and close(module.norm_ratio(h, 2 * h.unsqueeze(0)), 1.0)
        and close(module.variability(h, -2 * h), 1.0)
        and close(module.variability(h, 2 * h), 1 / 3)
        and close(module.non_causal_robustness(q, other), 1 - 0.125 / 2)
        and close(module.non_causal_effectiveness(q, torch.tensor(3)), math.log(2) / math.log(3))
        and close(module.non_causal_effectiveness(q, torch.tensor(1)), 0.0)
        and close(reference[0], [5.5, 6.0, 6.5])
        and close(reference[2, :2], [12.5, 13.0])
        and close(
            module.over_all_episodes(torch.tensor([[1.0, 3.0], [5.0, 9.0]]), [[0, 3], [0]], [4, 1]),
            [[1, 2, 2, 3], [5, 0, 0, 0]],
        )
        and sorted(shuffled.flatten().tolist()) == [0, 1, 2, 3, 4, 5]
        and shuffled[1, 2] == 0
        and not close(shuffled, [[1, 2, 3], [4, 5, 0]])
        and close(
            module.episode_rewards(
                torch.tensor([1.0, 1.0]), torch.tensor([[0.4, 0.1], [0.3, 9.0]]), torch.tensor([2, 1])
            ),
            [[0.9, 0.6], [1.3, 0.0]],
        )
    )


def episodes_hold(module) -> bool:
    def find(texts, ended=None, **changes):
        settings = dict(
            segmentation="delimiter", delimiter=";", marker="#", max_episodes=30, min_tokens=1, outside="episode"
        )
        found = module.find_episodes(list(texts), ended or len(texts), **(settings | changes))
        return found.segments, found.latents, found.parsed

    tagged = ["so", "<episode_1>", "a", "</episode_1", "><", "episode_2>b", "</episode_2>", "#", "7"]
    return (
        find([*"1;23;#2;", "<eos>"], 8) == ([0, 0, 1, 1, 1, 1, 1, 1, 1], [1, 4], True)
        and find([*"1;#2", "#"], 4)[1] == [1]
        and find([*"1;2", "<eos>"], 3) == ([0, 0, 1, 1], [1, 2], True)
        and find("1#2;3#4", outside="none") == ([0, 0, 0, 0, 1, -1, -1], [3, 4], True)
        and find("#7", outside="none") == ([0, 0], [-1], False)
        and find("123") == ([0, 0, 0], [2], False)
        and find("1;2;345;6", min_tokens=4)[:2] == ([0] * 4 + [1] * 5, [3, 8])
        and find("1;2;3;4;", max_episodes=2)[:2] == ([0, 0] + [1] * 6, [1, 7])
        and find(["a", ".\n", "\n", "b"], segmentation="blank_line")[:2] == ([0, 0, 0, 1], [2, 3])
        and find(tagged, segmentation="tags", outside="none") == ([-1, 0, 0, 0, 0, 1, 1, -1, -1], [4, 6], True)
        and find(tagged, segmentation="tags")[0] == [0, 0, 0, 0, 0, 1, 1, 1, 1]
        and not find(["<episode_1>", "a", "</episode_2>"], segmentation="tags")[2]
        and module.final_answer(r"\boxed{1} \boxed{\frac{1}{2}}.", r"\boxed{", "}") == r"\frac{1}{2}"
        and module.final_answer("#1;# 2", "#", None) == "2"
        and all(own == sorted(own) for own in module.choose_scored([5] * 20, 2, torch.Generator().manual_seed(1)))
    )


def small_model() -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=11, hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2,
        num_key_value_heads=1, initializer_range=0.3,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).eval()


MODEL = small_model()
PROMPTS, COMPLETIONS = [[5, 6, 7], [8]], [[1, 2, 3, 4], [9, 10, 1, 2]]
PLACES = [[-1, 1, 3], [2]]
PREFIX, ANSWERS = [3, 5], [[[7], [8, 9, 4], [2, 9, 9]], [[2, 6]]]


def read_once(before: list[int], answer: list[int], place: int, shift: torch.Tensor, size: float):
    """(log-probs of the answer, state before it) by one plain sequence whose token `place` is shifted after layer 2."""

    def patch(_module, _args, hidden):
        z = hidden[0, place]
        hidden = hidden.clone()
        hidden[0, place] = z + size * z.norm() * shift
        return hidden

    hook = MODEL.model.layers[1].register_forward_hook(patch)
    with torch.no_grad():
        states = MODEL.model(torch.tensor([before + answer])).last_hidden_state
        logits = MODEL.lm_head(states)[0]
    hook.remove()
    logps = (logits / 2).log_softmax(-1)
    return [logps[len(before) - 1 + j, t].item() for j, t in enumerate(answer)], states[0, len(before) - 1]


def perturbation_holds(module) -> bool:
    prompt_ids, prompt_mask = torch.tensor([[5, 6, 7], [0, 0, 8]]), torch.tensor([[1, 1, 1], [0, 0, 1]])
    completions = torch.tensor(COMPLETIONS)
    cache = DynamicCache()
    mask = torch.cat([prompt_mask, torch.ones_like(completions)], dim=1)[:, :-1]  # sampling never fed the last token
    with torch.no_grad():
        MODEL.model(
            input_ids=torch.cat([prompt_ids, completions], dim=1)[:, :-1],
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            past_key_values=cache,
        )
    length = cache.get_seq_length()
    direction = module.directions(6, 2, 16, torch.Generator().manual_seed(1)).unflatten(0, (2, 3))
    layer = module.decoder_layer(MODEL, None)
    rows = module.CachedRows(cache, prompt_ids, prompt_mask, completions)
    suffixes = [module.Suffix.of(PREFIX, answers) for answers in ANSWERS]
    found = module.read_answers(MODEL, rows, PLACES, suffixes, direction, layer=layer, size=0.8, temperature=2.0)
    hooked = len(layer._forward_hooks)
    right = close(direction.norm(dim=-1), torch.ones(2, 3, 2)) and layer is MODEL.model.layers[1]
    for row, places in enumerate(PLACES):
        for k, place in enumerate(places):
            before = PROMPTS[row] + COMPLETIONS[row][: place + 1] + PREFIX
            for m in range(3):
                shift = direction[row, k, m - 1] if m else torch.zeros(16)
                for a, answer in enumerate(ANSWERS[row]):
                    logps, state = read_once(before, answer, len(PROMPTS[row]) + place, shift, 0.8)
                    right &= close(found.logps[row, k, m, a, : len(answer)], logps, 1e-4)
                    right &= found.real[row, k, m, a].tolist() == [j < len(answer) for j in range(3)]
                    right &= close(found.states[row, k, m], state, 1e-4)
    tokens = 3 * (3 * 7 + 1 * 4)
    return bool(right and hooked == 0 and length == cache.get_seq_length() and found.tokens == tokens)


HOLDS = {"credit": credit_holds, "reward": reward_holds, "episodes": episodes_hold, "perturbation": perturbation_holds}
FAULTS = [
    ("credit", "weights = -old_per_token_logps", "weights = old_per_token_logps.exp()"),
    ("credit", "if token_weights == \"whole\":\n        return own", "if False:\n        return own"),
    ("credit", "else torch.ones_like(own)", "else -old_per_token_logps"),
    ("credit", "weights = torch.where(inside, weights.to(own.dtype), 0.0)", "weights = weights.to(own.dtype)"),
    ("credit", "own * weights / sums", "own * weights"),
    ("credit", "trim_share / 2 if trim_sides", "trim_share if trim_sides"),
    ("credit", "lower = upper if trim_sides == \"both\"", "lower = upper if False"),
    ("credit", "place >= lower.unsqueeze(1)", "place > lower.unsqueeze(1)"),
    ("credit", "masked_fill(~mask, torch.inf)", "masked_fill(~mask, 0.0)"),
    ("credit", "group_advantages(total if length_neutral else mean", "group_advantages(total"),
    ("credit", "group_advantages(total if length_neutral else mean", "group_advantages(mean"),
    ("credit", "eps=std_eps)", "eps=1e-2)"),
    ("credit", "total.abs() <= mean_floor", "mean.abs() <= mean_floor"),
    ("credit", "total.abs() <= mean_floor", "total.abs() < mean_floor"),
    ("credit", "torch.where(unscaled, 1.0, mean).reciprocal()", "torch.where(unscaled, 1.0, total).reciprocal()"),
    ("credit", "ratio.clamp(min=0.0, max=ratio_cap)", "ratio.clamp(max=ratio_cap)"),
    ("credit", "torch.where(unscaled.unsqueeze(1), 1.0, ratio) * inside", "ratio * inside"),
    ("credit", "torch.where(inside, ratio, 1.0)", "torch.where(inside, ratio, 0.0)"),
    ("credit", "* ratio * completion_mask.bool()", "* ratio.abs() * completion_mask.bool()"),
    ("credit", "(clipped.sum() / tokens)", "(clipped.sum() / clipped.numel())"),
    ("reward", "(_entropy(clean) + _entropy(perturbed)) / 2", "(_entropy(clean) + _entropy(perturbed))"),
    ("reward", "_entropy((clean + perturbed) / 2)", "_entropy(clean)"),
    ("reward", "divergence.mean(dim=-1) / math.log(2)", "divergence.mean(dim=-1)"),
    ("reward", "divergence.mean(dim=-1)", "divergence.sum(dim=-1)"),
    ("reward", "totals / token_mask.sum(dim=-1).clamp(min=1)", "totals"),
    ("reward", "left = (1 - totals.exp()", "left = (1 - (totals / 2).exp()"),
    ("reward", ".masked_fill(~real, -torch.inf)", ""),
    ("reward", "perturbed.mean(dim=-2).norm(dim=-1)", "perturbed.norm(dim=-1).mean(dim=-1)"),
    ("reward", ".clamp(min=smallest)).clamp(max=1.0)", ".clamp(min=smallest))"),
    ("reward", "(latents - reference).norm(dim=-1) / scale", "(latents - reference).norm(dim=-1) / (2 * scale)"),
    ("reward", ".square().sum(dim=-1) / 2", ".square().sum(dim=-1)"),
    ("reward", "options.double().clamp(min=2).log()", "options.double().clamp(min=2)"),
    ("reward", "torch.where(options > 1,", "torch.where(options > 0,"),
    ("reward", "number <= k for number", "number < k for number"),
    ("reward", "scored[first + j]", "scored[i]"),
    ("reward", "// num_generations * num_generations)[:, None, None]", "// num_generations)[:, None, None]"),
    ("reward", ".mean()\n        out[row, list(own)]", ".sum()\n        out[row, list(own)]"),
    ("reward", "out[row, list(own)] = scored_rewards[row, : len(own)]", "pass"),
    ("reward", "values[torch.randperm(len(values), generator=generator).to(values.device)]", "values"),
    ("reward", "(outcomes / counts)", "(outcomes * counts)"),
    ("reward", ".unsqueeze(1) + episodic) * real", ".unsqueeze(1) + episodic)"),
    ("episodes", r"</episode_\1>", r"</episode_\\d+>"),
    ("episodes", "answer = text.rfind(marker)", "answer = text.find(marker)"),
    ("episodes", "text = \"\".join(texts[:ended])", "text = \"\".join(texts)"),
    ("episodes", "content = ended if answer < 0", "content = len(texts) if answer < 0"),
    ("episodes", "_token_at(starts, b - 1) for _, b", "_token_at(starts, b) for _, b"),
    ("episodes", "(_token_at(starts, a), _token_at(starts, b - 1))", "(_token_at(starts, a), _token_at(starts, b))"),
    ("episodes", "max(first, kept[-1][1] + 1) if kept else first", "first"),
    ("episodes", "last + 1 - first >= min_tokens", "last + 1 - first > min_tokens"),
    ("episodes", "spans[: max_episodes - 1]", "spans[:max_episodes]"),
    ("episodes", "if outside == \"episode\":", "if outside != \"episode\":"),
    ("episodes", "segments[place - 1] if place else 0", "0"),
    ("episodes", "[PROMPT_END], parsed=False", "[0], parsed=False"),
    ("episodes", "bisect_right(starts, character) - 1", "bisect_right(starts, character)"),
    ("episodes", "start = text.rfind(marker)", "start = text.find(marker)"),
    ("episodes", "if depth == 0:", "if True:"),
    ("episodes", "sorted(order[:limit])", "order[:limit]"),
    ("perturbation", "drawn / drawn.norm(dim=-1, keepdim=True)", "drawn"),
    ("perturbation", "size * latent.norm(dim=-1, keepdim=True) * direction", "size * direction"),
    ("perturbation", "latent + size", "latent - size"),
    ("perturbation", "2 * len(layers) // 3", "len(layers) // 3"),
    ("perturbation", "return layers[number - 1]", "return layers[number]"),
    ("perturbation", "        hook.remove()", "        pass"),
    ("perturbation", "range(trunk, trunk + len(answer) - 1)", "range(trunk + 1, trunk + len(answer))"),
    ("perturbation", "branches += [number]", "branches += [0]"),
    ("perturbation", "range(len(ids) - trunk + 1,", "range(1,"),
    ("perturbation", "(self.branches.unsqueeze(0) == -1) |", "(self.branches.unsqueeze(0) == self.branches) |"),
    ("perturbation", "dtype=torch.bool).tril()", "dtype=torch.bool)"),
    ("perturbation", "DynamicCache([(part.keys, part.values) for part in rows.cache.layers])", "rows.cache"),
    ("perturbation", "torch.cat([clean, direction], dim=2)", "torch.cat([direction, clean], dim=2)"),
    ("perturbation", "suffixes[0].trunk - 1 :", "suffixes[0].trunk - 2 :"),
    ("perturbation", "torch.float32)) / temperature)", "torch.float32)))"),
    ("perturbation", "starts = places + rows.prompt_mask.sum(dim=1, keepdim=True)", "starts = places + width"),
    ("perturbation", "cached < columns.unsqueeze(2)", "cached <= columns.unsqueeze(2)"),
    ("perturbation", "prompt.unsqueeze(1) & (cached", "(cached"),
    ("perturbation", "copies[None, :, None, :, None] &", "(copies | True)[None, :, None, :, None] &"),
    ("perturbation", "len(own) * copies * len(s.ids)", "copies * len(s.ids)"),
]  # fmt: skip


def test_the_shipped_functions_hold_the_vectors() -> None:
    for name, module in (
        ("credit", credit),
        ("reward", reward),
        ("episodes", episodes),
        ("perturbation", perturbation),
    ):
        assert HOLDS[name](module), name


@pytest.mark.parametrize(("name", "old", "new"), FAULTS)
def test_a_one_line_fault_breaks_a_vector(name: str, old: str, new: str) -> None:
    try:
        survived = HOLDS[name](mutated(f"{name}.py", old, new))
    except (ArithmeticError, AttributeError, IndexError, RuntimeError, TypeError, ValueError):
        survived = False
    finally:
        for part in MODEL.modules():
            part._forward_hooks.clear()
    assert not survived
