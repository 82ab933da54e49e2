"""K12-K15: what follows from the printed formulas themselves: theorems, estimators, signs, masses and the cost."""

import numpy as np
import pandas as pd

from repro.paper.audit.check import Check
from repro.paper.findings import FAILS, UNDECIDED, Finding, verdict
from repro.paper.theory import example_table
from repro.paper.theory.claims import all_claims, example
from repro.paper.theory.gaps import gaps, literal_delta, printed_corollary2

STATED_COST = 1.18
ANSWER_TOKENS, PROMPT_CAP = 16_384, 4_096


def _claim(id: str, where: str, stated: str, claim_id: str, check: str, note: str = "") -> Finding:
    claim = next(claim for claim in all_claims() if claim.id == claim_id)
    return Finding(id, where, stated, claim.recomputed + note, claim.verdict, check)


def k12() -> Check:
    """Eq. 3, Theorem 1 and Corollary 2 on the example and on random models."""
    table = example_table().set_index("predictor")
    scm = example()
    literal = [literal_delta(scm.y(0), scm.baseline, scm.bayes.shifted(c)) for c in (0.0, 7.0)]
    outcome = (
        f"Theorem 1 {table.loc['f*, b', 'theorem1']:.2f}, {table.loc['f* + 0.3, b', 'theorem1']:.2f} and "
        f"{table.loc['f*, b_hat = 0.4', 'theorem1']:.2f} inexact; Corollary 2 {table.loc['f*, b', 'corollary2']:+.2f}, "
        f"{table.loc['2(y_2 - y_1), b', 'corollary2']:.1f} and {table.loc['-(y_2 - y_1)/2, b', 'corollary2']:.1f} "
        "not Bayes; "
        f"printed chain {printed_corollary2(scm, scm.bayes):.1f}; Eq. 3 {literal[0]:.0f} and {literal[1]:.0f}"
    )
    findings = [
        _claim("E1", "Eq. 3", "Delta is the test error or expected risk", "thA1", "K12"),
        _claim("E2", "Theorem 1", "gain >= 0, lower test error than pi*(x)", "thA2", "K12"),
        _claim(
            "E3",
            "Eqs. 20-21",
            "cross term 0, norm not 0; the gain survives an inexact pi*",
            "thA4",
            "K12",
            "; the cross term has sign -2, not +2, and the premises exclude each other",
        ),
        _claim(
            "E4",
            "Eqs. 28-30",
            "cross term 0, hence gain = ||Psi f||²",
            "thB2",
            "K12",
            ". Corollary 2 itself is true for the Bayes f",
        ),
        _claim("E5", "text after Corollary 2", "a better baseline for the policy", "thD4", "K12"),
    ]
    return Check("K12", outcome, findings)


def k13() -> Check:
    """Step 3's estimate of Phi."""
    scm = example(8)
    weights, zero = scm.bayes_weights(), np.zeros(1)
    eight = [
        gaps(scm.y(0), scm.bayes, scm.phi_estimate(weights, zero, kind=kind, include_own=own), scm.baseline).corollary2
        for kind, own in (("given y_0", False), ("given y_0", True), ("marginal", False))
    ]
    row = example_table().set_index("predictor").loc["f*, b, Phi by the printed Step 3"]
    outcome = (
        f"many draws {row.theorem1:.2f} and {row.corollary2:.2f}; 8 draws {eight[0]:.3f}, {eight[1]:.3f} with y_n "
        "among "
        f"them, {eight[2]:+.4f} with y_0 drawn anew"
    )
    findings = [
        _claim("E6", "Step 3", "the mean over y_n,l approximates Phi pi*(x)", "thD1", "K13"),
        _claim("E7", "Steps 2-3", "y_n,0 = y_n", "thC2", "K13"),
    ]
    return Check("K13", outcome, findings)


def weighted_advantage(advantage: float, cosine: float, alpha: float) -> float:
    """B = A · alpha · cos  (Eqs. 10-11)."""
    return advantage * alpha * cosine


