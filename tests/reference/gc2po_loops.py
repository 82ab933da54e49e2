"""GC2PO's episodic reward and L2T's token credit as loops over plain numbers, written from the equations alone.

Nothing is imported from the package under test, nothing is broadcast.
"""

import math


def entropy(p):
    total = 0.0
    for value in p:
        if value > 0:
            total -= value * math.log(value)
    return total


def kl(p, q):
    total = 0.0
    for a, b in zip(p, q, strict=True):
        if a > 0:
            total += a * math.log(a / b)
    return total


def js(p, q):
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (kl(p, middle) + kl(q, middle)) / 2


def norm(vector):
    total = 0.0
    for value in vector:
        total += value * value
    return math.sqrt(total)


def mean_vector(vectors):
    return [sum(vector[d] for vector in vectors) / len(vectors) for d in range(len(vectors[0]))]


def answer_distribution(token_logps, other):
    """token_logps: per answer, the log-prob of each of its tokens. The option "other" stands in front."""
    scores = [sum(tokens) / len(tokens) for tokens in token_logps]
    if other:
        left = 1.0
        for tokens in token_logps:
            left -= math.exp(sum(tokens))
        scores = [math.log(max(left, 2.0**-52)), *scores]
    weights = [math.exp(score) for score in scores]
    return [weight / sum(weights) for weight in weights]


def robustness(clean, perturbed):
    total = 0.0
    for q in perturbed:
        total += js(clean, q)
    return 1 - total / len(perturbed) / math.log(2)


def norm_ratio(clean, perturbed):
    return min(1.0, norm(mean_vector(perturbed)) / norm(clean))


def variability(z, z_bar):
    return norm([a - b for a, b in zip(z, z_bar, strict=True)]) / (norm(z) + norm(z_bar))


def variance_robustness(q, q_bar):
    total = 0.0
    for a, b in zip(q, q_bar, strict=True):
        total += (a - b) ** 2
    return 1 - total / 2


def entropy_effectiveness(q, options):
    return entropy(q) / math.log(options) if options > 1 else 0.0


def at_episode(values, k):
    """The value of a completion at episode k, or at the last one before it; the first if there is none."""
    found = values[min(values)]
    for number in sorted(values):
        if number <= k:
            found = values[number]
    return found


def group_mean_at(group, k):
    """group: per completion {episode: vector}."""
    return mean_vector([at_episode(values, k) for values in group])


def over_all_episodes(values, count):
    """values: {scored episode: r_cc}."""
    mean = sum(values.values()) / len(values)
    return [values.get(k, mean) for k in range(count)]


def token_rewards(rewards, episodes, logps):
    """rewards: [K]; episodes, logps: [T], the episode of each token (−1: none) and log π_old."""
    sums = [0.0] * len(rewards)
    for k, logp in zip(episodes, logps, strict=True):
        if k >= 0:
            sums[k] += -logp
    return [rewards[k] * -logp / sums[k] for k, logp in zip(episodes, logps, strict=True) if k >= 0]


def truncated_mean(values, share=0.05):
    dropped = int(share / 2 * len(values))
    kept = sorted(values)[dropped : len(values) - dropped]
    return sum(kept) / len(kept)


def standardised(values, eps):
    mean = sum(values) / len(values)
    total = 0.0
    for value in values:
        total += (value - mean) ** 2
    sd = math.sqrt(total / (len(values) - 1))
    return [(value - mean) / (sd + eps) for value in values]


def l2t_credit(rewards, episodes, logps, *, eps=1e-8, mean_floor=0.0, ratio_cap=None, length_neutral=False):
    """One group: rewards [n][K_i], episodes and logps [n][T_i], every token in an episode. Returns A_t, [n][T_i]."""
    shares = [token_rewards(*row) for row in zip(rewards, episodes, logps, strict=True)]
    means = [truncated_mean(row) for row in shares]
    scored = [mean * len(row) if length_neutral else mean for mean, row in zip(means, shares, strict=True)]
    out = []
    for advantage, mean, row in zip(standardised(scored, eps), means, shares, strict=True):
        tokens = []
        for r in row:
            if abs(mean) * len(row) <= mean_floor:
                ratio = 1.0
            elif ratio_cap is None:
                ratio = r / mean
            else:
                ratio = min(max(r / mean, 0.0), ratio_cap)
            tokens.append(advantage * ratio)
        out.append(tokens)
    return out
