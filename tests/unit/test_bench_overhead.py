"""The arithmetic of the cost and fidelity benchmarks: intervals, growth, targets, agreement."""

import types

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom

from gcpo.trainers import METHODS
from repro.bench import fidelity
from repro.bench.fidelity import ESTIMATORS, REFERENCE
from repro.bench.overhead import CLOSE_FORMS, FORMS, LITERAL_FORMS, method_of
from repro.bench.ratios import PHASES, TARGETS, Step, growth, lines, median_interval, ratio_row
from repro.errors import BadInput
from repro.figures import png
from repro.figures.estimators import fidelity_over_cost
from repro.verbs import bench as bench_verb


@pytest.mark.parametrize("count", [6, 9, 15, 40])
def test_the_interval_of_a_median_covers_at_least_95_percent_and_no_narrower_one_would(count: int) -> None:
    low, high = median_interval([float(v) for v in np.random.default_rng(0).permutation(count)])
    assert low + high == count - 1
    outside = 2 * binom.cdf(int(low), count, 0.5)  # the median lies below the (low + 1)-th value, or above its mirror
    assert outside <= 0.05 < 2 * binom.cdf(int(low) + 1, count, 0.5)


def test_with_fewer_than_six_values_the_interval_is_their_range() -> None:
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert median_interval([5.0]) == (5.0, 5.0)


def rows_of(form: str, exponent: float, level: str, length: float) -> list[dict]:
    return [
        {"form": form, "level": level, "n": n, "length": length + n / 100, "cpu_seconds": 0.3 * n**exponent}
        for n in (4, 8, 16)
    ]


def test_growth_is_the_exponent_per_length() -> None:
    rows = rows_of("grpo", 1.0, "e", 18) + rows_of("mc", 1.5, "e", 18) + rows_of("grpo", 0.7, "m", 34)
    fitted = growth(rows)
    assert list(fitted) == ["18.16", "34.16"]
    assert fitted["18.16"] == pytest.approx({"grpo": 1.0, "mc": 1.5})
    assert fitted["34.16"]["grpo"] == pytest.approx(0.7)
    assert growth(rows_of("grpo", 1.0, "e", 18)[:1]) == {}


@pytest.mark.parametrize("name", [*FORMS, *LITERAL_FORMS])
def test_every_measured_form_is_a_legal_configuration(name: str, tmp_path) -> None:
    values = {**FORMS, **LITERAL_FORMS}[name]
    method = method_of(name)
    n = 4 if name in LITERAL_FORMS else 8
    config = METHODS[method][0](
        output_dir=str(tmp_path), use_cpu=True, num_generations=n, per_device_train_batch_size=n,
        gradient_accumulation_steps=1, **values,
    )  # fmt: skip
    assert config.num_generations == n


def test_targets_name_measured_forms() -> None:
    assert set(TARGETS) <= set(FORMS)
    assert {name for name, wanted in TARGETS.items() if wanted < 1.2} <= set(CLOSE_FORMS) <= set(FORMS)


def test_ratios_pair_the_rounds_that_both_forms_ran() -> None:
    def steps(*seconds: float) -> list[Step]:
        return [Step(s, 2 * s, dict.fromkeys(PHASES, 0.0), {"sampled": 1.0}, 5.0, 1.0, 20.0) for s in seconds]

    row = ratio_row("mc", 8, steps(2.0, 8.0, 3.0), steps(1.0, 2.0, 1.0, 9.0, 9.0), steps(1.0))
    assert (row["ratio"], row["ratio_wall"], row["rounds"]) == (3.0, 3.0, 3)
    assert row["ratio_ci"] == [2.0, 4.0]


