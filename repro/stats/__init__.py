"""From counts of right answers to intervals, tests and verdicts; numpy and scipy only, every generator explicit.

`metrics` scores samples, `intervals` is the one source of confidence intervals in tables, `ratios` sets gains against
gains, `sweeps` tells a curve from a flat one, `steadiness` measures series, `bootstrap` resamples, `hypotheses` holds
the tests, `verdicts` the closed lists of words. Scores are fractions in [0, 1]; tables print points. Does not read
files and does not know what a cell, a model or a benchmark is.
"""

from repro.stats.bootstrap import (
    hierarchical_bootstrap,
    iqm,
    percentile_interval,
    probability_of_improvement,
    seed_bootstrap,
)
from repro.stats.hypotheses import holm, mcnemar_exact, sign_flip_test
from repro.stats.intervals import (
    Counts,
    Interval,
    arm_interval,
    contrast,
    difference_from_checkpoint,
    exact_interval,
    paired_difference,
    student_t_interval,
    variance_components,
    wilson_interval,
)
from repro.stats.metrics import avg_at_k, maj_at_k, mean_accuracy, pass_at_k
from repro.stats.power import detectable_ratio, minimum_detectable_gap, power_of_gap
from repro.stats.ratios import Ratio, contrast_equivalence_p, equivalence_p, ratio_of_gains, ratio_p
from repro.stats.steadiness import (
    Steadiness,
    geometric_mean,
    mean_level,
    oscillation,
    over_seeds,
    ratio_over_seeds,
    relative_drift,
    relative_spread,
)
from repro.stats.sweeps import flat_p, trend_weights
from repro.stats.verdicts import above_each, cannot_be_run, cell_verdict, direction_verdict, over_bases, size_verdict

__all__ = [
    "Counts",
    "Interval",
    "Ratio",
    "Steadiness",
    "above_each",
    "arm_interval",
    "avg_at_k",
    "cannot_be_run",
    "cell_verdict",
    "contrast",
    "contrast_equivalence_p",
    "detectable_ratio",
    "difference_from_checkpoint",
    "direction_verdict",
    "equivalence_p",
    "exact_interval",
    "flat_p",
    "geometric_mean",
    "hierarchical_bootstrap",
    "holm",
    "iqm",
    "maj_at_k",
    "mcnemar_exact",
    "mean_accuracy",
    "mean_level",
    "minimum_detectable_gap",
    "oscillation",
    "over_bases",
    "over_seeds",
    "paired_difference",
    "pass_at_k",
    "percentile_interval",
    "power_of_gap",
    "probability_of_improvement",
    "ratio_of_gains",
    "ratio_over_seeds",
    "ratio_p",
    "relative_drift",
    "relative_spread",
    "seed_bootstrap",
    "sign_flip_test",
    "size_verdict",
    "student_t_interval",
    "trend_weights",
    "variance_components",
    "wilson_interval",
]
