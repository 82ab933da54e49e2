"""Figures 3, 5 and 6 on synthetic cells: their registration, the verdicts, the counts, the pictures."""

from dataclasses import replace

import pytest
from synthetic_cells import make_cell

from repro.cells.experiments import EXPERIMENTS, get_arm
from repro.cells.plan import make_cell as planned_cell
from repro.cells.plan import plan_cells
from repro.config import load_profile
from repro.errors import BadInput
from repro.evaluation.store import GREEDY, SAMPLES, Sample, append_samples
from repro.figuredata import arms, sides
from repro.figuredata.markdown import to_markdown
from repro.figuredata.model import read_figure, to_json
from repro.figures import arms as arm_pictures
from repro.figures import sides as side_pictures
from repro.methods.inputs import KINDS
from repro.methods.registry import METHODS
from repro.tables import answered_by
from repro.tasks.build import make_taskset

BASE = "nano-s"
CODE = ("programs-0shot", "programs-5shot")
FIGURE6, FIGURE3, FIGURE5 = (EXPERIMENTS[name] for name in ("figure6", "figure3", "figure5"))


def words(data):
    return {each.statement: each.verdict for each in data.decisions}


def test_panels_and_rules_name_arms_of_the_figure_alone():
    for figure in (FIGURE3, FIGURE6):
        assert {arm for panel in figure.panels for arm in panel.arms} <= set(figure.arms)
        for statement in figure.statements:
            rule, *rest = statement.test.split()
            assert rule in arms._TESTS
            named = {part for word in rest for part in word.split(">")} - {"over", "plus", "minus", "@0", "@1"}
            assert named <= set(figure.arms), statement.id
    assert {each.test for each in FIGURE5.statements} == set(sides._TESTS)
    assert {f"{policy}_{kind}" for policy in ("grpo", "gcpo_expected") for kind in KINDS} <= set(FIGURE6.arms)


def test_a_cell_of_inputs_waits_for_its_policy_and_has_the_contexts_of_training():
    smoke = load_profile("smoke")
    base = next(iter(smoke.bases))
    cell = planned_cell(smoke, base, get_arm("grpo_x"), 0)
    policy = planned_cell(smoke, base, get_arm("grpo"), 0)
    assert (cell.spec["policy"], cell.spec["policy_trained"], cell.trained) == (policy.id, True, False)
    assert cell.spec["inputs"] == planned_cell(smoke, base, get_arm("gcpo_mc"), 0).spec["train"]
    assert "search" not in cell.spec and "inputs" not in METHODS
    planned = [each.arm for each in plan_cells(smoke, FIGURE6, seeds=1)]
    assert planned == ["base", "grpo", "grpo_x", "gcpo_expected", "gcpo_expected_x"]


# ---- Figure 6


def cell(arm, effect, seed=0, suites=("modten-easy", "modten-far"), questions=400):
    like = "base" if arm == "base" else "grpo"
    made = make_cell(
        BASE, like, 1000 * (1 + abs(hash_of(arm))) + seed, effect=effect, suites=suites, seed_sd=0.001,
        questions=questions, greedy=True,
    )  # fmt: skip
    return made | {"arm": arm, "seed": seed, "cell_id": f"{BASE}__{arm}__s{seed}"}


def hash_of(arm):
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(arm)) % 997


def inputs_cells(effects, seeds=3):
    """The cells of Figure 6: plain ones, and one of four kinds per policy; 0.10 where no effect is named."""
    found = []
    for seed in range(seeds):
        found += [cell(arm, effects.get(arm, 0.10), seed) for arm in ("base", "grpo", "gcpo_expected")]
        for policy in ("grpo", "gcpo_expected"):
            rows = {kind: cell(f"{policy}_{kind}", effects.get(f"{policy}_{kind}", 0.10), seed) for kind in KINDS}
            kinds = {kind: row["suites"] for kind, row in sorted(rows.items())}
            found.append(rows["x"] | {"kinds": kinds, "suites": kinds["x"]})
    return found


def figure6(tmp_path, effects, margin=0.1, seeds=3):
    profile = load_profile("micro-slips", ["tasks.suites={modten-easy: 400, modten-far: 400}"])
    experiment = replace(FIGURE6, margin=margin, role="R1-Distill-1.5B")
    return arms.measure(profile, experiment, inputs_cells(effects, seeds), tmp_path, "make reproduce")


def test_a_cell_of_several_kinds_is_a_row_for_each():
    (*_, last) = inputs_cells({}, seeds=1)
    rows = {row["arm"]: row for row in answered_by(last)}
    assert set(rows) == {f"gcpo_expected_{kind}" for kind in KINDS}
    assert rows["gcpo_expected_vote"]["suites"] == last["kinds"]["vote"]
    assert rows["gcpo_expected_x"]["seconds"] and not rows["gcpo_expected_vote"]["seconds"]


