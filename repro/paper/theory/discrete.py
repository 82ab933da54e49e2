"""The same statements for any predictor: a finite SCM whose expectations are plain sums over all outcomes.

Axes everywhere: q, y_0, rest = (y_1, ..., y_{n-1}) flattened, y_n. The target is a real value of y_0. No
linearity is used, so these models take predictors that `repro.paper.theory.gaussian` cannot.
"""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class DiscreteSCM:
    """p: [q, y_0, rest, y_n], probabilities summing to 1; target: the value of y_0 at each outcome, same shape."""

    p: Array
    target: Array

    def expect(self, f: Array) -> float:
        """E f; f broadcasts to the outcome axes."""
        return float(np.sum(self.p * f))

    def conditional(self, f: Array, *summed: int) -> Array:
        """E[f | all axes but `summed`], with kept dimensions; 0 where the condition has probability 0."""
        mass = self.p.sum(axis=summed, keepdims=True)
        total = (self.p * f).sum(axis=summed, keepdims=True)
        return np.divide(total, mass, out=np.zeros_like(total), where=mass > 0)

    def phi(self, f: Array) -> Array:
        """Phi f = E[f | q, y_1..y_{n-1}]  (Eq. 2)."""
        return self.conditional(f, 1, 3)

    @property
    def bayes(self) -> Array:
        """pi*(x) = E[Y | q, y_1, ..., y_n]."""
        return self.conditional(self.target, 1)

    @property
    def baseline(self) -> Array:
        """b = E[Y | q]."""
        return self.conditional(self.target, 1, 2, 3)

    def step3_projection(self, f: Array) -> Array:
        """E[f | q, y_0..y_{n-1}]: the limit of the printed Step 3."""
        return self.conditional(f, 3)


def random_discrete(
    rng: np.random.Generator, *, n: int, queries: int = 3, answers: int = 3, outputs: int = 4
) -> DiscreteSCM:
    """A model with Dirichlet tables: p(q), p(y|q) shared by the n candidates, p(y_n | q, y_0..y_{n-1})."""
    others = answers ** (n - 1)
    query = rng.dirichlet(np.ones(queries))
    policy = rng.dirichlet(np.ones(answers), size=queries)
    rest = policy
    for _ in range(n - 2):
        rest = (rest[:, :, None] * policy[:, None, :]).reshape(queries, -1)
    collider = rng.dirichlet(0.3 * np.ones(outputs), size=(queries, answers, others))
    p = query[:, None, None, None] * policy[:, :, None, None] * rest[:, None, :, None] * collider
    target = np.broadcast_to(rng.normal(size=answers)[None, :, None, None], p.shape)
    return DiscreteSCM(p, target)


def random_predictor(rng: np.random.Generator, scm: DiscreteSCM) -> Array:
    """Any function of x = (q, y_1..y_n): a table of independent normals, constant along y_0."""
    queries, _, rest, outputs = scm.p.shape
    return rng.normal(size=(queries, 1, rest, outputs))
