"""Every figure of the paper as data: what varies, what is drawn beside it, and what decides each of its sentences.

Written before the run, as the tables are. The paper prints no number in a figure but those of repro/paper/figures.csv.
"""

from repro.cells.policy_figures import INPUT_ARMS, POLICY_FIGURES
from repro.cells.records import STEP_COST, Arm, Experiment, Series, Statement, Sweep
from repro.methods.registry import BENCH

_ROLE = "DeepScaleR-1.5B"  # the paper names no model for Figure 4; the axis, 55 to 57, fits this one's 56.7 alone
_FULL, _SCALED, _NO_KL = _OF_TABLES = "gcpo_expected", "grpo_rescaled", "gcpo_no_kl"
_FORMS = {_FULL: "expected", "gcpo_mc": "mc"}  # of Table 1
_RIVALS = ("grpo", "gvpo", "drgrpo", "rest_mcts")
_TRAINED = (*_RIVALS, *_FORMS)
_ALL_BASELINES = "Despite this slight overhead, GCPO consistently outperforms all baselines across benchmarks"
_SWEEP = {"measure": "repro.figuredata.sweep:measure", "draw": "repro.figures.sweep:draw", "files": ("metrics.jsonl",)}

# "For alpha [...] we explore a range of values: [0, 0.5, 1, 1.4, 1.8, 2, 2.4, 2.8, 3, 3.4]"
_ALPHAS = (0.0, 0.5, 1.0, 1.4, 1.8, 2.0, 2.4, 2.8, 3.0, 3.4)
# "a coarse grid search over [0.02, 0.04, 0.06, 0.08]"
_COARSE = (0.02, 0.04, 0.06, 0.08)
# "a finer search within the promising interval using a step size of 0.01": the interval is not stated, 0 to 0.09
_KAPPAS = tuple(round(0.01 * step, 2) for step in range(10))
_DISTANCES = ("euclidean", "gaussian")


def _line(title: str, stem: str, scale: int, values: tuple[float, ...], tables: dict[float, str]) -> Series:
    """The arms of one line, named by the value x `scale`; `tables`: those that a table has already."""
    return Series(title, {value: tables.get(value, f"{stem}_{round(scale * value):02d}") for value in values})


def _along(series: Series, setting: str, like: str, title: str) -> list[Arm]:
    """The arms of a line that no table has."""
    return [
        Arm(arm, title.format(value), "gcpo", {setting: value}, like=like)
        for value, arm in series.arms.items()
        if arm not in _OF_TABLES
    ]


_ALPHA = Sweep(
    "alpha",
    (
        _line("GCPO expected", "gcpo_alpha", 10, _ALPHAS, {2.0: _FULL}),
        _line("GRPO, advantages x mean Upsilon", "grpo_alpha", 10, _ALPHAS, {2.0: _SCALED}),
    ),
    best=2.0,
    unset=2.0,
    void=(0.0,),
)
_KAPPA = Sweep(
    "kappa",
    (_line("GCPO expected", "gcpo_kappa", 100, _KAPPAS, {0.0: _NO_KL}),),
    best=0.06,
    unset=0.06,
    marked=_COARSE,
)
_SIMILARITY = Sweep(
    "similarity",
    (
        Series("equal alpha", {"cosine": _FULL, **{each: f"gcpo_{each}" for each in _DISTANCES}}),
        Series("equal mean Upsilon", {"cosine": _FULL, **{each: f"gcpo_{each}_matched" for each in _DISTANCES}}),
    ),
    unset="cosine",
)

FIGURE_ARMS = (
    Arm(STEP_COST, "cost of a step", BENCH, once=True),
    *_along(_ALPHA.series[0], "alpha", _FULL, "GCPO expected, alpha {:g}"),
    *_along(_ALPHA.series[1], "alpha", _SCALED, "GRPO, advantages x mean Upsilon at alpha {:g}"),
    *_along(_KAPPA.series[0], "kappa", _FULL, "GCPO expected, kappa {:g}"),
    *_along(_SIMILARITY.series[0], "similarity", _FULL, "GCPO expected, {}"),
    *(
        Arm(arm, f"GCPO expected, {each}, mean Upsilon of the cosine", "gcpo",
            {"similarity": each, "match_cosine_mean": True}, like=_FULL)
        for each, arm in _SIMILARITY.series[1].arms.items()
        if each in _DISTANCES
    ),
    *INPUT_ARMS,
)  # fmt: skip


