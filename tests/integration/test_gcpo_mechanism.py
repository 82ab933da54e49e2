"""`bench mechanism` on a tiny model: the whole table, and its statistics against loops."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from gcpo.scm import Group
from repro.bench import mechanism, mechanism_figures
from repro.cli import build_parser
from repro.errors import BadInput

ROWS = [{"prompt": f"{a} + {b} =", "answer": str((a + b) % 10)} for a in range(6) for b in range(4)]


def has_digit(outputs: list[list[int]], places: list[int]) -> list[bool]:
    """Right where an output of the toy vocabulary holds the answer's digit."""
    return [3 + int(ROWS[place]["answer"]) in output for output, place in zip(outputs, places, strict=True)]


@pytest.mark.parametrize("encoding", ["text", "cached_text"])
def test_every_figure_is_finite_and_inside_its_interval(tiny_model_dir: Path, encoding: str) -> None:
    found = mechanism.measure_mechanism(
        str(tiny_model_dir), ROWS, n=4, max_new_tokens=8, batch_size=16, encoding=encoding, right=has_digit,
        settings={"candidate_separator": ";"},
    )  # fmt: skip
    assert found["questions"] == 24 and 2 <= found["mixed"] <= 24
    figures = found["figures"]
    assert len([name for name in figures if name.startswith("gradient cosine")]) == 15
    for name, (value, low, high) in figures.items():
        assert np.isfinite([value, low, high]).all() and low <= value <= high, name
    assert figures["log-prob per token after q: right"][0] < 0
    assert abs(figures["Psi drawn twice: cosine between the draws"][0]) < 0.5
    assert "Psi drawn twice" in mechanism.describe(found)


def test_the_correlation_within_groups_is_pearson_s_of_centred_values() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(size=(2, 5, 4)) + np.arange(5)[:, None]
    centred = [[x[g, i] - x[g].mean() for g in range(5) for i in range(4)] for x in (a, b)]
    value, low, high = mechanism_figures.within(a, b)
    assert value == pytest.approx(np.corrcoef(*centred)[0, 1], abs=1e-12) and low < value < high


def test_the_gradient_s_cosine_is_that_of_the_sums_and_one_with_itself() -> None:
    one, other = np.random.default_rng(2).normal(size=(2, 6, 10))
    want = one.sum(0) @ other.sum(0) / np.linalg.norm(one.sum(0)) / np.linalg.norm(other.sum(0))
    assert mechanism_figures.gradient_cosine(one, other)[0] == pytest.approx(want, abs=1e-12)
    assert mechanism_figures.gradient_cosine(one, one) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(("size", "error"), [(1 << 15, 1e-5), (1 << 12, 0.05)])  # of 19,328 weights
def test_a_sketch_keeps_the_inner_products_of_the_whole_gradients(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, error: float
) -> None:
    monkeypatch.setattr(mechanism, "SKETCH", size)
    trainer = mechanism._trainer(
        str(tiny_model_dir), ROWS, 2, 8, output_dir=str(tmp_path), candidate_separator=";", answer_marker="#"
    )
    groups = [Group([5, 13, 4], [[6, 7, 1], [9, 1]]), Group([7, 13], [[8, 17, 4, 1], [6, 1]])]
    sketched = mechanism._sketched_scores(trainer, groups, 0).reshape(4, -1)
    rows = []
    for group in groups:
        for y in group.candidates:
            trainer.model.zero_grad()
            logits = trainer.model(torch.tensor([group.prompt_ids + y])).logits[0, len(group.prompt_ids) - 1 : -1]
            logits.log_softmax(-1).gather(-1, torch.tensor(y).unsqueeze(-1)).mean().backward()
            rows.append(torch.cat([p.grad.flatten() for p in trainer.model.parameters()]).double().numpy())
    whole = np.stack(rows)
    norms = np.linalg.norm(whole, axis=1)
    assert np.abs((sketched @ sketched.T - whole @ whole.T) / np.outer(norms, norms)).max() < error


def test_data_without_answers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.jsonl").write_text(json.dumps({"prompt": "1 + 1 ="}) + "\n")
    args = build_parser().parse_args(["bench", "mechanism", "--model", "m", "--data", str(tmp_path / "data.jsonl")])
    with pytest.raises(BadInput, match="a line without 'answer'"):
        args.call(args)


