"""The figures of `bench mechanism` from what was measured, each with a bootstrap interval over questions.

Arrays in, numbers out: no model, no files.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from gcpo.advantages import group_advantages
from gcpo.upsilon import centroid_upsilon, constant_control, shuffled_control, upsilon

ARMS = ("grpo", "constant", "shuffled", "centroid", "mc", "corrected")
RESAMPLES = 2000
Figure = tuple[float, float, float]  # value, and the ends of its 95 % interval
Figures = dict[str, Figure]


@dataclass(frozen=True)
class Measured:
    """Of G questions with n candidates each, and of those of them, M, that have right and wrong ones.

    correct: [G, n], 0 or 1; y_n, vote: [G], whether the integrated answer and the candidates' vote are right;
    lengths: [M, n], tokens; z: [M, n, dim], Step 1's features; first, second, corrected: [2, M, n, dim], Steps 2 and 3
    of two draws of *mc* and one of *corrected*; after_q, after_x: [M, n], mean log-prob per token of y_i there;
    sketches: [M, n, k], each candidate's score function.
    """

    correct: np.ndarray
    y_n: np.ndarray
    vote: np.ndarray
    lengths: np.ndarray
    z: np.ndarray
    first: np.ndarray
    second: np.ndarray
    corrected: np.ndarray
    after_q: np.ndarray
    after_x: np.ndarray
    sketches: np.ndarray

    @property
    def mixed(self) -> np.ndarray:
        """Which questions have right and wrong candidates, [G] bool."""
        return mixed(self.correct)


def mixed(correct: np.ndarray) -> np.ndarray:
    """Which groups of `correct` [G, n] have right and wrong candidates, [G] bool."""
    return correct.min(axis=1) < correct.max(axis=1)


def joined(parts: list[Measured]) -> Measured:
    """Several measurements as one. One without a mixed question says nothing of those."""
    columns = {}
    for name in Measured.__dataclass_fields__:
        axis = 1 if name in ("first", "second", "corrected") else 0
        arrays = [getattr(part, name) for part in parts]
        full = [array for array in arrays if array.shape[axis]]
        columns[name] = np.concatenate(full, axis=axis) if full else arrays[0]
    return Measured(**columns)


def figures_of(measured: Measured, seed: int) -> Figures:
    """Every figure by name. seed: of the control that shuffles Upsilon. Wants two mixed questions.

    A figure that is not defined on these questions (a correlation with what does not vary, a cosine of vectors that
    are all 0) is left out.
    """
    correct = measured.correct[measured.mixed]
    values, again = _weights(measured, seed)
    figures = _integration(measured)
    for name in ("mc", "centroid", "corrected"):
        figures[f"Upsilon {name}: mean"] = _mean(values[name].mean(axis=1))
        figures[f"Upsilon {name}: spread within a group"] = _mean(values[name].std(axis=1, ddof=1))
        figures[f"Upsilon {name}: correlation with right"] = within(values[name], correct)
        figures[f"Upsilon {name}: correlation with length"] = within(values[name], measured.lengths)
    figures["Upsilon: correlation of mc with centroid"] = within(values["mc"], values["centroid"])
    both = (values["mc"] + again) / 2
    figures["Upsilon: correlation of the mean of two mc draws with centroid"] = within(both, values["centroid"])
    figures |= _retest(measured, values["mc"] - values["centroid"], again - values["centroid"])
    for where, means in (("q", measured.after_q), ("x_i", measured.after_x)):
        for kind, mask in (("right", correct), ("wrong", 1 - correct)):
            sums = np.stack([(means * mask).sum(axis=1), mask.sum(axis=1)], axis=1)
            figures[f"log-prob per token after {where}: {kind}"] = interval(sums, lambda s: s[0] / s[1])
    advantages = group_advantages(torch.tensor(correct).flatten(), correct.shape[1]).view(correct.shape).numpy()
    gradients = [np.einsum("gi,gik->gk", advantages * values[arm], measured.sketches) for arm in ARMS]
    for a, one in enumerate(ARMS):
        for b in range(a + 1, len(ARMS)):
            figures[f"gradient cosine: {one}, {ARMS[b]}"] = gradient_cosine(gradients[a], gradients[b])
    return {name: figure for name, figure in figures.items() if np.isfinite(figure).all()}


def _weights(measured: Measured, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Upsilon (alpha = 1) of every arm, [M, n], and of the second draw of *mc*."""
    z = torch.tensor(measured.z)
    drawn = {
        name: upsilon(z, *torch.tensor(getattr(measured, name)), alpha=1.0) for name in ("first", "second", "corrected")
    }
    weights = {"mc": drawn["first"], "corrected": drawn["corrected"], "centroid": centroid_upsilon(z, alpha=1.0)}
    weights["grpo"] = torch.ones_like(drawn["first"])
    weights["constant"] = constant_control(drawn["first"])
    weights["shuffled"] = shuffled_control(drawn["first"], generator=torch.Generator().manual_seed(seed))
    return {name: weight.double().numpy() for name, weight in weights.items()}, drawn["second"].double().numpy()


