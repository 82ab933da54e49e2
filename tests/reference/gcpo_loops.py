"""GCPO as loops over plain numbers, written from the paper's Steps 1-5 and Eqs. 7-13 alone.

Nothing is imported from the package under test, nothing is broadcast. Numbers are Python floats, or 0-d torch tensors
where a test wants the gradient of a loop.
"""

import math


def exp(value):
    return value.exp() if hasattr(value, "exp") else math.exp(value)


def log(value):
    return value.log() if hasattr(value, "log") else math.log(value)


def mean(values):
    total = 0.0
    for value in values:
        total = total + value
    return total / len(values)


def mean_vector(vectors):
    return [mean([vector[d] for vector in vectors]) for d in range(len(vectors[0]))]


def norm(vector):
    total = 0.0
    for value in vector:
        total += value * value
    return math.sqrt(total)


def cosine(a, b):
    if norm(a) == 0 or norm(b) == 0:
        return 0.0
    total = 0.0
    for left, right in zip(a, b, strict=True):
        total += left * right
    return total / (norm(a) * norm(b))


def causal_targets(z, outputs, own_outputs=None, first_l=0):
    """Steps 1-4. z: n vectors; outputs: Z_{i,l,r} as [n][m][R] vectors; own_outputs: Z_{i,r} of a separate Step 2."""
    z_bar = mean_vector(z)
    targets = []
    for i in range(len(z)):
        per_context = [mean_vector(drawn) for drawn in outputs[i]]  # Z̄_{i,l}
        z_bar_i = per_context[0] if own_outputs is None else mean_vector(own_outputs[i])
        phi_i = mean_vector(per_context[first_l:])  # Z̄'_i
        targets.append([z_bar_i[d] - phi_i[d] + z_bar[d] for d in range(len(z_bar))])
    return targets


def upsilon(z, targets, alpha):
    """Step 5, Eq. 11."""
    return [alpha * cosine(z[i], targets[i]) for i in range(len(z))]


def upsilon_by_distance(z, targets, alpha, kind):
    root = math.sqrt(len(z[0]))
    distances = [norm([a - b for a, b in zip(z[i], targets[i], strict=True)]) / root for i in range(len(z))]
    if kind == "euclidean":
        return [alpha / (1 + d) for d in distances]
    return [alpha * math.exp(-d * d / 2) for d in distances]


def sign_aware(weights, advantages):
    """B_i for closer-is-better whatever the sign of A_i, and not below 0 in the factor."""
    centre = mean(weights)
    result = []
    for weight, advantage in zip(weights, advantages, strict=True):
        factor = weight if advantage >= 0 else max(2 * centre - weight, 0.0)
        result.append(advantage * factor)
    return result


def advantages(rewards):
    """Eq. 8, with the unbiased standard deviation and 1e-4 beside it; 0 for equal rewards."""
    if all(reward == rewards[0] for reward in rewards):
        return [0.0 for _ in rewards]
    centre = mean(rewards)
    variance = sum((reward - centre) ** 2 for reward in rewards) / (len(rewards) - 1)
    return [(reward - centre) / (math.sqrt(variance) + 1e-4) for reward in rewards]


def k3(d):
    """Eq. 7."""
    return exp(d) - d - 1


def causal_reference(p_x, p_x_l, p_q, form, n):
    """Eq. 13 for one token. p_x_l: the m terms drawn of the n printed."""
    if form == "p_q":
        return p_q
    total = 0.0
    for p in p_x_l:
        total = total + p
    phi = total / len(p_x_l) if form == "mean" else total * (n / len(p_x_l))
    return p_x - phi + p_q


def causal_kl_token(target, context_logp, floor, cap):
    """The bracket of Eq. 12 for one token, with the floor on the target and the cap on the log ratio."""
    clamped = min(max(target, floor), 1.0)
    d = math.log(clamped) - context_logp
    if d > cap:
        return k3(cap)
    return k3(d)


def causal_kl_row(targets, context_logps, floor, cap):
    """1/T_i over the tokens of one y_i."""
    return mean([causal_kl_token(t, logp, floor, cap) for t, logp in zip(targets, context_logps, strict=True)])


def surrogate_row(logps, old_logps, ref_logps, weighted_advantage, epsilon, beta):
    """1/T_i sum_t { min(R B, clip(R) B) - beta k3(log pi_ref - log pi_theta) } of one y_i (Eqs. 6, 9 and 10)."""
    terms = []
    for t in range(len(logps)):
        ratio = exp(logps[t] - old_logps[t])
        clipped = min(max(ratio, 1 - epsilon), 1 + epsilon)
        first, second = ratio * weighted_advantage, clipped * weighted_advantage
        term = first if first <= second else second
        if beta:
            term = term - beta * k3(ref_logps[t] - logps[t])
        terms.append(term)
    return mean(terms)


def objective(rows, epsilon, beta, kappa, floor, cap):
    """J of Eq. 10 for one group: the mean over y_i of the surrogate and of the divergence D'.

    rows: one dict per y_i with logps, old_logps, ref_logps, b, targets, context_logps.
    """
    policy = mean([surrogate_row(r["logps"], r["old_logps"], r["ref_logps"], r["b"], epsilon, beta) for r in rows])
    if not kappa:
        return policy
    return policy - kappa * mean([causal_kl_row(r["targets"], r["context_logps"], floor, cap) for r in rows])