def test_an_interrupted_measurement_goes_on_and_gives_the_same_figures(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dict(n=4, max_new_tokens=8, batch_size=16, right=has_digit, settings={"candidate_separator": ";"})
    whole = mechanism.measure_mechanism(str(tiny_model_dir), ROWS[:12], **settings)
    mechanism.measure_mechanism(str(tiny_model_dir), ROWS[:8], keep=tmp_path, **settings)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-4.npz", "4-4.npz"]
    measured = []
    monkeypatch.setattr(mechanism, "_measure", lambda *a, real=mechanism._measure: measured.append(a[2]) or real(*a))
    assert mechanism.measure_mechanism(str(tiny_model_dir), ROWS[:12], keep=tmp_path, **settings) == whole
    assert measured == [[8, 9, 10, 11]]


def test_the_correlation_over_all_candidates_is_pearson_s() -> None:
    a, b = np.random.default_rng(3).normal(size=(2, 5, 4)) + np.arange(5)[:, None]
    value, low, high = mechanism_figures.pooled(a, b)
    assert value == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-12) and low < value < high


def test_the_command_measures_a_profile_s_questions_and_saves_the_table(
    tiny_model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(mechanism, "measure_mechanism", lambda model, rows, **given: {
        "model": Path(model).name, "n": given["n"], "questions": len(rows), "mixed": 0,
        "figures": {"right": (float(sum(given["right"]([[1]] * len(rows), list(range(len(rows)))))), 0.0, 0.0)},
    })  # fmt: skip
    words = ["bench", "mechanism", "--profile", "smoke", "--model", str(tiny_model_dir), "--prompts", "5", "--save"]
    args = build_parser().parse_args(words)
    assert args.call(args) == 0
    saved = json.loads((tmp_path / "published" / "smoke" / "bench" / "mechanism.json").read_text())
    assert saved["questions"] == 5 and saved["figures"]["right"][0] == 0 and "env" in saved
    assert "n = 8, 5 questions" in capsys.readouterr().out


def some_measured(seed: int = 3) -> mechanism_figures.Measured:
    """Five questions with four candidates, all mixed, and features of five dimensions."""
    draw = np.random.default_rng(seed)
    correct = np.tile([1.0, 0.0, 0.0, 1.0], (5, 1))
    first, second, corrected = draw.normal(size=(3, 2, 5, 4, 5)).astype(np.float32)
    return mechanism_figures.Measured(
        correct=correct, y_n=np.ones(5), vote=np.array([1.0, 0, 1, 1, 0]), lengths=draw.integers(3, 9, (5, 4)) * 1.0,
        z=draw.normal(size=(5, 4, 5)).astype(np.float32), first=first, second=second, corrected=corrected,
        after_q=-draw.random((5, 4)), after_x=-draw.random((5, 4)), sketches=draw.normal(size=(5, 4, 6)),
    )  # fmt: skip


def test_a_projection_that_is_zero_is_counted_and_has_no_part_in_the_cosine() -> None:
    measured = some_measured()
    measured.first[1, 2, 0] = measured.first[0, 2, 0]  # Step 3's mean is Step 2's
    measured.second[1, 4, 3] = measured.second[0, 4, 3]
    figures = mechanism_figures.figures_of(measured, seed=0)
    psi = [(part[0] - part[1]).astype(float) for part in (measured.first, measured.second)]
    cosines = [
        one @ two / np.linalg.norm(one) / np.linalg.norm(two)
        for g in range(5)
        for i in range(4)
        for one, two in [(psi[0][g, i], psi[1][g, i])]
        if one.any() and two.any()
    ]
    assert len(cosines) == 18
    value, low, high = figures["Psi drawn twice: cosine between the draws"]
    assert value == pytest.approx(np.mean(cosines), abs=1e-6) and low < value < high
    assert figures["Psi, one draw: share of candidates where it is 0"][0] == pytest.approx(1 / 20)


def test_a_figure_that_is_not_defined_is_left_out() -> None:
    measured = some_measured()
    measured.first[1], measured.second[1] = measured.first[0], measured.second[0]
    with np.errstate(all="raise", invalid="ignore"):
        figures = mechanism_figures.figures_of(measured, seed=0)
    assert figures["Psi, one draw: share of candidates where it is 0"] == (1.0, 1.0, 1.0)
    assert "Psi drawn twice: cosine between the draws" not in figures
    assert np.isfinite(list(figures.values())).all()
    json.loads(json.dumps(figures, allow_nan=False))
