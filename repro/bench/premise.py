"""GC2PO's own premise on rollouts whose steps can be checked: `python -m repro bench premise`.

It says that sound steps with a wrong end should be credited above lucky ends of broken steps. Completions of a trained
base are credited four ways, by GC2PO, by its non-causal control, by GC2PO's own rewards in random order, which say
nothing of a step, and by the outcome alone, all under the same token credit; the procedural verifier says which of
their steps are sound. Every figure is of ranks or differences around the
question's own mean, with a 95 % bootstrap interval over questions. Nothing is trained.
"""

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from gcpo.trl_adapter import draw_rollout
from repro.bench.mechanism import Report
from repro.bench.overhead import make_form
from repro.bench.premise_figures import ARMS, CLAIMS, CONTROL, GC2PO, premise_figures, verdict
from repro.cells.experiments import get_arm, get_experiment
from repro.cells.plan import training_values
from repro.config import Profile
from repro.errors import BadInput
from repro.tasks.build import make_taskset
from repro.tasks.procedural import training_problems
from repro.tasks.procedural.steps import sound_steps
from repro.tasks.protocol import response_of

if TYPE_CHECKING:
    from gcpo.trainers.gc2po import Credit

STEP_END = ";"
QUESTIONS_AT_ONCE = 16


def measure_premise(
    profile: Profile, *, prompts: int = 256, n: int = 8, seed: int = 0, report: Report = lambda _: None
) -> dict[str, Any]:
    """Figures and verdicts on the base of table gc2po, as `python -m repro bench premise` prints them.

    prompts: training questions of `seed`, rounded up to whole batches; n: completions of each.
    Raises BadInput where no steps can be checked, where the base has not been made, and where its steps are all sound
    or all unsound.
    """
    tasks = make_taskset(profile.tasks)
    if profile.tasks.kind != "procedural":
        raise BadInput(f"bench premise: tasks of profile {profile.name} are of kind {profile.tasks.kind!r}; want "
                       "'procedural', whose steps can be checked")  # fmt: skip
    base = get_experiment("gc2po").bases(profile)[0]
    prompts += -prompts % QUESTIONS_AT_ONCE
    questions = tasks.training_questions(base, seed, prompts)
    problems = list(training_problems(profile.tasks.train_levels, seed, prompts, families=profile.tasks.train_families))
    episodes: list[dict[str, Any]] = []
    rollouts: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        trainers = {label: _trainer(profile, base, arm, n, questions, folder) for label, arm in ARMS.items()}
        trainer = trainers[GC2PO]
        tokenizer = trainer.processing_class
        stops = tasks.stop_ids(tokenizer, trainer.model.config._name_or_path)
        for start in range(0, prompts, QUESTIONS_AT_ONCE):
            places = [place for place in range(start, start + QUESTIONS_AT_ONCE) for _ in range(n)]
            batch = [{"prompt": tasks.prompt(questions[place]), "question": place} for place in places]
            credits = {}
            for label, each in trainers.items():
                torch.manual_seed(seed * 10_000 + start)
                draw_rollout(each, batch)
                credits[label] = each.credit
            responses = [response_of(tasks, tokenizer, ids, stops) for ids in credits[GC2PO].completions]
            verdicts = tasks.grade([questions[place] for place in places], responses)
            for row, place in enumerate(places):
                marker = trainer.args.answer_marker
                text, found, _ = responses[row].text.rpartition(marker)
                sound = sound_steps(text if found else responses[row].text, problems[place].steps)
                _record(credits, row, place, sound, verdicts[row].correct, episodes, rollouts)
            report(f"{start + QUESTIONS_AT_ONCE} of {prompts} questions")
    return _result(profile, base, n, pd.DataFrame(episodes), pd.DataFrame(rollouts))


def _trainer(profile: Profile, base: str, arm: str, n: int, questions: Sequence[Any], folder: str) -> Any:
    values = {**training_values(profile, base, get_arm(arm)), "max_scored_episodes": None}  # every step has its own
    if (values.get("segmentation"), values.get("episode_delimiter")) != ("delimiter", STEP_END):
        raise BadInput(f"bench premise: arm {arm} of profile {profile.name} has no episodes that end in {STEP_END!r}, "
                       "as steps do; want segmentation: delimiter")  # fmt: skip
    return make_form(profile, arm, values, n, QUESTIONS_AT_ONCE, questions, folder, base=base).trainer


def _record(
    credits: dict[str, "Credit"],
    row: int,
    question: int,
    sound: list[bool],
    right: bool,
    episodes: list[dict[str, Any]],
    rollouts: list[dict[str, Any]],
) -> None:
    """Add one completion and its steps. Raises RuntimeError where the trainers do not speak of the same steps."""
    ids, latents = credits[GC2PO].completions[row], credits[GC2PO].episodes[row].latents
    if any(credit.completions[row] != ids for credit in credits.values()):
        raise RuntimeError("the trainers sampled different completions; want equal ones from equal weights and seeds")
    if sound and len(sound) != len(latents):
        raise RuntimeError(f"completion of question {question} has {len(sound)} steps and {len(latents)} episodes")
    for step, fine in enumerate(sound):
        record = {"question": question, "step": step, "sound": fine}
        for arm, credit in credits.items():
            record |= {f"R {arm}": float(credit.rewards[row, step]), f"r_cc {arm}": float(credit.episodic[row, step])}
        episodes.append(record)
    broken = len(sound) - sum(sound)
    rollouts.append(
        {
            "question": question,
            "right": right,
            "steps": len(sound),
            "share_sound": sum(sound) / len(sound) if sound else np.nan,
            "sound_and_wrong": not right and len(sound) > 1 and broken <= 1,
            "lucky": right and broken > 0,
            **{f"credit {arm}": float(c.advantages[row, : len(ids)].mean()) for arm, c in credits.items()},
        }
    )


def _result(profile: Profile, base: str, n: int, episodes: pd.DataFrame, rollouts: pd.DataFrame) -> dict[str, Any]:
    mixed = 0 if episodes.empty else int((episodes.groupby("question")["sound"].nunique() > 1).sum())
    if mixed < 2:
        raise BadInput(f"bench premise: {mixed} questions have sound and unsound steps on base {base}; want at least 2")
    figures = premise_figures(episodes, rollouts)
    classes = {
        name: {"rollouts": int(part.sum()), "share_sound": float(rollouts["share_sound"][part].mean())}
        for name in ("sound_and_wrong", "lucky")
        if (part := rollouts[name]).any()
    }
    return {
        "what": "rank correlation of an episode's reward with the soundness of its step within a question, and credit "
        "(mean A_t) of completions with a wrong end whose steps are sound but for at most one, minus that of right "
        "ones with a broken step; values with 95 % bootstrap intervals over questions",
        "profile": profile.name,
        "base": base,
        "n": n,
        "questions": int(rollouts["question"].nunique()),
        "questions_mixed": mixed,
        "rollouts": len(rollouts),
        "without_steps": int((rollouts["steps"] == 0).sum()),
        "steps": len(episodes),
        "share_right": float(rollouts["right"].mean()),
        "share_sound": float(episodes["sound"].mean()),
        "classes": classes,
        "r_cc": {arm: [float(episodes[f"r_cc {arm}"].mean()), float(episodes[f"r_cc {arm}"].std())]
                 for arm in (GC2PO, CONTROL)},
        "figures": figures,
        "claims": [
            {"id": c.id, "text": c.text, "figure": c.figure, "verdict": verdict(figures[c.figure])} for c in CLAIMS
        ],
    }  # fmt: skip
