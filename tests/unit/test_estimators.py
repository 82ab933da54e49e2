"""What each estimator samples, from which contexts and how often; a policy of plain arithmetic is the model."""

from collections import Counter

import pytest
import torch

from gcpo.estimators import Estimator, Sampling
from gcpo.scm import ContextLayout, Group

EOS, SEP, MARK = 0, 100, 50
LAYOUT = ContextLayout(separator_ids=[SEP], closing_ids=[SEP], marker_ids=[MARK], eos_ids=[EOS])


class ArithmeticPolicy:
    """Draws, features and probabilities that are functions of ids; the k-th draw from a context is its own."""

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.drawn, self.scored = seed, [], []
        self._times = Counter()

    def _vector(self, *parts):
        generator = torch.Generator().manual_seed(hash((self.seed, *parts)) % 2**62)
        return torch.randn(4, generator=generator, dtype=torch.float64)

    def sample(self, contexts):
        outputs = []
        for context in contexts:
            time = self._times[tuple(context)]
            self._times[tuple(context)] += 1
            self.drawn.append(list(context))
            outputs.append([3, MARK, 60 + hash((self.seed, tuple(context), time)) % 30, EOS])
        return outputs

    def features(self, prompts, outputs):
        return torch.stack([self._vector(tuple(o)) for o in outputs])

    def sample_features(self, prompts, contexts):
        return self.features(prompts, self.sample(contexts))

    def score(self, contexts, outputs, *, features):
        self.scored += list(zip(map(tuple, contexts), map(tuple, outputs), strict=True))
        width = max(map(len, outputs))
        probs = torch.zeros(len(outputs), width, dtype=torch.float64)
        for row, (context, output) in enumerate(zip(contexts, outputs, strict=True)):
            for t in range(len(output)):
                probs[row, t] = (hash((tuple(context), tuple(output[: t + 1]))) % 1000) / 1000
        vectors = [self._vector(tuple(c), tuple(o)) for c, o in zip(contexts, outputs, strict=True)]
        return probs, torch.stack(vectors) if features else None


def make_groups(n: int, count: int = 2) -> list[Group]:
    return [Group([g + 91, g + 92], [[7, MARK, 10 * g + k + 1, EOS] for k in range(n)]) for g in range(count)]


def run(sampling: Sampling, groups, policy=None, **kwargs):
    policy = policy or ArithmeticPolicy()
    estimator = Estimator(sampling, LAYOUT, policy)
    return estimator, policy, estimator.evidence(groups, **kwargs)


def test_the_centroid_samples_nothing_and_has_no_projection():
    _, policy, evidence = run(Sampling("centroid"), make_groups(4))
    assert policy.drawn == []
    assert evidence.z.shape == (2, 4, 4)
    assert not evidence.x_mean.any() and not evidence.phi_mean.any()


@pytest.mark.parametrize(("m", "count"), [(2, 1), (3, 2), (4, 4)])
def test_mc_draws_m_integrated_outputs_and_n_m_r_outputs_per_group(m, count):
    groups = make_groups(4, 1)
    _, policy, _ = run(Sampling("mc", m, count), groups)
    times = Counter(map(tuple, policy.drawn))
    assert times[tuple(LAYOUT.collider(groups[0]))] == m
    assert len(policy.drawn) == m + 4 * m * count


def test_literal_draws_n_plus_n_cubed_outputs_and_n_squared_more_without_the_slice():
    n = 3
    _, policy, _ = run(Sampling("literal", n, n), make_groups(n, 1))
    assert len(policy.drawn) == n + n**3
    _, policy, _ = run(Sampling("literal", n, n, step2_slice=False), make_groups(n, 1))
    assert len(policy.drawn) == n + n**2 + n**3


