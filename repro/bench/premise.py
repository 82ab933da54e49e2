"""GC2PO's own premise on rollouts whose steps can be checked: `python -m repro bench premise`.

It says that sound steps with a wrong end should be credited above lucky ends of broken steps. Completions of a trained
base are credited three ways, by GC2PO, by its non-causal control, and by the outcome alone, under the same token
credit; the procedural verifier says which of their steps are sound. Every figure is of ranks or differences around the
question's own mean, with a 95 % bootstrap interval over questions. Nothing is trained.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from repro.bench.mechanism import Report, interval
from repro.bench.overhead import Form, make_form
from repro.cells.experiments import get_arm, get_experiment
from repro.cells.plan import training_values
from repro.config import Profile
from repro.errors import BadInput
from repro.stats.verdicts import NOT_TESTED, direction_verdict
from repro.tasks.build import make_taskset
from repro.tasks.procedural import training_problems
from repro.tasks.procedural.steps import sound_steps
from repro.tasks.protocol import response_of

if TYPE_CHECKING:
    from gcpo.trainers.gc2po import Credit

GC2PO, CONTROL, OUTCOME = "GC2PO", "its control", "outcome alone"
ARMS = {GC2PO: "gc2po", CONTROL: "gc2po_noncausal", OUTCOME: "gc2po_credit_only"}
STEP_END = ";"
QUESTIONS_AT_ONCE = 16
RANK, RANK_CC, RANK_STEP = "rank correlation, R", "rank correlation, r_cc", "the same among steps of one number, r_cc"
GAP = "credit of sound with a wrong end - lucky"
DECIMALS = 9  # of a reward that counts as equal to another: terms that are 1 everywhere differ by their rounding


@dataclass(frozen=True)
class Claim:
    """A sentence that is supported where the interval of its figure lies above 0; written before any run."""

    id: str
    text: str
    figure: str


CLAIMS = (
    Claim("sound", "GC2PO rewards an episode more where its step is sound", f"{RANK}: {GC2PO}"),
    Claim("sound>outcome", "it does so more than the outcome alone", f"{RANK}: {GC2PO} - {OUTCOME}"),
    Claim("sound>control", "it does so more than its non-causal control", f"{RANK}: {GC2PO} - {CONTROL}"),
    Claim("own", "r_cc by itself is higher where a step is sound", f"{RANK_CC}: {GC2PO}"),
    Claim("premise", "sound steps with a wrong end get more credit than a lucky end", f"{GAP}: {GC2PO}"),
    Claim("premise>outcome", "they get more than under the outcome alone", f"{GAP}: {GC2PO} - {OUTCOME}"),
    Claim("premise>control", "they get more than under the non-causal control", f"{GAP}: {GC2PO} - {CONTROL}"),
)


def premise_figures(episodes: pd.DataFrame, rollouts: pd.DataFrame) -> dict[str, tuple[float, float, float] | None]:
    """Figure -> (value, low, high); None where it has nothing to compare.

    episodes: one row per step: question, step (its number), sound, and for every arm "R ..." and "r_cc ...".
    rollouts: one row per completion: question, sound_and_wrong, lucky, and for every arm "credit ...".
    """
    questions = sorted(set(rollouts["question"]))
    figures: dict[str, tuple[float, float, float] | None] = {}
    whole = {arm: _rank_sums(episodes, f"R {arm}", ["question"], questions) for arm in ARMS}
    figures |= {f"{RANK}: {arm}": _figure(sums, _correlation) for arm, sums in whole.items()}
    for other in (CONTROL, OUTCOME):
        figures[f"{RANK}: {GC2PO} - {other}"] = _figure(
            np.hstack([whole[GC2PO], whole[other]]), lambda s: _correlation(s[:3]) - _correlation(s[3:])
        )
    for arm in (GC2PO, CONTROL):
        for name, within in ((RANK_CC, ["question"]), (RANK_STEP, ["question", "step"])):
            sums = _rank_sums(episodes, f"r_cc {arm}", within, questions)
            figures[f"{name}: {arm}"] = _figure(sums, _correlation)
    gaps = {arm: _class_sums(rollouts, f"credit {arm}", questions) for arm in ARMS}
    figures |= {f"{GAP}: {arm}": _figure(sums, _gap) for arm, sums in gaps.items()}
    for other in (CONTROL, OUTCOME):
        figures[f"{GAP}: {GC2PO} - {other}"] = _figure(
            np.hstack([gaps[GC2PO], gaps[other]]), lambda s: _gap(s[:4]) - _gap(s[4:])
        )
    return figures


def _rank_sums(table: pd.DataFrame, column: str, within: list[str], questions: Sequence[int]) -> np.ndarray:
    """[questions, 3]: sums of products of the ranks of `column` and `sound`, ab, aa, bb, centred within groups.

    A rank is divided by the size of its group, so that a long group counts for its members and no more.
    """
    values = table[[column, "sound"]].astype(float).round(DECIMALS)
    keys = [table[name] for name in within]
    size = values.groupby(keys)["sound"].transform("size")
    ranks = values.groupby(keys).rank().sub((size + 1) / 2, axis=0).div(size, axis=0)  # halves: equal ones stay equal
    a, b = ranks[column], ranks["sound"]
    sums = pd.DataFrame({"ab": a * b, "aa": a * a, "bb": b * b}).groupby(table["question"]).sum()
    return sums.reindex(questions, fill_value=0.0).to_numpy()


def _class_sums(rollouts: pd.DataFrame, column: str, questions: Sequence[int]) -> np.ndarray:
    """[questions, 4]: sum and count of `column` over the sound ones with a wrong end, then over the lucky ones."""
    parts = {}
    for name in ("sound_and_wrong", "lucky"):
        parts[f"{name}, sum"] = rollouts[column] * rollouts[name]
        parts[f"{name}, count"] = rollouts[name].astype(float)
    return pd.DataFrame(parts).groupby(rollouts["question"]).sum().reindex(questions).to_numpy()


def _correlation(sums: np.ndarray) -> np.ndarray:
    return sums[0] / np.sqrt(sums[1] * sums[2])


def _gap(sums: np.ndarray) -> np.ndarray:
    return sums[0] / sums[1] - sums[2] / sums[3]


def _figure(sums: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float, float] | None:
    """The figure with its interval, None where it is no number on all questions together."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if not np.isfinite(figure(sums.mean(axis=0))):
            return None
    return interval(sums, figure)


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
        forms = {label: _form(profile, base, arm, n, questions, folder) for label, arm in ARMS.items()}
        trainer = forms[GC2PO].trainer
        tokenizer = trainer.processing_class
        stops = tasks.stop_ids(tokenizer, trainer.model.config._name_or_path)
        for start in range(0, prompts, QUESTIONS_AT_ONCE):
            places = [place for place in range(start, start + QUESTIONS_AT_ONCE) for _ in range(n)]
            batch = [{"prompt": tasks.prompt(questions[place]), "question": place} for place in places]
            credits = {}
            for label, form in forms.items():
                form.step(batch, seed=seed * 10_000 + start)
                credits[label] = form.trainer.credit
            responses = [response_of(tasks, tokenizer, ids, stops) for ids in credits[GC2PO].completions]
            verdicts = tasks.grade([questions[place] for place in places], responses)
            for row, place in enumerate(places):
                marker = trainer.args.answer_marker
                text, found, _ = responses[row].text.rpartition(marker)
                sound = sound_steps(text if found else responses[row].text, problems[place].steps)
                _record(credits, row, place, sound, verdicts[row].correct, episodes, rollouts)
            report(f"{start + QUESTIONS_AT_ONCE} of {prompts} questions")
    return _result(profile, base, n, pd.DataFrame(episodes), pd.DataFrame(rollouts))