def target_mass(n: int, *, mean: bool = False) -> int:
    """Sum of Eq. 13 over the vocabulary: 1 - n + 1 as printed (a sum over l), 1 - 1 + 1 with a mean."""
    return 1 - (1 if mean else n) + 1


def k14() -> Check:
    """Signs of B, mass and sign of pi'_ref, alpha = 0."""
    near, far = weighted_advantage(-1, 0.9, 2), weighted_advantage(-1, 0.1, 2)
    flipped = weighted_advantage(1, -0.5, 2)
    masses = {n: target_mass(n) for n in (4, 8)}
    token = 0.1 - 0.9 + 0.1  # p_x, the mean over l, p_q of one token
    zero = weighted_advantage(1.0, 0.7, 0.0)
    outcome = (
        f"A = -1, alpha = 2: cos 0.9 -> {near:.1f}, cos 0.1 -> {far:.1f}; mass {masses[8]} at n = 8, "
        f"{target_mass(8, mean=True)} with a mean, then {token:.1f} for .1 - .9 + .1; alpha 0 -> B = {zero:.0f}"
    )
    findings = [
        Finding(
            "E8",
            "Design of Relative Advantage Function",
            "the closer the candidate, the higher the advantage",
            f"true for A > 0; for A = -1, alpha = 2 cos 0.9 gives {near:.1f} and cos 0.1 gives {far:.1f}: closer "
            "is punished "
            f"harder; cos < 0 turns A = +1 into {flipped:.1f}",
            verdict(near > far),
            "K14",
        ),
        Finding(
            "E9",
            "Fig. 4(a)",
            "alpha = 0 is one of the values swept, axis 55 to 57",
            f"alpha = 0 makes every B = {zero:.0f}: no reward gradient, KL terms only. That is not the ablation B "
            "= A of "
            "Table 2 (55.4); the figure has no labels, and the base has 54.5",
            UNDECIDED,
            "K14",
        ),
        Finding(
            "E10",
            "Parameter sensitivity",
            "alpha = 2 is the best influence of the causal factor",
            "alpha also scales the policy term against both KL terms; no run separates the two",
            UNDECIDED,
            "K14",
        ),
        Finding(
            "E11",
            "Eqs. 12-13",
            "log of pi'_ref / pi_theta",
            f"pi'_ref <= 0 is possible: .1 - .9 + .1 = {token:.1f} even with a mean over l; no rule is given",
            FAILS,
            "K14",
        ),
        Finding(
            "E12",
            "Eq. 13",
            "pi'_ref is a reference distribution",
            "the sum over l has total mass 2 - n: "
            + ", ".join(f"{mass} at n = {n}" for n, mass in masses.items())
            + "; a mean over l has mass "
            f"{target_mass(8, mean=True)}",
            verdict(all(mass == 1 for mass in masses.values())),
            "K14",
        ),
        Finding(
            "E13",
            "Eqs. 10, 12",
            "kappa D_KL(pi_theta || pi'_ref), one term in the objective",
            "Eq. 12 sums over all i and leaves the token index j free, outside the braces of Eq. 10; read inside "
            "the mean over "
            "i, every candidate counts n times",
            FAILS,
            "K14",
        ),
        Finding(
            "E14",
            "Eq. 12",
            "estimates KL(pi_theta || pi'_ref) given x_i",
            "the estimator of Eq. 7 needs tokens drawn from the density in its denominator; y_i was drawn from "
            "pi(.|q), "
            "the denominator is pi(.|x_i)",
            FAILS,
            "K14",
        ),
        Finding("E15", "Eqs. 6, 10", "sum over j = 0..T_i, divided by T_i", "T_i + 1 terms over T_i", FAILS, "K14"),
        Finding(
            "E16",
            "Eq. 8",
            "A_i = (r_i - mean) / std",
            "0/0 when all rewards of a group are equal; no rule is given",
            UNDECIDED,
            "K14",
        ),
        Finding(
            "E17",
            "Eq. 7",
            "pi_ref is a fixed reference policy, often set to pi_old",
            "pi_old changes with every batch, so it is not fixed; equal to pi_theta at the first step of a batch, "
            "where the KL term and its gradient are 0",
            FAILS,
            "K14",
        ),
    ]
    return Check("K14", outcome, findings)


