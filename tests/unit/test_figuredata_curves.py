"""Training curves from cells whose truth is known: compute, fits and the verdicts on them."""

import numpy as np
import pytest
from synthetic_cells import make_cell

from repro.cells.experiments import get_experiment
from repro.config import load_profile
from repro.figuredata.curves import measure
from repro.figuredata.model import ALL
from repro.references import resolve
from repro.stats.curves import sigmoid

CURVES = get_experiment("curves")
STEPS = np.arange(0, 25, 4)
SUITES = ("modten-easy", "modten-far")


def cell(arm, seed, midpoint, ceiling, tokens=1000.0, noise=0.004):
    rng = np.random.default_rng([seed, len(arm)])
    share = sigmoid(STEPS, 0.2, ceiling, midpoint, 2.5) + np.where(STEPS > 0, rng.normal(0, noise, len(STEPS)), 0)
    points = [
        {
            "step": int(step),
            "seconds": 2.0 * step,
            "core_seconds": 1.5 * step + 0.3,  # a start that is no training
            "samples": 2000,
            "correct": {suite: [round(2000 * accuracy)] * 5 for suite in SUITES},
            "greedy": {suite: [1, 0, 0, 1, 0] for suite in SUITES},
            "completion_tokens": tokens * step,
        }
        for step, accuracy in zip(STEPS, share, strict=True)
    ]
    return {
        "cell_id": f"{arm}{seed}", "base": "duo-s", "arm": arm, "seed": seed, "commit": "c", "dirty": False,
        "device": "cpu", "train": {"curve": points},
    }  # fmt: skip


def built(tmp_path, gcpo, grpo, seeds=4):
    cells = [cell("gcpo_expected_curve", seed, *gcpo) for seed in range(seeds)]
    cells += [cell("grpo_curve", seed, *grpo) for seed in range(seeds)]
    return measure(load_profile("micro"), CURVES, cells, tmp_path, "make")


def verdicts(figure):
    return {
        each.statement: each.verdict for each in figure.decisions if each.base != ALL and "than GRPO" in each.statement
    }


FASTER, FASTER_SECONDS, HIGHER = (
    "GCPO expected is faster than GRPO per token",
    "GCPO expected is faster than GRPO per core-second",
    "GCPO expected ends higher than GRPO",
)


def test_an_arm_that_gets_there_earlier_is_faster_and_not_better(tmp_path):
    figure = built(tmp_path, (6.0, 0.6), (9.0, 0.6))
    found = verdicts(figure)
    assert (found[FASTER], found[FASTER_SECONDS]) == ("supported", "supported") and found[HIGHER] != "supported"
    shown = figure.decision(FASTER, "duo-s").measured
    assert float(shown.split(" ")[0]) == pytest.approx(6 / 9, abs=0.08)  # of the rival's tokens


def test_a_higher_ceiling_is_found_and_its_mirror_image_is_reversed(tmp_path):
    assert verdicts(built(tmp_path, (8.0, 0.65), (8.0, 0.5)))[HIGHER] == "supported"
    assert verdicts(built(tmp_path, (8.0, 0.5), (8.0, 0.65)))[HIGHER] == "reversed"


def test_equal_curves_are_neither(tmp_path):
    found = verdicts(built(tmp_path, (8.0, 0.6), (8.0, 0.6)))
    assert set(found.values()) == {"undecided"}


def test_a_curve_that_falls_has_no_speed(tmp_path):
    found = verdicts(built(tmp_path, (8.0, 0.1), (8.0, 0.6)))
    assert (found[FASTER], found[HIGHER]) == ("not tested", "reversed")


def test_compute_starts_at_nothing_and_fits_have_intervals_over_seeds(tmp_path):
    figure = built(tmp_path, (6.0, 0.6), (9.0, 0.6))
    own = [row for row in figure.rows if row["arm"] == "gcpo_expected_curve"]
    points = [row for row in own if row["kind"] == "point" and row["unit"] == "core-seconds"]
    assert [row["compute"] for row in points] == pytest.approx([1.5 * step for step in STEPS])
    fit = next(row for row in own if row["kind"] == "fit" and row["unit"] == "generated tokens")
    assert fit["midpoint_low"] < 6000 < fit["midpoint_high"] and fit["ceiling_low"] < 60 < fit["ceiling_high"]
    alone = built(tmp_path, (6.0, 0.6), (9.0, 0.6), seeds=1)
    fit = next(row for row in alone.rows if row["kind"] == "fit")
    assert fit["midpoint_low"] is None and verdicts(alone)[FASTER] == "not tested"


@pytest.mark.parametrize("name", ["curves", "rates"])
def test_a_study_without_a_trained_cell_has_a_picture_that_says_so(name, tmp_path):
    study = get_experiment(name)
    base = {**make_cell("nano-s", "base", 0, suites=SUITES, questions=5), "base": "duo-s", "device": "cpu"}
    profile = load_profile("micro", ["tasks.suites={modten-easy: 5, modten-far: 5}"])
    figure = resolve(study.measure)(profile, study, [base | {"train": None}], tmp_path, "make")
    assert figure.rows == ()
    texts = [each.get_text() for axes in resolve(study.draw)(figure).axes for each in axes.texts]
    assert texts == ["not run yet"]