def test_mc_with_m_and_r_equal_to_n_is_literal_on_the_same_draws():
    groups = make_groups(3)
    _, _, literal = run(Sampling("literal", 3, 3), groups)
    _, _, mc = run(Sampling("mc", 3, 3), groups)
    for name in ("z", "x_mean", "phi_mean"):
        assert torch.equal(getattr(literal, name), getattr(mc, name))
    assert (literal.x_mean - literal.phi_mean).abs().max() > 0.1


@pytest.mark.parametrize("how", ["printed", "drop", "resample"])
def test_only_the_printed_projection_sees_the_candidate_it_integrates_out(how):
    groups = make_groups(3, 1)
    policy = ArithmeticPolicy()
    _, policy, evidence = run(Sampling("mc", 2, 1, phi_sampling=how), groups, policy)
    answers = [group_answer(y) for y in groups[0].candidates]
    phi = evidence.integrated.phi[0]
    if how == "printed":
        assert phi[0] == phi[1] == phi[2]
        return
    # draws for candidate i come from contexts of their own, in none of which y_i stands
    assert len({tuple(map(tuple, draws)) for draws in phi}) == 3
    whole = tuple(LAYOUT.collider(groups[0]))
    integration = [c for c in policy.drawn if c[-1] == SEP and c[:2] == [91, 92] and tuple(c) != whole]
    seen = [[a for a in answers if a in c] for c in integration[: 3 * 2]]
    assert seen == [[a for k, a in enumerate(answers) if k != i] for i in range(3) for _ in range(2)]
    views = [context.count(SEP) for context in integration[: 3 * 2]]
    assert views == [3 if how == "drop" else 4] * 6


def group_answer(ids):
    return ids[2]


def test_leave_one_out_keeps_y_n_in_step_2_and_draws_it_once_from_all_candidates():
    groups = make_groups(3, 1)
    _, policy, evidence = run(Sampling("mc", 2, 1, phi_sampling="drop"), groups)
    whole = LAYOUT.collider(groups[0])
    assert policy.drawn.count(whole) == 1
    for i in range(3):
        assert LAYOUT.without(groups[0], i, [evidence.integrated.y_n[0]]) in policy.drawn


def test_without_y_n_in_x_i_step_2_has_its_own_draws():
    groups = make_groups(3, 1)
    _, policy, _ = run(Sampling("mc", 2, 1, x_has_yn=False), groups)
    for i in range(3):
        assert policy.drawn.count(LAYOUT.without(groups[0], i)) == 1


def test_append_keeps_y_n_beside_y_n_l():
    groups = make_groups(2, 1)
    _, policy, evidence = run(Sampling("mc", 2, 1, phi_context="append"), groups)
    y_n, other = evidence.integrated.phi[0][0]
    assert LAYOUT.without(groups[0], 0, [y_n, other]) in policy.drawn


def test_teacher_forcing_scores_every_candidate_after_every_context_and_samples_only_y_n_l():
    groups = make_groups(3, 1)
    estimator, policy, evidence = run(Sampling("teacher_forced", 2), groups)
    assert len(policy.drawn) == 2
    assert len(policy.scored) == 3 * 2
    rows = [(0, 1)]
    again = len(policy.scored)
    scored = estimator.scoring_rows(groups, rows, evidence)
    assert len(policy.scored) == again  # the same forward gave Eq. 13's terms
    context = LAYOUT.without(groups[0], 1, [evidence.integrated.phi[0][1][1]])
    want, _ = ArithmeticPolicy().score([context], [groups[0].candidates[1]], features=False)
    assert torch.equal(scored.token_probs[0, :, 1], want[0])


