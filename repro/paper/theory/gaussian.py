"""The paper's SCM as an exact linear-Gaussian model: every expectation below is a matrix product, nothing is sampled.

    q = e_q,   y_i = A q + e_i  (i = 0..n-1, given q independent and alike),   y_n = B q + sum_i C_i y_i + e_n

A random vector is written in independent standard normals (`Affine`), so E<a, b> is a trace and a conditional
expectation a least-squares projection: affine predictors are exact. Draws of y_n for a Monte Carlo estimate of Phi are
part of the same space, so estimators with finitely many draws are exact too. `sample` is the check beside it.
Does not: predictors that are not affine; `repro.paper.theory.discrete` takes those.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from repro.errors import BadInput

Array = np.ndarray
DRAWS = ("marginal", "given y_0")


@dataclass(frozen=True)
class Affine:
    """A random vector coef @ z + const, z independent standard normals. coef: [d, K], const: [d], float64."""

    coef: Array
    const: Array

    def __add__(self, other: Affine) -> Affine:
        return Affine(self.coef + other.coef, self.const + other.const)

    def __sub__(self, other: Affine) -> Affine:
        return Affine(self.coef - other.coef, self.const - other.const)

    def __rmul__(self, scale: float) -> Affine:
        return Affine(scale * self.coef, scale * self.const)

    def __rmatmul__(self, matrix: Array) -> Affine:
        return Affine(matrix @ self.coef, matrix @ self.const)

    __array_ufunc__ = None  # so that numpy leaves `matrix @ affine` to __rmatmul__

    def shifted(self, by: Array | float) -> Affine:
        """The same vector plus a constant."""
        return Affine(self.coef, self.const + by)


def inner(a: Affine, b: Affine) -> float:
    """E<a, b>: the inner product of L²."""
    return float(np.sum(a.coef * b.coef) + a.const @ b.const)


def norm2(a: Affine) -> float:
    """E||a||²."""
    return inner(a, a)


def conditional(target: Affine, *given: Affine) -> Affine:
    """E[target | given], exact for jointly Gaussian vectors; redundant or constant conditions do no harm."""
    stacked = np.vstack([g.coef for g in given])
    weights = target.coef @ np.linalg.pinv(stacked)  # least squares in the space of the normals
    return Affine(weights @ stacked, target.const)


def mean(vectors: list[Affine]) -> Affine:
    """The average of random vectors."""
    return Affine(np.mean([v.coef for v in vectors], axis=0), np.mean([v.const for v in vectors], axis=0))


@dataclass(frozen=True)
class LinearSCM:
    """One model of the graph q -> y_i -> y_n, q -> y_n in `dim` dimensions, with room for `draws` fresh copies of y_n.

    query: [dim, dim] mixing of q. policy (A) and candidate_noise: [dim, dim]. direct (B): [dim, dim]. integrate: n
    matrices C_i. noise: [dim, dim]. Raises BadInput for fewer than two candidates.
    """

    query: Array
    policy: Array
    candidate_noise: Array
    direct: Array
    integrate: tuple[Array, ...]
    noise: Array
    draws: int = 0

    def __post_init__(self) -> None:
        if len(self.integrate) < 2:
            raise BadInput(f"LinearSCM: {len(self.integrate)} candidates; want at least 2, y_0 and one other")

    @property
    def dim(self) -> int:
        return self.query.shape[0]

    @property
    def n(self) -> int:
        return len(self.integrate)

    def _normals(self, block: int, mixing: Array) -> Affine:
        blocks = 2 + self.n + 2 * self.draws  # q, y_0..y_{n-1}, y_n, and per draw a y_0' and a noise
        coef = np.zeros((self.dim, blocks * self.dim))
        coef[:, block * self.dim : (block + 1) * self.dim] = mixing
        return Affine(coef, np.zeros(self.dim))

    @property
    def q(self) -> Affine:
        return self._normals(0, self.query)

    def y(self, i: int) -> Affine:
        """Candidate y_i, i = 0..n-1; y_0 is the target Y."""
        return self.policy @ self.q + self._normals(1 + i, self.candidate_noise)

    def _integrated(self, target: Affine, noise: Affine) -> Affine:
        total = self.direct @ self.q + noise + self.integrate[0] @ target
        for i in range(1, self.n):
            total = total + self.integrate[i] @ self.y(i)
        return total

    @property
    def integrated(self) -> Affine:
        """y_n."""
        return self._integrated(self.y(0), self._normals(1 + self.n, self.noise))

    def integrated_draw(self, draw: int, kind: str) -> Affine:
        """Fresh y_n number `draw`. "marginal": y_0 drawn anew, as Phi asks. "given y_0": the printed Step 3."""
        if kind not in DRAWS:
            raise BadInput(f"integrated_draw: kind {kind!r}; want one of {DRAWS}")
        block = 2 + self.n + 2 * draw
        fresh = self.policy @ self.q + self._normals(block, self.candidate_noise)
        return self._integrated(fresh if kind == "marginal" else self.y(0), self._normals(block + 1, self.noise))

    @property
    def given(self) -> tuple[Affine, ...]:
        """What generates G: q, y_1, ..., y_{n-1}."""
        return (self.q, *(self.y(i) for i in range(1, self.n)))

    def phi(self, f: Affine) -> Affine:
        """Phi f = E[f | q, y_1..y_{n-1}]  (Eq. 2)."""
        return conditional(f, *self.given)

    def psi(self, f: Affine) -> Affine:
        """Psi f = f - Phi f."""
        return f - self.phi(f)

    @property
    def bayes(self) -> Affine:
        """pi*(x) = E[y_0 | q, y_1, ..., y_n]."""
        return conditional(self.y(0), *self.given, self.integrated)

    @property
    def baseline(self) -> Affine:
        """b = pi*(q) = E[y_0 | q]."""
        return conditional(self.y(0), self.q)

    def predictor(self, weights: tuple[Array, ...], const: Array, integrated: Affine | None = None) -> Affine:
        """f(x) = sum_k W_k x_k + const over x = (q, y_1, ..., y_{n-1}, y_n); `integrated` replaces y_n."""
        inputs = (*self.given, self.integrated if integrated is None else integrated)
        total = weights[0] @ inputs[0]
        for weight, value in zip(weights[1:], inputs[1:], strict=True):
            total = total + weight @ value
        return total.shifted(const)

    def bayes_weights(self) -> tuple[Array, ...]:
        """The matrices of pi*(x), one per element of x, so that it can be evaluated at other draws of y_n."""
        inputs = [*self.given, self.integrated]
        stacked = self.y(0).coef @ np.linalg.pinv(np.vstack([v.coef for v in inputs]))
        return tuple(np.split(stacked, len(inputs), axis=1))

    def phi_estimate(self, weights: tuple[Array, ...], const: Array, *, kind: str, include_own: bool = False) -> Affine:
        """Mean of f over `draws` values of y_n; with `include_own` the first of them is the y_n inside f itself."""
        if self.draws < 1:
            raise BadInput("phi_estimate: this model was built with draws=0; want at least 1")
        fresh = [self.integrated_draw(draw, kind) for draw in range(self.draws)]
        used = [self.integrated, *fresh[1:]] if include_own else fresh
        return mean([self.predictor(weights, const, value) for value in used])


def random_scm(rng: np.random.Generator, *, dim: int, n: int, draws: int = 0) -> LinearSCM:
    """A model with independent normal coefficients; C_i scaled by 1/sqrt(n)."""

    def matrix() -> Array:
        return rng.normal(size=(dim, dim))

    integrate = tuple(matrix() / np.sqrt(n) for _ in range(n))
    return LinearSCM(matrix(), matrix(), matrix(), matrix(), integrate, matrix(), draws)


def random_weights(rng: np.random.Generator, scm: LinearSCM) -> tuple[tuple[Array, ...], Array]:
    """An arbitrary affine predictor: weights for (q, y_1, ..., y_n) and an offset."""
    return tuple(rng.normal(size=(scm.dim, scm.dim)) for _ in range(scm.n + 1)), rng.normal(size=scm.dim)


def sample(vectors: list[Affine], rng: np.random.Generator, count: int) -> list[Array]:
    """`count` joint draws of the vectors, each [count, d]: the Monte Carlo beside the closed form."""
    normals = rng.standard_normal((count, vectors[0].coef.shape[1]))
    return [normals @ v.coef.T + v.const for v in vectors]