def _form(profile: Profile, base: str, arm: str, n: int, questions: Sequence[Any], folder: str) -> Form:
    values = {**training_values(profile, base, get_arm(arm)), "max_scored_episodes": None}  # every step has its own
    if (values.get("segmentation"), values.get("episode_delimiter")) != ("delimiter", STEP_END):
        raise BadInput(f"bench premise: arm {arm} of profile {profile.name} has no episodes that end in {STEP_END!r}, "
                       "as steps do; want segmentation: delimiter")  # fmt: skip
    return make_form(profile, arm, values, n, QUESTIONS_AT_ONCE, questions, folder, base=base)


def _record(
    credits: dict[str, "Credit"],
    row: int,
    question: int,
    sound: list[bool],
    right: bool,
    episodes: list[dict[str, Any]],
    rollouts: list[dict[str, Any]],
) -> None:
    """Add one completion and its steps. Raises RuntimeError where the forms do not speak of the same steps."""
    ids, latents = credits[GC2PO].completions[row], credits[GC2PO].episodes[row].latents
    if any(credit.completions[row] != ids for credit in credits.values()):
        raise RuntimeError("the forms sampled different completions; want equal ones from equal weights and seeds")
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
            {"id": c.id, "text": c.text, "figure": c.figure, "verdict": _verdict(figures[c.figure])} for c in CLAIMS
        ],
    }  # fmt: skip


def _verdict(figure: tuple[float, float, float] | None) -> str:
    return NOT_TESTED if figure is None else direction_verdict(*figure[1:], None)


def lines(result: dict[str, Any]) -> list[str]:
    """The result as text for people."""
    head = (
        f"{result['base']} ({result['profile']}): {result['questions']} questions x {result['n']}, {result['steps']} "
        f"steps, {100 * result['share_sound']:.1f} % sound; {100 * result['share_right']:.1f} % of completions right; "
        f"{result['without_steps']} without steps"
    )
    classes = [
        f"{name.replace('_', ' ')}: {part['rollouts']} completions, {100 * part['share_sound']:.1f} % of steps sound"
        for name, part in result["classes"].items()
    ]
    spread = [f"r_cc of {arm}: mean {mean:.3f}, SD {sd:.3f}" for arm, (mean, sd) in result["r_cc"].items()]
    width = max(map(len, result["figures"]))
    rows = [
        f"{name.ljust(width)}  " + ("nothing to compare" if f is None else f"{f[0]: .3f} [{f[1]: .3f}, {f[2]: .3f}]")
        for name, f in result["figures"].items()
    ]
    return [head, *classes, *spread, *rows, *(f"{claim['text']}: {claim['verdict']}" for claim in result["claims"])]