def _shape(setting: str, best: float, void: str) -> tuple[Statement, ...]:
    """The paper's sentences about a curve over a setting, and whether there is a curve at all."""
    rises = "model accuracy initially increases with larger values of alpha and kappa"
    falls = "but plateaus or slightly degrades when these values become too large"
    return (
        Statement(
            "rises",
            rises,
            f"the linear trend from the lowest value{void} to {best:g}, as the difference between its ends, is above 0",
            "rise",
        ),
        Statement(
            "above the lowest", rises, f"{setting} = {best:g} is above the lowest value of the grid", "start"
        ),
        Statement(
            "falls",
            falls,
            f"{setting} = {best:g} is above the highest value (supported: it degrades) or equivalent to it (a "
            "plateau); reversed speaks against the sentence",
            "end",
        ),
        Statement(
            f"{setting} = {best:g} is best",
            f"the best results are consistently achieved with alpha = 2 and beta = 0.06 (of {setting})",
            f"{setting} = {best:g} is above every other value, Holm-corrected over them; reversed if one is above it; "
            "equivalent if each is within the margin of it",
            "best",
            primary=True,
        ),
        Statement(
            f"the curve over {setting} is not flat",
            f"ours: the curve over {setting} is not flat",
            f"the means of the values{void} differ more than after permuting them within every seed, at 5 %; "
            "equivalent if every pair is within the margin",
            "flat",
            primary=True,
        ),
    )  # fmt: skip


_CONTROL = Statement(
    "alpha does more than a scaling of every advantage",
    "ours: what alpha does is more than a scaling of every advantage",
    "GCPO minus GRPO with advantages x the mean Upsilon of the same alpha, averaged over the grid above 0, is above 0",
    "control",
    primary=True,
)


def _costs() -> tuple[Statement, ...]:
    """The paper's sentences on Figure 8, for both forms of Table 1."""
    found = []
    for arm, name in _FORMS.items():
        found += [
            Statement(
                f"GCPO {name} costs 1.18 x GRPO (whole runs)",
                "GCPO incurs a modest increase in training cost (1.18x)",
                "consistent: the interval over seeds of the ratio of the runs' training costs holds 1.18 and excludes "
                "1; contradicted: it excludes 1.18",
                f"whole {arm}",
                primary=arm == _FULL,
            ),
            Statement(
                f"GCPO {name} costs 1.18 x GRPO (a step)",
                "GCPO incurs a modest increase in training cost (1.18x)",
                "the same for one step beside GRPO's on the same rollouts, interleaved in one process; interval over "
                "rounds",
                f"step {arm}",
            ),
            Statement(
                f"GCPO {name} outperforms all baselines",
                _ALL_BASELINES,
                "the average of avg@k is above every baseline's, Holm-corrected over them; reversed if it is below "
                "one; equivalent if each is within the margin",
                f"outperforms {arm}",
            ),
            Statement(
                f"GCPO {name} is worth its cost",
                "This indicates a favorable trade-off between cost and performance",
                "gain over the base per unit of training cost, GCPO's minus GRPO's, on GRPO's cost: the interval lies "
                "above 0; reversed below; equivalent within the margin",
                f"trade_off {arm}",
                primary=arm == _FULL,
            ),
        ]
    return tuple(found)


def _steadiness() -> tuple[Statement, ...]:
    """The paper's sentences on Figure 7 for both forms of Table 1, and whether the norm's size is its scale."""
    return (
        *(
            Statement(
                f"GCPO {name} is the steadiest",
                "GCPO exhibits the most stable training behavior among all compared methods",
                f"the norm's spread over steps, as a share of its mean, is smaller for GCPO {name} than for GRPO, GVPO "
                "and Dr.GRPO each, Holm-corrected; reversed if it is larger than for one; equivalent if each is within "
                "10 %",
                f"most_stable {arm}",
                primary=arm == _FULL,
            )
            for arm, name in _FORMS.items()
        ),
        *(
            Statement(
                f"GCPO {name} is nearly constant",
                "with its gradient norm remaining nearly constant across training iterations",
                f"the interval of the spread of GCPO {name} lies below 10 % of the mean; contradicted if it lies above",
                f"constant {arm}",
                primary=arm == _FULL,
            )
            for arm, name in _FORMS.items()
        ),
        Statement(
            "GRPO oscillates",
            "GRPO suffers from pronounced oscillations in gradient norm",
            "the interval of GRPO's oscillation lies above 10 % of the mean; contradicted if it lies below",
            "oscillates grpo",
        ),
        Statement(
            "GCPO's longer gradient is its scale",
            "ours: over the mean Upsilon, GCPO's gradient is as long as GRPO's",
            "the ratio of the mean rescaled norms is within 10 % of 1; contradicted if its interval is beyond 10 %",
            f"scale {_FULL}",
        ),
    )


