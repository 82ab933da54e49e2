"""Our own studies as data, written before the run: at which rate is a method trained, and is one faster or better?

The paper has no figure of either. They are registered, run, drawn and published as its figures are.
"""

from repro.cells.records import CURVE, Arm, Experiment, Series, Statement, Sweep

_FULL = "gcpo_expected"
_BASE = "R1-Distill-1.5B"  # the smallest
# Five rates, a factor of two apart. A first grid on one development seed reached from an eighth to twice the shared
# rate: GRPO and GVPO were best at its upper end, so this one reaches further up (results/LOG.md).
_FACTORS = (0.5, 1.0, 2.0, 4.0, 8.0)
_TUNED = {"grpo": "GRPO", "gvpo": "GVPO", "drgrpo": "Dr.GRPO", _FULL: "GCPO expected"}
_RATES = Sweep(
    "learning_rate",
    tuple(
        Series(title, {factor: f"{arm}_rate_{round(1000 * factor):04d}" for factor in _FACTORS})
        for arm, title in _TUNED.items()
    ),
    multiple=True,
)
# The factors that the rule picked on the smallest base, and one step to either side
_NEAR = {"grpo": (2.0, 4.0, 8.0), "gvpo": (1.0, 2.0, 4.0), "drgrpo": (2.0, 4.0, 8.0), _FULL: (2.0, 4.0, 8.0)}
_NEAR_RATES = Sweep(
    "learning_rate",
    tuple(
        Series(series.title, {factor: series.arms[factor] for factor in near})
        for series, near in zip(_RATES.series, _NEAR.values(), strict=True)
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
        role=_BASE,
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
        "rates_elsewhere",
        "Learning rates on the other bases: the picked one and a step to either side",
        "figure",
        ("base", *_NEAR_RATES.arms),
        built=True,
        role=_BASE,
        elsewhere=True,
        paper="One learning rate, 1e-6, for every method and base; how it was found is not stated.",
        statements=tuple(
            Statement(
                f"the rate of {title} elsewhere",
                f"ours: no step from the picked rate of {title} does better",
                _RULE,
                arm,
            )
            for arm, title in _TUNED.items()
        ),
        measure="repro.figuredata.rates:measure",
        draw="repro.figures.rates:draw",
        sweep=_NEAR_RATES,
        development=True,
    ),
    Experiment(
        "curves",
        "Held-out accuracy over compute: faster, better, or neither",
        "figure",
        ("base", *CURVE_ARMS),
        built=True,
        role=_BASE,
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
