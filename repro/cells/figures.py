"""Every figure of the paper as data: what varies, what is drawn beside it, and what decides each of its sentences.

Written before the run, as the tables are. The paper prints no number in a figure but those of repro/paper/figures.csv.
"""

from repro.cells.records import CURVE, Arm, Experiment, Series, Statement, Sweep

_NOT_BUILT = "registered, not built yet"
_ROLE = "DeepScaleR-1.5B"  # the paper names no model for Figure 4; the axis, 55 to 57, fits this one's 56.7 alone
_FULL, _SCALED, _NO_KL = _OF_TABLES = "gcpo_expected", "grpo_rescaled", "gcpo_no_kl"
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
    "alpha does more than a larger step",
    "ours: what alpha does is more than a larger step",
    "GCPO minus GRPO with advantages x the mean Upsilon of the same alpha, averaged over the grid above 0, is above 0",
    "control",
    primary=True,
)
_NEGLIGIBLE = "the performance differences among various similarity measures are negligible"

# Five rates, a factor of two apart. The trials before it: GRPO garbles its steps at 3, Dr.GRPO and GVPO fall to reward
# 0 at 1 and a half, so the grid reaches further down than up.
_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0)
_TUNED = {"grpo": "GRPO", "gvpo": "GVPO", "drgrpo": "Dr.GRPO", _FULL: "GCPO expected"}
_RATES = Sweep(
    "learning_rate",
    tuple(
        Series(title, {factor: f"{arm}_rate_{round(1000 * factor):04d}" for factor in _FACTORS})
        for arm, title in _TUNED.items()
    ),
    multiple=True,
)
_METHODS = {"grpo": "grpo", "gvpo": "gvpo", "drgrpo": "drgrpo", _FULL: "gcpo"}
CURVE_ARMS = {
    f"{arm}{CURVE}": Arm(f"{arm}{CURVE}", title, _METHODS[arm], like=arm, curve=True) for arm, title in _TUNED.items()
}
RATE_ARMS = tuple(
    Arm(arm, f"{series.title}, {factor:g} times the shared learning rate", method, like=like,
        multiples={"learning_rate": factor})
    for series, (like, method) in zip(_RATES.series, _METHODS.items(), strict=True)
    for factor, arm in series.arms.items()
)  # fmt: skip
_RULE = "`pick` in repro/figuredata/rates.py, written before the grid was run"
STUDIES = (
    Experiment(
        "rates",
        "Learning rates: one grid for every arm, on development seeds and questions",
        "figure",
        ("base", *_RATES.arms),
        built=True,
        role="R1-Distill-1.5B",
        paper="One learning rate, 1e-6, for every method; how it was found is not stated.",
        statements=tuple(
            Statement(f"the rate of {title}", f"ours: {title} is trained at the rate that the rule picks", _RULE, arm)
            for arm, title in _TUNED.items()
        ),
        measure="repro.figuredata.rates:measure",
        draw="repro.figures.rates:draw",
        sweep=_RATES,
        development=True,
    ),
    Experiment(
        "curves",
        "Held-out accuracy over compute: faster, better, or neither",
        "figure",
        ("base", *CURVE_ARMS),
        built=True,
        role="R1-Distill-1.5B",
        paper="No curves of held-out accuracy; the text calls the training of GCPO efficient and stable.",
        statements=(
            *(
                Statement(
                    f"{_TUNED[_FULL]} is faster than {_TUNED[rival]} per {unit}",
                    "ours: the same accuracy for less compute",
                    "the midpoint of its sigmoid lies at less compute, jackknife over common seeds",
                    f"midpoint {column} {_FULL}{CURVE} {rival}{CURVE}",
                    primary=rival == "grpo",
                )
                for rival in ("grpo", "gvpo", "drgrpo")
                for unit, column in (("token", "completion_tokens"), ("core-second", "core_seconds"))
            ),
            *(
                Statement(
                    f"{_TUNED[_FULL]} ends higher than {_TUNED[rival]}",
                    "ours: a better end, wherever the training happened to stop",
                    "the ceiling of its sigmoid is higher, jackknife over common seeds",
                    f"ceiling completion_tokens {_FULL}{CURVE} {rival}{CURVE}",
                    primary=rival == "grpo",
                )
                for rival in ("grpo", "gvpo", "drgrpo")
            ),
        ),
        measure="repro.figuredata.curves:measure",
        draw="repro.figures.curves:draw",
    ),
)

FIGURES = (
    Experiment("figure3", "HumanEval, 0-shot and 5-shot", "figure", note=_NOT_BUILT),
    Experiment(
        "figure4a",
        "Accuracy over alpha",
        "figure",
        ("base", "grpo", *_ALPHA.arms),
        built=True,
        role=_ROLE,
        paper="A curve without data labels, axis 55 to 57, over [0, 0.5, 1, 1.4, 1.8, 2, 2.4, 2.8, 3, 3.4]; best at 2. "
        "At alpha = 0 nothing of the reward is left in the loss, and the paper's axis still starts at 55.",
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
                "negligible at equal alpha",
                _NEGLIGIBLE,
                "supported if each pair at alpha = 2 is within the margin; contradicted if a pair that is not differs, "
                "Holm-corrected over the pairs",
                "negligible 0",
                primary=True,
            ),
            Statement(
                "negligible at equal mean Upsilon",
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
    Experiment("figure6", "Accuracy given q, x and the projected input", "figure", note=_NOT_BUILT),
    Experiment("figure7", "Gradient norms during training", "figure", note=_NOT_BUILT),
    Experiment("figure8", "Training cost against GRPO (the 1.18x claim)", "figure", note=_NOT_BUILT),
)