_NEGLIGIBLE = "the performance differences among various similarity measures are negligible"

FIGURES = (
    POLICY_FIGURES["figure3"],
    Experiment(
        "figure4a",
        "Accuracy over alpha",
        "figure",
        ("base", "grpo", *_ALPHA.arms),
        built=True,
        role=_ROLE,
        paper="A curve without data labels, axis 55 to 57, over [0, 0.5, 1, 1.4, 1.8, 2, 2.4, 2.8, 3, 3.4]; best at 2. "
        "At alpha = 0 nothing of the reward is left in the loss, and the paper's axis still starts at 55.",
        remarks=(
            "At alpha = 0 no reward is left in the loss, only the divergence: being above it is no evidence for the "
            "weighting, and what the divergence alone does to the base stands in its own row.",
        ),
        statements=(*_shape("alpha", 2.0, " above 0"), _CONTROL),
        sweep=_ALPHA,
        **_SWEEP,
    ),
    Experiment(
        "figure4b",
        "Accuracy over kappa",
        "figure",
        ("base", "grpo", *_KAPPA.arms),
        built=True,
        role=_ROLE,
        paper="A curve without data labels, axis 56 to 59, over [0.02, 0.04, 0.06, 0.08] and then steps of 0.01; best "
        "at 0.06, which the text calls beta once.",
        statements=_shape("kappa", 0.06, ""),
        sweep=_KAPPA,
        **_SWEEP,
    ),
    Experiment(
        "figure4c",
        "Similarity in Upsilon: cosine, Euclidean, Gaussian",
        "figure",
        ("base", "grpo", *_SIMILARITY.arms),
        built=True,
        role=_ROLE,
        paper="Three bars without data labels, axis 54 to 58, at an alpha of its own each; called negligible.",
        statements=(
            Statement(
                "the similarity does not matter at equal alpha",
                _NEGLIGIBLE,
                "supported if each pair at alpha = 2 is within the margin; contradicted if a pair that is not differs, "
                "Holm-corrected over the pairs",
                "negligible 0",
                primary=True,
            ),
            Statement(
                "the similarity does not matter at equal mean Upsilon",
                _NEGLIGIBLE,
                "the same with the two distances scaled to the mean Upsilon that the cosine has, which is what tuning "
                "alpha for each would come to",
                "negligible 1",
                primary=True,
            ),
        ),
        sweep=_SIMILARITY,
        **_SWEEP,
    ),
    POLICY_FIGURES["figure5"],
    POLICY_FIGURES["figure6"],
    Experiment(
        "figure7",
        "Gradient norms during training",
        "figure",
        ("grpo", "gvpo", "drgrpo", _FULL, "gcpo_mc", "gcpo_alpha_10", _SCALED),
        built=True,
        paper="Curves without data labels, over training steps; neither the norm nor the model is defined, and "
        "alpha = 2 doubles B, so that the curves are not on one scale.",
        statements=_steadiness(),
        measure="repro.figuredata.gradients:measure",
        draw="repro.figures.gradients:draw",
        files=("metrics.jsonl",),
    ),
    Experiment(
        "figure8",
        "Training cost against GRPO (the 1.18x claim)",
        "figure",
        ("base", *_TRAINED, STEP_COST),
        built=True,
        paper='Accuracy over relative GPU hours without data labels but one: GCPO costs 1.18 x GRPO, "under matched '
        'training schedules and hardware settings". Steps 2 and 3 as printed need n + n + n^3 generations a prompt.',
        statements=_costs(),
        measure="repro.figuredata.cost:measure",
        draw="repro.figures.cost:draw",
    ),
)