def test_the_papers_picture_is_found_where_it_is_true(tmp_path):
    effects = {"grpo": 0.05, "grpo_x": 0.10, "grpo_projected": 0.15, "grpo_features": 0.02}
    found = words(figure6(tmp_path, effects, margin=0.6))
    names = ("under GRPO q is poorest", "under GRPO x is above q", "under GRPO the projection is best")
    for name in (*names, "GCPO is stable over the inputs"):
        assert found[name] == "supported", name
    assert found["under GRPO the projection of features is best"] == "reversed"
    assert found["GCPO is more robust to x than GRPO"] == "supported"
    assert found["the projection beats a vote"] != "supported"  # under GCPO both are at .10


def test_the_opposite_is_found_where_it_is_true(tmp_path):
    effects = {"grpo_x": 0.02, "grpo_projected": 0.05, "gcpo_expected_x": 0.0, "grpo_vote": 0.16,
               "gcpo_expected_vote": 0.16}  # fmt: skip
    found = words(figure6(tmp_path, effects))
    assert found["under GRPO x is above q"] == found["under GRPO the projection is best"] == "reversed"
    assert found["GCPO is stable over the inputs"] == "contradicted"
    assert found["x beats a vote"] == found["the projection beats a vote"] == "reversed"


def test_equal_inputs_are_equivalent(tmp_path):
    found = words(figure6(tmp_path, {}, margin=0.6))
    assert set(found.values()) == {"equivalent", "supported"}
    assert {name for name, word in found.items() if word == "supported"} == {"GCPO is stable over the inputs"}


def test_what_was_not_run_is_said(tmp_path):
    profile = load_profile("micro-slips", ["tasks.suites={modten-easy: 400, modten-far: 400}"])
    experiment = replace(FIGURE6, role="R1-Distill-1.5B")
    plain = [each for each in inputs_cells({}, seeds=1) if "kinds" not in each]
    data = arms.measure(profile, experiment, plain, tmp_path, "make reproduce")
    assert set(words(data).values()) == {"not tested"}
    assert "Not run: GRPO, x; GRPO, projected;" in data.notes[-1]


def test_the_picture_has_a_mark_for_every_measured_arm(tmp_path):
    data = figure6(tmp_path, {}, seeds=1)
    panels = arm_pictures.draw(data).axes
    assert [len(axes.get_yticks()) for axes in panels] == [5, 5]
    drawn = [line for axes in panels for line in axes.lines if line.get_zorder() == 4]
    assert len(drawn) == len(data.rows) == 10


# ---- Figure 3


def figure3(tmp_path, effects, seeds=3):
    """effects: of an arm on (0-shot, 5-shot)."""
    profile = load_profile(
        "micro", [f"tasks.suites={{{', '.join(f'{name}: 164' for name in CODE)}}}"], target="figure3"
    )
    profile = profile.model_copy(update={"bases": {BASE: profile.bases["nano-code"]}})
    found = []
    for arm in FIGURE3.arms:
        for seed in range(seeds):
            both = [cell(arm, effect, seed, suites=CODE, questions=164) for effect in effects.get(arm, (0.1, 0.1))]
            suites = {name: each["suites"][name] for name, each in zip(CODE, both, strict=True)}
            found.append(both[0] | {"suites": suites})
    return arms.measure(profile, FIGURE3, found, tmp_path, "make reproduce")


def test_figure_3_tells_where_gcpo_leads_and_where_its_lead_grows(tmp_path):
    found = words(figure3(tmp_path, {"gcpo_expected": (0.12, 0.30), "gvpo": (0.2, 0.05)}))
    assert found["strongest 0-shot"] == "reversed"
    assert found["strongest 5-shot"] == "supported"
    assert found["above the base 0-shot"] == found["above the base 5-shot"] == "supported"
    assert found["wider with five shots"] == "supported"
    found = words(figure3(tmp_path, {"gcpo_expected": (0.3, 0.1)}))
    assert found["wider with five shots"] == "reversed"


def test_figure_3_stands_beside_the_papers_values(tmp_path):
    data = figure3(tmp_path, {}, seeds=1)
    printed = {(row["panel"], row["arm"]): row["paper"] for row in data.rows if row["paper"] is not None}
    assert printed == {
        ("0-shot (programs-0shot)", "base"): 62.2, ("5-shot (programs-5shot)", "base"): 66.5,
        ("0-shot (programs-0shot)", "gcpo_expected"): 65.1, ("5-shot (programs-5shot)", "gcpo_expected"): 72.0,
    }  # fmt: skip
    assert "65.1" in to_markdown(data)


