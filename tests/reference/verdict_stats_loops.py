"""Every verdict of a table from per-question counts, as loops from the definitions; nothing from `repro`.

A summary is a dictionary as a cell stores it. Everything is a fraction. A weighted sum of arms and the base has a value
and three parts of error: seeds (never below the noise within the table), the base's samples, the draw of questions.
"""

from math import sqrt

from scipy.stats import t as student

MARGIN = 0.10
REFERENCE, BASE = "grpo", "base"


def rates(summaries):
    """[suite][seed][question] of one arm's cells, in order of seeds, as shares of right samples."""
    names = sorted(summaries[0]["suites"])
    return [[[c / s["suites"][name]["k"] for c in s["suites"][name]["correct"]] for s in summaries] for name in names]


def pooled_base(summaries):
    """Per suite the base's rate of every question over all evaluations, and the number of samples behind it."""
    result = []
    for name in sorted(summaries[0]["suites"]):
        entries = [summary["suites"][name] for summary in summaries]
        samples = sum(entry["k"] for entry in entries)
        questions = range(entries[0]["n"])
        result.append(([sum(entry["correct"][q] for entry in entries) / samples for q in questions], samples))
    return result


def weighted(arms, base, base_weight):
    """Value and half-width (as a function of alpha) of the sum of weight x arm, plus base_weight x base."""
    suites, seeds = len(base), len(arms[0][1][0])
    value, by_seed = 0.0, [0.0] * seeds
    noise = drawn = spread = 0.0
    degrees = 0
    for suite in range(suites):
        zero, samples = base[suite]
        count = len(zero)
        table = [[sum(w * arm[suite][s][q] for w, arm in arms) for q in range(count)] for s in range(seeds)]
        columns = [sum(table[s][q] for s in range(seeds)) / seeds for q in range(count)]
        rows = [sum(row) / count for row in table]
        mean = sum(rows) / seeds
        for s in range(seeds):
            by_seed[s] += rows[s] / suites
        shifted = [columns[q] + base_weight * zero[q] for q in range(count)]
        center = sum(shifted) / count
        value += center / suites
        spread += sum((x - center) ** 2 for x in shifted) / (count - 1) / count / suites**2
        drawn += base_weight**2 * sum(p * (1 - p) for p in zero) / (samples - 1) / count**2 / suites**2
        degrees += count - 1
        square = sum((table[s][q] - rows[s] - columns[q] + mean) ** 2 for s in range(seeds) for q in range(count))
        noise += square / (seeds - 1) / (count - 1) / seeds / count / suites**2
    middle = sum(by_seed) / seeds
    between = sum((x - middle) ** 2 for x in by_seed) / (seeds - 1) / seeds
    questions = max(spread - drawn - noise, 0.0)

    def half(alpha):
        few, many, most = (student.ppf(1 - alpha / 2, df) ** 2 for df in (seeds - 1, degrees, (seeds - 1) * degrees))
        return sqrt(max(few * between, most * noise) + many * drawn + many * questions)

    return value, half, by_seed


def excludes(combination, alpha=0.05):
    """Does the interval at 1 - alpha exclude 0?"""
    value, half, _ = combination
    return abs(value) > half(alpha)


def direction(pair, pair_and_reference, base):
    """The word for "the first of the pair is above the second", or above the base where it is alone.

    pair_and_reference: the same arms and the reference, on the seeds that all have; None without a reference.
    """

    def between(arms):
        return list(zip((1.0, -1.0), arms, strict=False)), -1.0 if len(arms) == 1 else 0.0

    arms, zero = between(pair)
    difference = weighted(arms, base, zero)
    if excludes(difference):
        return "supported" if difference[0] > 0 else "reversed"
    if pair_and_reference is None:
        return "undecided"
    *again, reference = pair_and_reference
    arms, zero = between(again)
    inside = []
    for sign in (-1.0, 1.0):
        shifted = weighted([*arms, (sign * MARGIN, reference)], base, zero - sign * MARGIN)
        inside.append(sign * shifted[0] > 0 and excludes(shifted, 0.10))  # one-sided 5 %
    return "equivalent" if all(inside) else "undecided"


def size(above, below, printed, base):
    """The word for the ratio gain(above) / gain(below) against the paper's, once per reading of the paper."""
    if not printed:
        return None
    if not excludes(weighted([(1.0, below)], base, -1.0)):
        return "undecided"

    def holds(ratio):
        return not excludes(weighted([(1.0, above), (-ratio, below)], base, ratio - 1.0))

    if any(holds(ratio) for ratio in printed):
        return "undecided" if holds(1.0) else "consistent"
    _, _, per_seed = weighted([(1.0, above), (-1.0, below)], base, 0.0)
    agree = all((difference > 0) == (ratio > 1) and difference != 0 for difference in per_seed for ratio in printed)
    return "undecided" if agree else "contradicted"


def over_all(words, everywhere, anywhere):
    """One word over all bases."""
    tested = [word for word in words if word != "not tested"]
    if not tested:
        return "not tested"
    if anywhere in tested:
        return anywhere
    if all(word == tested[0] for word in tested) and tested[0] in everywhere:
        return tested[0] if len(tested) == len(words) else "not tested"
    return "undecided"


def printed_ratios(rows, model, above, below):
    """The paper's ratio of gains from its averages and from its cells; rows: (model, method, benchmark) -> number."""
    if not model or not above or not below or above == below:
        return []

    def average(method):
        return rows.get((model, method, "average"))

    def mean(method):
        values = [value for key, value in rows.items() if key[:2] == (model, method) and key[2] != "average"]
        return sum(values) / len(values) if values else None

    found = []
    for read in (average, mean):
        numbers = [read(method) for method in (above, below, "base")]
        if None not in numbers and numbers[1] - numbers[2] > 1e-9:
            found.append((numbers[0] - numbers[2]) / (numbers[1] - numbers[2]))
    return found
