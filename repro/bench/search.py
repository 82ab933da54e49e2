"""How fast the batched search is beside plain samples of as many tokens: interleaved in one process."""

import statistics
import time
from typing import Any

from repro.config import Profile
from repro.errors import BadInput

_SEED = 2**30  # of the searches timed here; no arm's seed reaches it
LIMIT = 1.3


def bench_search(profile: Profile, *, questions: int = 60, repeats: int = 4) -> dict[str, Any]:
    """CPU seconds per token of MCTS over those of plain samples, on the profile's first base and all its suites.

    One pair: a search of `questions` questions per suite, and as many plain samples of each question as cost no more
    tokens. Pairs alternate in order. Both use the same sampler; the search adds trees, gathered keys, and batches of
    one row per question. Raises BadInput when the base has not been made yet or the profile has no search.
    """
    import torch

    from repro.bases.load import load_model, load_tokenizer
    from repro.cells.bases import base_source
    from repro.device import decide
    from repro.methods.search import Searcher
    from repro.tasks.build import make_taskset

    if profile.search is None:
        raise BadInput(f"profile {profile.name} has no section 'search'")
    torch.set_num_threads(profile.resources.threads)
    source, _ = base_source(profile, next(iter(profile.bases)))
    model, tokenizer = load_model(source, decide(profile.resources.device)).eval(), load_tokenizer(source)
    tasks = make_taskset(profile.tasks)
    asked = [each for suite in profile.tasks.suites for each in tasks.questions(suite)[:questions]]
    simulations = profile.search.simulations

    def spent(seed: int, k: int) -> tuple[float, int]:
        """CPU seconds and tokens of k plain samples per question, or with k = 0 of the search."""
        where = f"profile {profile.name}"
        searcher = Searcher(model, tokenizer, tasks, profile.search, profile.evaluate, seed, where)
        started = time.process_time()
        searcher.samples(asked, [k] * len(asked)) if k else searcher.trees(asked)
        return time.process_time() - started, searcher.policy.tokens

    _, plain_tokens = spent(_SEED, 1)  # also warms up
    _, tokens = spent(_SEED, 0)
    k = max(1, tokens // plain_tokens)
    ratios, rates = [], {"search": [], "plain": []}
    for repeat in range(repeats):
        order = ("search", "plain") if repeat % 2 == 0 else ("plain", "search")
        pair = {kind: spent(_SEED + 1 + repeat, k if kind == "plain" else 0) for kind in order}
        for kind, (seconds, drawn) in pair.items():
            rates[kind].append(drawn / seconds)
        ratios.append(rates["plain"][-1] / rates["search"][-1])
    searched = statistics.median(rates["search"])
    per_search = tokens / len(asked)
    return {
        "what": "CPU seconds per generated token: MCTS over plain samples of the same sampler, same base and questions",
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "limit": LIMIT,
        "questions": len(asked),
        "simulations_per_question": simulations,
        "tokens_per_question": per_search,
        "plain_samples_per_question": k,
        "simulations_per_cpu_second": searched * simulations / per_search,
        "tokens_per_cpu_second": {kind: statistics.median(values) for kind, values in rates.items()},
    }