# ---- Figure 5


def sample(suite, name, correct, text):
    return Sample(
        suite, name, GREEDY, 0, 0, text, 1, 4, True, False, correct, "correct" if correct else "wrong", "", None
    )


def figure5(tmp_path, outcomes, texts=("1+1=2;#2", "1+1=2;#2"), seeds=1):
    """outcomes: (GRPO right, GCPO right) of every question, in order."""
    profile = load_profile("micro-slips", [f"tasks.suites={{modten-easy: {len(outcomes)}}}"])
    with make_taskset(profile.tasks) as tasks:
        names = [question.id for question in tasks.questions("modten-easy")]
    found = []
    for seed in range(seeds):
        for arm, side in (("base", None), ("grpo", 0), ("gcpo_expected", 1)):
            made = cell(arm, 0.1, seed, suites=("modten-easy",), questions=len(outcomes))
            if side is not None:
                right = [pair[side] for pair in outcomes]
                made["suites"]["modten-easy"]["greedy"]["correct"] = [int(each) for each in right]
                (tmp_path / made["cell_id"]).mkdir(exist_ok=True)
                path = tmp_path / made["cell_id"] / SAMPLES
                path.unlink(missing_ok=True)
                append_samples(
                    path, [sample("modten-easy", n, c, texts[side]) for n, c in zip(names, right, strict=True)]
                )
            found.append(made)
    experiment = replace(FIGURE5, role="R1-Distill-1.5B")
    return sides.measure(profile, experiment, found, tmp_path, "make reproduce")


MIXED = [(True, True)] * 10 + [(True, False)] * 3 + [(False, True)] * 20 + [(False, False)] * 7


def test_figure_5_counts_every_question_and_shows_six_by_their_ids(tmp_path):
    data = figure5(tmp_path, MIXED)
    (row,) = [row for row in data.rows if row["suite"] == "modten-easy"]
    assert (row["both"], row["left"], row["right"], row["neither"], row["questions"]) == (10, 3, 20, 7, 40)
    assert words(data)["the story is commoner than its mirror image"] == "supported"
    assert data.finding == "nano-s: GCPO alone is right 20 times in 40 pairs of answers, GRPO alone 3 times"
    assert len(data.examples) == 6
    again = figure5(tmp_path, MIXED[::-1])
    assert [each["question"] for each in again.examples] == [each["question"] for each in data.examples]
    assert (
        words(figure5(tmp_path, [(b, a) for a, b in MIXED]))["the story is commoner than its mirror image"]
        == "reversed"
    )


def test_figure_5_several_seeds_use_the_paired_interval(tmp_path):
    assert words(figure5(tmp_path, MIXED, seeds=3))["the story is commoner than its mirror image"] == "supported"


def test_figure_5_steps_and_errors(tmp_path):
    longer = words(figure5(tmp_path, MIXED, ("1+1=3;#3", "1+1=2;2+1=3;3+1=4;#4")))
    assert longer["identical step budgets"] == "contradicted"
    assert longer["GRPO's answers hold more wrong steps"] == "supported"
    same = words(figure5(tmp_path, MIXED))
    assert same["identical step budgets"] == "supported"
    assert same["GRPO's answers hold more wrong steps"] == "undecided"
    assert (
        same["the six are a random draw, at our rate"] == "undecided"
    )  # half of the questions, surely below .65: .65^6 is 7 %
    rare = words(figure5(tmp_path, [(b, a) for a, b in MIXED]))
    assert rare["the six are a random draw, at our rate"] == "contradicted"


def test_figure_5_survives_its_json_and_its_text_and_picture_show_the_answers(tmp_path):
    data = figure5(tmp_path, MIXED)
    (tmp_path / "figure5.json").write_text(to_json(data))
    assert read_figure(tmp_path / "figure5.json") == data
    text = to_markdown(data)
    assert "## Answers side by side" in text and text.count("| GRPO | GCPO expected |") == 6
    bars, *answers = side_pictures.draw(data).axes
    assert len(bars.patches) == 4 and len(answers) == 6
    assert all(len(axes.texts) == 2 for axes in answers)


def test_figure_5_without_samples_is_refused(tmp_path):
    data_cells = figure5(tmp_path, MIXED).head.cells
    (tmp_path / data_cells[-1] / SAMPLES).unlink()
    profile = load_profile("micro-slips", ["tasks.suites={modten-easy: 40}"])
    cells = [cell(arm, 0.1, suites=("modten-easy",), questions=40) for arm in ("base", "grpo", "gcpo_expected")]
    with pytest.raises(BadInput, match="policy has no greedy answer"):
        sides.measure(profile, replace(FIGURE5, role="R1-Distill-1.5B"), cells, tmp_path, "make")