def test_the_p_q_target_scores_nothing_and_its_context_has_no_y_n():
    groups = make_groups(3)
    estimator, policy, _ = run(Sampling("centroid"), groups)
    scored = estimator.scoring_rows(groups, [(1, 2), (0, 0)], None)
    assert scored.contexts == [LAYOUT.without(groups[1], 2), LAYOUT.without(groups[0], 0)]
    assert scored.token_probs is None and policy.scored == []


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling("centroid", 3),
        Sampling("mc", 3, 1),
        Sampling("mc", 3, 1, phi_includes_l0=False),
        Sampling("mc", 3, 1, step2_slice=False),
        Sampling("mc", 3, 1, step2_slice=False, phi_includes_l0=False),
        Sampling("mc", 3, 1, x_has_yn=False),
        Sampling("mc", 3, 1, phi_sampling="drop"),
        Sampling("mc", 3, 1, phi_sampling="drop", phi_includes_l0=False),
    ],
)
def test_the_terms_of_eq_13_are_scored_after_x_i_and_after_each_x_i_l(sampling):
    groups = make_groups(3)
    estimator, _, evidence = run(sampling, groups, integrate=True)
    rows = [(0, 1), (1, 2)]
    scored = estimator.scoring_rows(groups, rows, evidence)
    for r, (g, i) in enumerate(rows):
        y_n, drawn = evidence.integrated.y_n[g], evidence.integrated.phi[g][i]
        if not sampling.phi_includes_l0 and sampling.phi_sampling == "printed":
            drawn = drawn[1:]
        x_i = LAYOUT.without(groups[g], i, [y_n] if sampling.x_has_yn else [])
        assert scored.contexts[r] == x_i
        contexts = [x_i, *(LAYOUT.without(groups[g], i, [y]) for y in drawn)]
        want, _ = ArithmeticPolicy().score(contexts, [groups[g].candidates[i]] * len(contexts), features=False)
        assert torch.equal(scored.token_probs[r, :, 0], want[0])
        assert torch.equal(scored.token_probs[r, :, sampling.phi_from :], want[1:].T)
        without_x = estimator.scoring_rows(groups, rows, evidence, skip_x=True)
        assert torch.equal(without_x.token_probs, scored.token_probs[..., 1:])


def test_known_features_are_not_computed_again():
    groups = make_groups(3)
    z = torch.randn(2, 3, 4, dtype=torch.float64)
    _, _, evidence = run(Sampling("centroid"), groups, z=z)
    assert evidence.z is z


def test_an_order_changes_contexts_and_not_who_is_left_out():
    groups = make_groups(3, 1)
    _, policy, evidence = run(Sampling("mc", 2, 1), groups, orders=[[2, 0, 1]])
    assert LAYOUT.collider(groups[0], order=[2, 0, 1]) in policy.drawn
    assert LAYOUT.without(groups[0], 0, [evidence.integrated.y_n[0]], order=[2, 0, 1]) in policy.drawn


class IntegratingPolicy(ArithmeticPolicy):
    """Copies a random answer of its context, so that y_n carries y_i; features are one-hot in the answer."""

    def sample(self, contexts):
        outputs = []
        for k, context in enumerate(contexts):
            answers = [context[p + 1] for p, token in enumerate(context) if token == MARK]
            draw = torch.Generator().manual_seed(hash((self.seed, k, len(self.drawn), tuple(context))) % 2**62)
            outputs.append([3, MARK, answers[int(torch.randint(len(answers), (), generator=draw))], EOS])
        self.drawn += contexts
        return outputs

    def features(self, prompts, outputs):
        return torch.nn.functional.one_hot(torch.tensor([o[2] - 1 for o in outputs]), 3).double()


@pytest.mark.parametrize(("how", "want"), [("printed", 0.0), ("drop", 1 / 9)])
def test_the_printed_projection_has_mean_zero_and_the_leave_one_out_projection_has_not(how, want):
    """y_n is y_i in a third of the draws, and O copies it from {y_j, y_k, y_n} in a third of those."""
    groups = make_groups(3, 1)
    own = []
    for seed in range(400):
        _, _, evidence = run(Sampling("mc", 2, 1, phi_sampling=how), groups, IntegratingPolicy(seed))
        own.append((evidence.x_mean - evidence.phi_mean)[0].diagonal().mean().item())
    assert sum(own) / len(own) == pytest.approx(want, abs=0.04)
