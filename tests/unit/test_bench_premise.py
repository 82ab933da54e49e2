"""The premise of GC2PO: figures on records whose truth is known, claims, picture, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from repro.bench import premise
from repro.bench.premise_figures import (
    ARMS,
    CLAIMS,
    CONTROL,
    GAP,
    GC2PO,
    OUTCOME,
    PERMUTED,
    RANK,
    RANK_CC,
    RANK_STEP,
    lines,
    premise_figures,
)
from repro.config import load_profile
from repro.errors import BadInput
from repro.figures import png
from repro.figures.premise import premise as picture
from repro.verbs import bench as bench_verb


def records(questions: int = 60, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """GC2PO rewards sound steps, its control does the opposite in part, the outcome alone knows nothing of steps."""
    rng = np.random.default_rng(seed)
    episodes, rollouts = [], []
    for question in range(questions):
        for _ in range(4):
            sound, right = rng.random(3) < 0.7, rng.random() < 0.5
            for step, fine in enumerate(sound):
                noise = {arm: rng.normal(0, 0.3) for arm in (GC2PO, CONTROL, PERMUTED)}
                own = noise | {GC2PO: fine + noise[GC2PO], CONTROL: -0.3 * fine + noise[CONTROL], OUTCOME: 0.0}
                total = {f"R {arm}": right / 3 + cc for arm, cc in own.items()}
                episodes.append(
                    {"question": question, "step": step, "sound": fine, **total}
                    | {f"r_cc {arm}": cc + step for arm, cc in own.items()}
                )
            broken = 3 - sound.sum()
            credit = {GC2PO: sound.mean() + right / 3, CONTROL: right / 3, PERMUTED: 0.0, OUTCOME: float(right)}
            rollouts.append(
                {"question": question, "sound_and_wrong": not right and broken <= 1, "lucky": right and broken > 0}
                | {f"credit {arm}": value for arm, value in credit.items()}
            )
    return pd.DataFrame(episodes), pd.DataFrame(rollouts)


def test_figures_know_who_rewards_sound_steps() -> None:
    found = premise_figures(*records())
    assert found[f"{RANK}: {GC2PO}"][1] > 0.5
    assert found[f"{RANK}: {CONTROL}"][2] < 0
    assert found[f"{RANK}: {OUTCOME}"][1] < 0 < found[f"{RANK}: {OUTCOME}"][2]
    assert found[f"{RANK}: {GC2PO} - {OUTCOME}"][1] > 0.3
    difference = found[f"{RANK}: {GC2PO}"][0] - found[f"{RANK}: {CONTROL}"][0]
    assert found[f"{RANK}: {GC2PO} - {CONTROL}"][0] == pytest.approx(difference)
    # r_cc grows with the step's number here, which a comparison among steps of one number does not see
    assert found[f"{RANK_STEP}: {GC2PO}"][0] > found[f"{RANK_CC}: {GC2PO}"][0] + 0.2
    assert set(found) >= {claim.figure for claim in CLAIMS}


def test_on_one_question_the_rank_correlation_is_spearmans() -> None:
    episodes, rollouts = records(questions=1)
    found = premise_figures(episodes, rollouts)[f"{RANK}: {GC2PO}"]
    wanted = spearmanr(episodes[f"R {GC2PO}"], episodes["sound"]).statistic
    assert found == pytest.approx((wanted, wanted, wanted))


def test_rewards_that_differ_by_rounding_are_equal() -> None:
    episodes, rollouts = records()
    episodes[f"r_cc {GC2PO}"] = 1.7 + 1e-15 * np.arange(len(episodes))
    assert premise_figures(episodes, rollouts)[f"{RANK_CC}: {GC2PO}"] is None


def test_the_gap_is_the_difference_of_the_classes_means_and_none_without_one_of_them() -> None:
    episodes, rollouts = records()
    found = premise_figures(episodes, rollouts)
    for arm in ARMS:
        means = [rollouts.loc[rollouts[name], f"credit {arm}"].mean() for name in ("sound_and_wrong", "lucky")]
        assert found[f"{GAP}: {arm}"][0] == pytest.approx(means[0] - means[1])
        assert found[f"{GAP}: {arm}"][1] <= found[f"{GAP}: {arm}"][0] <= found[f"{GAP}: {arm}"][2]
    without = premise_figures(episodes, rollouts.assign(lucky=False))
    assert all(without[f"{GAP}: {arm}"] is None for arm in ARMS) and without[f"{RANK}: {GC2PO}"] is not None


def result(episodes: pd.DataFrame, rollouts: pd.DataFrame) -> dict:
    rollouts = rollouts.assign(right=rollouts["lucky"], steps=3, share_sound=0.7)
    return premise._result(load_profile("smoke"), "nano-t", 4, episodes, rollouts)


def test_verdicts_text_and_picture_come_from_the_figures_alone() -> None:
    episodes, rollouts = records()
    full, poor = result(episodes, rollouts), result(episodes, rollouts.assign(lucky=False))
    verdicts = {claim["id"]: claim["verdict"] for claim in full["claims"]}
    assert verdicts["sound"] == verdicts["sound>outcome"] == verdicts["own"] == "supported"
    assert {claim["id"]: claim["verdict"] for claim in poor["claims"]}["premise"] == "not tested"
    assert list(poor["classes"]) == ["sound_and_wrong"]
    text = "\n".join(lines(poor))
    assert "nothing to compare" in text and "it does so more than the outcome alone: supported" in text
    assert png(picture(full)) == png(picture(full)) != png(picture(poor))


def test_steps_that_are_all_sound_are_refused_with_one_line() -> None:
    episodes, rollouts = records()
    with pytest.raises(BadInput, match="0 questions have sound and unsound steps on base nano-t; want at least 2"):
        result(episodes.assign(sound=True), rollouts)


@pytest.mark.parametrize(
    ("profile", "overrides", "reason"),
    [
        ("pretrained", [], "tasks of profile pretrained are of kind 'words'; want 'procedural'"),
        ("smoke", ["arms.gc2po.segmentation=tags"], "arm gc2po of profile smoke has no episodes that end in ';'"),
    ],
)
def test_where_steps_cannot_be_checked_the_line_says_what_would_be_right(
    profile: str, overrides: list[str], reason: str
) -> None:
    with pytest.raises(BadInput, match=reason) as refusal:
        premise.measure_premise(load_profile(profile, overrides))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["premise", "--n", "1"], "--n 1, --prompts 256: want at least 2 and 1"),
        (["overhead", "--form", "gc2po K"], "--form 'gc2po K' does not exist; did you mean 'gc2po K"),
        (["overhead", "--form", "gc2po K<=4", "--save"], "what is saved is the run of all forms"),
    ],
)
def test_options_without_meaning_are_refused(arguments: list[str], reason: str) -> None:
    import argparse

    from repro.verbs.common import make_parents

    parser = argparse.ArgumentParser()
    bench_verb.add(parser.add_subparsers(), make_parents())
    args = parser.parse_args(["bench", *arguments, "--profile", "smoke"])
    with pytest.raises(BadInput, match=reason):
        args.call(args)