def generations(n: int, *, shared: bool = True) -> int:
    """Sequences generated per prompt by Steps 1-3: n candidates, n integrated outputs, n³ outputs of Step 3.

    shared: Step 2 is the l = 0 slice of Step 3; otherwise its n² outputs come on top.
    """
    return n + n + n**3 + (0 if shared else n**2)


def scoring_passes(n: int) -> int:
    """Likelihood evaluations for Eq. 13 per prompt: for each y_i one given q, one given x_i, n given x_{i,l}."""
    return n * (n + 2)


def cost_table() -> pd.DataFrame:
    """Generations and scoring passes per prompt over n, and the largest share of generation at which 1.18x is possible.

    If generation takes a share g of a GRPO step and everything else costs nothing more, the step costs 1 + g (c/n - 1)
    times as much; 1.18x then needs g <= 0.18 / (c/n - 1).
    """
    rows = []
    for n in (2, 4, 8, 16):
        count = generations(n)
        rows.append(
            {
                "n": n,
                "grpo": n,
                "gcpo": count,
                "gcpo_step2_separate": generations(n, shared=False),
                "ratio": count / n,
                "scoring_passes": scoring_passes(n),
                "context_tokens": n * ANSWER_TOKENS,
                "largest_generation_share": (STATED_COST - 1) / (count / n - 1),
            }
        )
    return pd.DataFrame(rows)


def k15() -> Check:
    """Generations and context lengths that the printed steps imply."""
    table = cost_table().set_index("n")
    context, short = 8 * ANSWER_TOKENS, 8 * 1024
    share = table.largest_generation_share
    findings = [
        Finding(
            "C1",
            "Computational Overhead Analysis",
            "1.18x the GPU hours of GRPO",
            f"Steps 1-3 generate {generations(4)} sequences per prompt at n = 4 ({generations(4, shared=False)} "
            "if Step 2 is "
            f"separate) against 4, {generations(4) / 4:.0f}x; {generations(8)} ({generations(8, shared=False)}) "
            "at n = 8, "
            f"{generations(8) / 8:.0f}x; plus n(n + 2) scoring passes. 1.18x would need generation to take at most "
            f"{100 * share[4]:.1f} % (n = 4) or {100 * share[8]:.2f} % (n = 8) of a GRPO step. What was run and "
            "timed is "
            "not described",
            FAILS,
            "K15",
        ),
        Finding(
            "C2",
            "Implementation Details",
            "maximum prompt length 4,096",
            f"x_i holds n outputs of up to {ANSWER_TOKENS:,} tokens, {context:,} at n = 8; even answers of 1,024 "
            "tokens give "
            f"{short:,}",
            verdict(short <= PROMPT_CAP),
            "K15",
        ),
        Finding(
            "C3",
            "Algorithm 1",
            "pseudo-code of GCPO",
            f"samples y_i and y_n,i (2n sequences); the n³ outputs of Steps 2-3 ({8**3} at n = 8) appear in no line",
            FAILS,
            "K15",
        ),
        Finding(
            "C4",
            "Training Stability; Figs. 6-8",
            "most stable, best trade-off, robust to the input",
            "no numbers are given",
            UNDECIDED,
            "K15",
        ),
    ]
    outcome = (
        f"n = 4: {generations(4)} ({generations(4, shared=False)}), n = 8: {generations(8)} "
        f"({generations(8, shared=False)}); "
        f"context {context:,}, {short:,} at 1,024 tokens"
    )
    return Check("K15", outcome, findings, {"cost": cost_table()})