@pytest.mark.parametrize(("text", "reason"), [("4,x", "want numbers"), ("1,4", "at least 2"), ("", "want numbers")])
def test_sizes_that_cannot_be_are_refused(text: str, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        bench_verb._sizes(text)
    assert bench_verb._sizes("8,4,8") == (4, 8)


def test_the_table_for_people_has_every_row_and_every_exponent() -> None:
    row = {
        "form": "mc",
        "n": 8,
        "length": 20.0,
        "ratio": 2.0,
        "ratio_ci": [1.9, 2.1],
        "cpu_seconds": 1.0,
        "peak_mib": 5,
    }
    text = lines({"rows": [row], "literal": {"rows": [row]}, "growth_by_length": {"20": {"mc": 1.25}}})
    assert len(text) == 4
    assert "[1.900, 2.100]" in text[1] and text[-1].endswith("mc: 1.25")


class Plain:
    """A batch whose policy gradients are the weights themselves."""

    @staticmethod
    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        a, b = one.ravel(), other.ravel()
        return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_an_exact_estimator_agrees_fully_and_noise_shows_as_variance_without_bias() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(1.0, 0.3, (40, 4))
    reference = [truth + rng.normal(0, 0.1, (30, 40, 4))]
    exact = fidelity.fidelity([Plain()], reference, [np.stack([truth] * 3)], "exact")
    noisy = fidelity.fidelity([Plain()], reference, [truth + rng.normal(0, 0.5, (30, 40, 4))], "noisy")
    shifted = fidelity.fidelity([Plain()], reference, [np.stack([truth + 0.2] * 3)], "shifted")
    assert exact["spearman_within"] > 0.95 and exact["gradient_cosine"] > 0.999
    assert exact["variance"] == pytest.approx(0, abs=1e-12) and exact["rms_bias"] < 0.02
    assert noisy["variance"] == pytest.approx(0.25, rel=0.1) and noisy["rms_bias"] < 0.05
    assert noisy["gradient_cosine"] < exact["gradient_cosine"] and noisy["spearman_within"] < 0.7
    assert shifted["bias"] == pytest.approx(0.2, abs=0.01) and shifted["rms_bias"] == pytest.approx(0.2, abs=0.02)


def test_a_redraw_of_the_reference_is_compared_with_the_others_alone() -> None:
    rng = np.random.default_rng(2)
    noise = [rng.normal(0, 1, (20, 50, 4))]
    row = fidelity.fidelity([Plain()], noise, noise, REFERENCE)
    assert abs(row["spearman"]) < 0.05 and abs(row["gradient_cosine"]) < 0.1
    assert row["rms_bias"] == 0.0


def test_the_gram_matrix_gives_the_cosine_of_autograd_s_policy_gradients(tiny_model) -> None:
    prompts, outputs = [[3, 4], [3, 4], [5], [5]], [[6, 7, 1], [8], [9, 9], [4, 2, 1]]
    gram = fidelity.score_gram(tiny_model, prompts, outputs)
    batch = types.SimpleNamespace(advantages=torch.tensor([[1.0, -1.0], [0.5, -0.5]]), gram=gram)
    weights = [np.array([[1.0, 2.0], [0.3, 0.7]]), np.array([[1.0, 1.0], [1.0, 1.0]])]
    gradients = []
    for weight in weights:
        tiny_model.zero_grad()
        total = 0.0
        for b, q, y in zip((batch.advantages.numpy() * weight).ravel(), prompts, outputs, strict=True):
            logps = tiny_model(torch.tensor([q + y])).logits[0, len(q) - 1 : -1].log_softmax(-1)
            total = total + b * logps[torch.arange(len(y)), torch.tensor(y)].mean()
        total.backward()
        gradients.append(torch.cat([p.grad.flatten() for p in tiny_model.parameters()]))
    want = torch.nn.functional.cosine_similarity(*gradients, dim=0).item()
    assert fidelity.Batch.cosine(batch, *weights) == pytest.approx(want, abs=1e-5)


def test_fidelity_is_drawn_from_the_table_alone() -> None:
    names = list(ESTIMATORS)
    table = pd.DataFrame(
        {
            "estimator": names,
            "cost": np.linspace(1.0, 9.0, len(names)),
            "gradient_cosine": np.linspace(0.5, 1.0, len(names)),
            "gradient_cosine_5": np.linspace(0.4, 0.9, len(names)),
            "gradient_cosine_95": np.linspace(0.6, 1.0, len(names)),
            "spearman_within": [*np.linspace(0.0, 0.9, len(names) - 1), np.nan],
        }
    )
    assert png(fidelity_over_cost(table)) == png(fidelity_over_cost(table))
    assert len(png(fidelity_over_cost(table))) > 10_000