def _integration(measured: Measured) -> Figures:
    single = measured.correct.mean(axis=1)
    parts = {"y_n right": measured.y_n, "one candidate right": single, "vote right": measured.vote}
    parts["y_n right - one candidate right"] = measured.y_n - single
    return {name: _mean(values) for name, values in parts.items()}


def _retest(measured: Measured, added: np.ndarray, added_again: np.ndarray) -> Figures:
    """Psi of two draws for the same candidates, and what each adds to Upsilon, [M, n].

    Where outputs of the context and of the question are the same texts, Psi is 0 and has no direction: such candidates
    are counted, and are not part of the cosine.
    """
    psi = [x_mean - phi_mean for x_mean, phi_mean in (measured.first, measured.second)]
    norms = [np.linalg.norm(part, axis=-1) for part in (*psi, (psi[0] + psi[1]) / 2)]
    centroid = np.linalg.norm(measured.z.mean(axis=1, keepdims=True), axis=-1)
    products, defined = norms[0] * norms[1], (norms[0] > 0) & (norms[1] > 0)
    cosines = (psi[0] * psi[1]).sum(axis=-1) / np.where(defined, products, 1.0)
    sums = np.stack([cosines.sum(axis=1), defined.sum(axis=1)], axis=1)
    cosine = interval(sums, lambda s: s[0] / s[1])
    figures = {
        "Psi, one draw: share of candidates where it is 0": norms[0] == 0,
        "Psi, one draw: norm over the centroid's": norms[0] / centroid,
        "Psi, mean of two draws: norm over the centroid's": norms[2] / centroid,
    }
    figures = {name: _mean(values.mean(axis=1)) for name, values in figures.items()}
    figures["Psi drawn twice: cosine between the draws"] = cosine
    name = "what Psi adds to Upsilon, drawn twice: correlation"
    figures[f"{name}, all candidates"] = pooled(added, added_again)
    figures[f"{name}, within groups"] = within(added, added_again)
    return figures


def _mean(values: np.ndarray) -> Figure:
    return interval(values[:, None], lambda sums: sums[0])


def _resampled(groups: int) -> np.ndarray:
    """How often each group is in each bootstrap sample, [RESAMPLES, groups]."""
    return np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), size=RESAMPLES)


def _quantiles(value: float, values: np.ndarray) -> Figure:
    if np.isnan(values).all():
        return float(value), np.nan, np.nan
    return float(value), *(float(q) for q in np.nanquantile(values, [0.025, 0.975]))


def interval(sums: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> Figure:
    """(value, low, high) of a figure of the means over groups of per-group quantities, [groups, k]; k first."""
    means = _resampled(len(sums)) @ sums / len(sums)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _quantiles(figure(sums.mean(axis=0)), figure(means.T))


def within(a: np.ndarray, b: np.ndarray) -> Figure:
    """Pearson's correlation of two quantities of candidates, [groups, n], around the means of their groups."""
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    sums = np.stack([(a * b).sum(axis=1), (a * a).sum(axis=1), (b * b).sum(axis=1)], axis=1)
    return interval(sums, lambda s: s[0] / np.sqrt(s[1] * s[2]))


def pooled(a: np.ndarray, b: np.ndarray) -> Figure:
    """Pearson's correlation of two quantities of candidates, [groups, n], around the means of all."""
    sums = np.stack([(x * y).mean(axis=1) for x, y in ((a, b), (a, a), (b, b))] + [a.mean(axis=1), b.mean(axis=1)], 1)
    return interval(sums, lambda s: (s[0] - s[3] * s[4]) / np.sqrt((s[1] - s[3] ** 2) * (s[2] - s[4] ** 2)))


def gradient_cosine(one: np.ndarray, other: np.ndarray) -> Figure:
    """Cosine of two gradients summed over groups, from each group's part, [groups, k]."""
    counts = np.concatenate([np.ones((1, len(one))), _resampled(len(one))])
    inner = [np.einsum("rg,gh,rh->r", counts, x @ y.T, counts) for x, y in ((one, other), (one, one), (other, other))]
    cosines = inner[0] / np.sqrt(inner[1] * inner[2])
    return _quantiles(cosines[0], cosines[1:])
