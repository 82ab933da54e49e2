"""The steps of the proofs in symbols: what follows from orthogonality alone, and one example solved in closed form."""

import sympy as sp

# Inner products of the four vectors in which both statements are written. r = Y - b, s = Psi f, p = Phi f - b and
# d = b_hat - b. p and d are functions of G; E[r|G] = 0 (Eq. 1) and E[s|G] = 0 make every product with them vanish.
_NAMES = ("||Y-b||²", "||Psi f||²", "||Phi f-b||²", "||b_hat-b||²", "<Y-b,Psi f>", "<Phi f-b,b_hat-b>")
RR, SS, PP, DD, RS, PD = (sp.Symbol(name, real=True) for name in _NAMES)
M, R, RHO = sp.symbols("m R rho", positive=True)
_GRAM = {"rr": RR, "ss": SS, "pp": PP, "dd": DD, "rs": RS, "pd": PD, "rp": 0, "rd": 0, "ps": 0, "ds": 0}


def product(left: dict[str, int], right: dict[str, int]) -> sp.Expr:
    """E<sum of left, sum of right> for combinations of r, s, p, d given as {vector: coefficient}."""
    terms = [x * y * _GRAM[a + b if a + b in _GRAM else b + a] for a, x in left.items() for b, y in right.items()]
    return sp.expand(sum(terms))


def squared_norm(**combination: int) -> sp.Expr:
    """E||sum of coefficient * vector||²."""
    return product(combination, combination)


def theorem1_gap() -> sp.Expr:
    """E||Y-f||² - E||Y-f+||² with Y - f = r - p - s and Y - f+ = r - s - d. Expected: pp - dd."""
    return sp.expand(squared_norm(r=1, p=-1, s=-1) - squared_norm(r=1, s=-1, d=-1))


def corollary2_gap() -> sp.Expr:
    """E||Y-b_hat||² - E||Y-f+||² with Y - b_hat = r - d. Expected: 2 rs - ss."""
    return sp.expand(squared_norm(r=1, d=-1) - squared_norm(r=1, s=-1, d=-1))


def bayes_cross_term() -> sp.Expr:
    """<Y-b, Psi f> for f = E[Y|x]: Y - f is orthogonal to Psi f, and f - b = p + s, so rs = <p + s, s> = ss."""
    return product({"p": 1, "s": 1}, {"s": 1})


def equation_20_cross_term_sign() -> sp.Expr:
    """Coefficient of <Y-f+, Phi f-b_hat> in ||Y-f||², Y-f = (Y-f+) - (Phi f-b_hat). The paper prints +2."""
    u, w = sp.symbols("u w", real=True)  # one coordinate of Y-f+ and of Phi f-b_hat
    return sp.Poly(sp.expand((u - w) ** 2), u, w).coeff_monomial(u * w)


def equation_28_30() -> dict[str, sp.Expr]:
    """Eq. 28 with the cross term the text claims (0), with the true one (||Psi f||²), and what Eq. 30 prints."""
    equation28 = -SS + 2 * RS
    return {"claimed cross term": equation28.subs(RS, 0), "true cross term": equation28.subs(RS, SS), "printed": SS}


def estimated_phi_gap() -> sp.Expr:
    """Corollary 2's gap for the Bayes f, with Phi from m fresh marginal draws, whose mean has noise ||Psi f||²/m."""
    return sp.factor(2 * SS - SS - SS / M)


def shared_draw_gap() -> sp.Expr:
    """The same when the y_n inside f is one of the m draws (E7): Psi shrinks by (m-1)/m and its noise shrinks too."""
    shrunk = (M - 1) / M
    noise = (M - 1) / M**2 * SS
    return sp.factor(2 * shrunk * SS - shrunk**2 * SS - noise)


def break_even_share() -> sp.Expr:
    """rho at which the gap vanishes when f itself is a mean of R sampled outputs (variance (1 - rho) V each)."""
    gap = (1 - 1 / M) * RHO - (1 + 1 / M) * (1 - RHO) / R
    return sp.simplify(sp.solve(gap, RHO)[0])


def one_weight_example() -> dict[str, sp.Expr]:
    """n = 2, constant q, y_2 = w (y_0 + y_1) + e, Var e = sigma²: every quantity as a function of w and sigma.

    Returns f* (as a coefficient of w y_0 + e), ||Psi f*||² (= Corollary 2's gap) and the gap under the printed Step 3
    with many draws.
    """
    w, sigma = sp.symbols("w sigma", positive=True)
    coefficient = w / (w**2 + sigma**2)  # f* = coefficient * (w y_0 + e)
    psi2 = sp.simplify(coefficient**2 * (w**2 + sigma**2))
    step3 = -sp.simplify(coefficient**2 * sigma**2)  # E[f*|y_0, y_1] removes w y_0 and leaves e
    return {"w": w, "sigma": sigma, "coefficient": coefficient, "psi2": psi2, "step3": step3}
