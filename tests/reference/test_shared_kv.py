"""Shared keys against the same group as one packed row under the explicit mask: scores, states, gradients and draws."""

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, Qwen2Config, Qwen2ForCausalLM

from gcpo.scm import ContextLayout, Group, candidate_view
from gcpo.shared_kv.context import Drawn, RolloutKeys, SharedContext, SharedLayout, readable
from gcpo.shared_kv.keys import KeyPool, Reader, check_model, packed_forward, sample, score, token_logps
from gcpo.shared_kv.packing import COPY, INTEGRATED, first_positions, graph
from gcpo.shared_kv.self_check import check_pool

EOS, SEP, MARK = 1, 18, 17
LAYOUT = ContextLayout([SEP], [SEP], [MARK], [EOS], view="full")
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


def make_model(seed: int = 0, dtype: torch.dtype = torch.float64, **config) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    rest = {"vocab_size": 19, "num_key_value_heads": 2, "max_position_embeddings": 256, "initializer_range": 0.3}
    model = Qwen2ForCausalLM(Qwen2Config(**(shape | rest | config)))
    return model.to(dtype).eval()


MODEL = make_model()
MODEL32 = copy.deepcopy(MODEL).float()


def packed(model, group, integrated, copies, layout=LAYOUT):
    """Per copy (log-probs of y_i, its states), from one packed row per group under the explicit mask."""
    lead = layout.closing_ids
    nodes = graph(len(group.candidates), len(integrated), copies)
    tokens = [group.prompt_ids, *group.candidates, *([*lead, *y] for y in integrated)]
    tokens += [[*lead, *group.candidates[i]] for i, _ in copies]

    def view(ids):
        seen = readable(ids, view=layout.view, marker_ids=layout.marker_ids, eos_ids=layout.eos_ids)
        return torch.cat([seen, seen.new_zeros(len(ids) - len(seen))])

    masks = [torch.ones(len(group.prompt_ids), dtype=torch.bool), *map(view, group.candidates)]
    masks += [torch.cat([torch.zeros(len(lead), dtype=torch.bool), view(y)]) for y in integrated]
    masks += [torch.zeros(len(lead) + len(group.candidates[i]), dtype=torch.bool) for i, _ in copies]
    states = packed_forward(model, nodes, tokens, masks)
    parts = states.split([len(part) for part in tokens])[-len(copies) :]
    results = []
    for (i, _), part in zip(copies, parts, strict=True):
        y = torch.tensor(group.candidates[i])
        results.append((token_logps(model, part[len(lead) - 1 : -1], y, 1.0), part[len(lead) :]))
    return results


def shared(model, group, integrated, copies, layout=LAYOUT, *, context=None, order=None):
    """The same by cache reuse. `integrated` are ids, drawn after all candidates."""
    references = SharedLayout(layout)
    if context is None:
        context = SharedContext(model, references)
        context.add_groups([group])
    drawn = [Drawn(y, references.collider(group, order=order)) for y in integrated]
    readings = [references.without(group, i, [] if draw is None else [drawn[draw]], order=order) for i, draw in copies]
    readers = context.readers(readings, COPY)
    outputs = [group.candidates[i] for i, _ in copies]
    logps, states = score(model, context.pool, readers, [context.lead] * len(outputs), outputs, temperature=1.0)
    return [(logps[r, : len(y)], states[r, : len(y)]) for r, y in enumerate(outputs)]


def assert_equal(left, right, tolerance):
    for (a, b), (c, d) in zip(left, right, strict=True):
        torch.testing.assert_close(a, c, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(b, d, rtol=tolerance, atol=tolerance)


token = st.integers(2, 16)
output = st.builds(
    lambda body, marked, end: [*body, *([MARK, 5] if marked else []), *([EOS] if end else [])],
    st.lists(token, min_size=1, max_size=6),
    st.booleans(),
    st.booleans(),
)
groups = st.builds(Group, st.lists(token, min_size=1, max_size=5), st.lists(output, min_size=2, max_size=5))
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(groups, st.lists(output, min_size=1, max_size=3), st.sampled_from(["full", "final_answer"]), st.data())
def test_cache_reuse_equals_the_packed_row(group, integrated, view, data):
    layout = replace(LAYOUT, view=view, closing_ids=data.draw(st.sampled_from([[SEP], [SEP, 4]])))
    n, m = len(group.candidates), len(integrated)
    copies = list(itertools.product(range(n), range(m)))
    for model in (MODEL, MODEL32):
        tolerance = TOLERANCE[model.dtype]
        assert_equal(
            shared(model, group, integrated, copies, layout),
            packed(model, group, integrated, copies, layout),
            tolerance,
        )


@quick
@given(groups, st.data())
def test_copies_without_y_n_equal_the_packed_row(group, data):
    copies = [(i, None) for i in range(len(group.candidates))]
    assert_equal(shared(MODEL, group, [], copies), packed(MODEL, group, [], copies), 1e-9)


@quick
@given(groups, st.lists(output, min_size=1, max_size=2), st.data())
def test_permuting_the_candidates_permutes_the_scores(group, integrated, data):
    n = len(group.candidates)
    order = data.draw(st.permutations(range(n)))
    copies = [(i, 0) for i in range(n)]
    straight = shared(MODEL, group, integrated, copies)
    permuted = Group(group.prompt_ids, [group.candidates[k] for k in order])
    assert_equal(shared(MODEL, permuted, integrated, copies), [straight[k] for k in order], 1e-9)
    assert_equal(shared(MODEL, group, integrated, copies, order=order), straight, 1e-9)


@quick
@given(st.lists(groups, min_size=2, max_size=3))
def test_groups_of_any_lengths_share_a_batch(several):
    references = SharedLayout(LAYOUT)
    context = SharedContext(MODEL, references, batch_size=2)
    context.add_groups(several)
    readings = [references.without(g, i) for g in several for i in range(len(g.candidates))]
    outputs = [y for g in several for y in g.candidates]
    logps, _ = score(
        MODEL, context.pool, context.readers(readings, COPY), [[SEP]] * len(outputs), outputs, temperature=1.0
    )
    alone = [pair for g in several for pair in packed(MODEL, g, [], [(i, None) for i in range(len(g.candidates))])]
    for row, (want, _) in zip(logps, alone, strict=True):
        torch.testing.assert_close(row[: len(want)], want, rtol=1e-9, atol=1e-9)
        assert not row[len(want) :].any()


GROUP = Group([3, 4, 5], [[6, 7, MARK, 8, EOS], [9, MARK, 3, EOS], [2, 2, 5, 6, MARK, 4]])


def test_a_copy_does_not_depend_on_the_y_i_it_leaves_out():
    changed = Group(GROUP.prompt_ids, [[7, 7, 7, 7, 7], *GROUP.candidates[1:]])
    contexts = []
    for group in (GROUP, changed):
        references = SharedLayout(LAYOUT)
        context = SharedContext(MODEL, references)
        context.add_groups([group])
        readers = context.readers([references.without(group, 0)], COPY)
        contexts.append(score(MODEL, context.pool, readers, [[SEP]], [[6, 6]], temperature=1.0)[0])
    assert len(changed.candidates[0]) == len(GROUP.candidates[0])
    torch.testing.assert_close(*contexts, rtol=1e-12, atol=1e-12)


def test_a_candidate_alone_is_scored_as_the_model_scores_it_after_q():
    """The fork: in the packed row y_i is what π(.|q) gives, whatever the other candidates are."""
    nodes = graph(3, 0)
    tokens = [GROUP.prompt_ids, *GROUP.candidates]
    nodes = nodes[:4]
    states = packed_forward(MODEL, nodes, tokens, [torch.ones(len(part), dtype=torch.bool) for part in tokens])
    for y, part in zip(GROUP.candidates, states.split([len(p) for p in tokens])[1:], strict=True):
        plain = MODEL.base_model(torch.tensor([GROUP.prompt_ids + y]))[0][0, len(GROUP.prompt_ids) :]
        torch.testing.assert_close(part, plain, rtol=1e-9, atol=1e-9)


def test_final_answer_reads_only_the_tokens_of_the_view():
    seen = readable(GROUP.candidates[0], view="final_answer", marker_ids=[MARK], eos_ids=[EOS])
    assert seen.tolist() == [False, False, True, True]
    for y in GROUP.candidates:
        for view in ("full", "final_answer"):
            flags = readable(y, view=view, marker_ids=[MARK], eos_ids=[EOS])
            assert [t for t, f in zip(y, flags, strict=False) if f] == candidate_view(
                y, view=view, marker_ids=[MARK], eos_ids=[EOS]
            )


def rollout_of(model, prompts, candidates):
    """A left-padded cache of sampled rows, as generation leaves it: the last column was never fed."""
    width, length = max(map(len, prompts)), max(map(len, candidates))
    ids = torch.zeros(len(prompts), width + length, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for r, (q, y) in enumerate(zip(prompts, candidates, strict=True)):
        ids[r, width - len(q) : width] = torch.tensor(q)
        ids[r, width : width + len(y)] = torch.tensor(y)
        mask[r, width - len(q) :] = 1  # generation attends to its own padding after EOS
    cache = DynamicCache()
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    model.base_model(
        ids[:, :-1], attention_mask=mask[:, :-1], position_ids=positions[:, :-1], past_key_values=cache, use_cache=True
    )
    return cache, mask[:, :width]


@pytest.mark.parametrize("view", ["full", "final_answer"])
def test_keys_that_sampling_left_behind_serve_as_well_as_keys_encoded_anew(view):
    layout = replace(LAYOUT, view=view)
    other = Group([7], [[4, MARK, 2, EOS], [5, 5, 5, MARK, 5, 5], [MARK, EOS]])
    rows = [(g.prompt_ids, y) for g in (GROUP, other) for y in g.candidates]
    cache, prompt_mask = rollout_of(MODEL, [q for q, _ in rows], [y for _, y in rows])
    references = SharedLayout(layout)
    context = SharedContext(MODEL, references)
    context.add_groups([other, GROUP], RolloutKeys(cache, prompt_mask, [[3, 4, 5], [0, 1, 2]]))
    # of the two longest rows the last token, a part of both views, was never fed
    assert context.encoded == len(GROUP.candidates[2]) + len(other.candidates[1])
    for group in (GROUP, other):
        copies = [(i, 0) for i in range(3)]
        want = packed(MODEL, group, [[9, MARK, 9]], copies, layout)
        assert_equal(shared(MODEL, group, [[9, MARK, 9]], copies, layout, context=context), want, 1e-9)


@pytest.mark.parametrize("context_grad", [True, False])
def test_gradients_equal_those_of_the_packed_row_with_and_without_the_context_s_share(context_grad):
    model, copies = make_model(1), [(i, 0) for i in range(3)]
    integrated = [[5, MARK, 6]]

    def gradients(run):
        model.zero_grad()
        sum(logps.sum() for logps, _ in run()).backward()
        return [p.grad.clone() for p in model.parameters()]

    def reused():
        references = SharedLayout(LAYOUT)
        context = SharedContext(model, references)
        drawn = Drawn(integrated[0], references.collider(GROUP))
        with torch.set_grad_enabled(context_grad):
            context.add_groups([GROUP])
            readers = context.readers([references.without(GROUP, i, [drawn]) for i, _ in copies], COPY)
        logps, _ = score(model, context.pool, readers, [[SEP]] * 3, GROUP.candidates, temperature=1.0)
        return [(row, None) for row in logps]

    ours, whole = gradients(reused), gradients(lambda: packed(model, GROUP, integrated, copies))
    equal = [torch.allclose(a, b, rtol=1e-8, atol=1e-10) for a, b in zip(ours, whole, strict=True)]
    names = [name for name, _ in model.named_parameters()]
    through_context = [same for name, same in zip(names, equal, strict=True) if "k_proj.w" in name or "v_proj" in name]
    assert all(equal) if context_grad else not any(through_context)


def greedy(logits):
    return logits.argmax(dim=-1)


def test_sampling_continues_as_a_forward_pass_over_the_packed_row_would():
    """Greedy draws, token by token, with rows that end early leaving the batch."""
    model = make_model(3)
    others = [Group([2, 9], [[5, 6, EOS], [7, EOS]]), Group([8], [[3, 3, 3, 3, EOS], [4, EOS]])]
    references = SharedLayout(LAYOUT)
    context = SharedContext(model, references)
    context.add_groups([GROUP, *others])
    readings = [references.collider(g) for g in (GROUP, *others) for _ in range(2)]
    readings += [references.without(g, 0) for g in (GROUP, *others)]
    readers = context.readers(readings, INTEGRATED)
    ends = [1, 4, 9, 12]
    outputs, states = sample(
        model, context.pool, readers, [[SEP]] * len(readers), max_new_tokens=9, eos_ids=ends, pick=greedy,
        states_wanted=True,
    )  # fmt: skip
    bare, nothing = sample(
        model, context.pool, readers, [[SEP]] * len(readers), max_new_tokens=9, eos_ids=ends, pick=greedy
    )
    assert bare == outputs and nothing == []
    assert len({len(y) for y in outputs}) > 1
    for reader, y, seen in zip(readers, outputs, states, strict=True):
        logps, want = score(model, context.pool, [reader], [[SEP]], [y], temperature=1.0)
        torch.testing.assert_close(seen, want[0], rtol=1e-9, atol=1e-9)
        hidden = torch.cat([context.pool.run(model, [reader], [[SEP]])[0][0], want[0, :-1]])
        assert model.get_output_embeddings()(hidden).argmax(dim=-1).tolist() == y
        assert (y[-1] in ends) != (len(y) == 9 and y[-1] not in ends)
        assert not any(token in ends for token in y[:-1])
        assert logps.shape == (1, len(y))


def test_a_further_output_of_the_fork_is_sampled_after_q_alone():
    context = SharedContext(MODEL, SharedLayout(LAYOUT))
    other = Group([7], [[4, EOS], [5, 5]])
    context.add_groups([GROUP, other])
    prompts = [other.prompt_ids, GROUP.prompt_ids]
    readers, leads = context.prompt_readers(prompts)
    outputs, _ = sample(MODEL, context.pool, readers, leads, max_new_tokens=5, eos_ids=[EOS], pick=greedy)
    for prompt, output in zip(prompts, outputs, strict=True):
        ids = list(prompt)
        for _ in output:
            ids.append(MODEL(torch.tensor([ids])).logits[0, -1].argmax().item())
        assert ids[len(prompt) :] == output


def test_sampled_frequencies_are_the_model_s_probabilities():
    model = make_model(4, torch.float32, initializer_range=0.1)
    references = SharedLayout(LAYOUT)
    context = SharedContext(model, references)
    context.add_groups([GROUP])
    reader = context.readers([references.collider(GROUP)], INTEGRATED)[0]
    draws = 4000
    torch.manual_seed(0)
    outputs, _ = sample(
        model, context.pool, [reader] * draws, [[SEP]] * draws, max_new_tokens=1, eos_ids=[EOS],
        pick=lambda logits: torch.multinomial(logits.softmax(-1), 1).squeeze(-1),
    )  # fmt: skip
    counts = torch.bincount(torch.tensor(outputs).flatten(), minlength=19) / draws
    probs = torch.stack(
        [score(model, context.pool, [reader], [[SEP]], [[t]], temperature=1.0)[0][0, 0].exp() for t in range(19)]
    )
    assert probs.sum().item() == pytest.approx(1, abs=1e-5)
    assert (counts - probs).abs().max() < 4 * (0.25 / draws) ** 0.5


def test_an_integrated_output_is_encoded_after_what_it_was_drawn_from():
    """Leave-one-out draws read other candidates, so equal tokens have other keys."""
    references = SharedLayout(LAYOUT)
    results = []
    for source in (references.collider(GROUP), references.without(GROUP, 1), references.replaced(GROUP, 1, [6, EOS])):
        context = SharedContext(MODEL, references)
        context.add_groups([GROUP])
        reading = references.without(GROUP, 0, [Drawn([9, 9], source)])
        readers = context.readers([reading], COPY)
        results.append(score(MODEL, context.pool, readers, [[SEP]], [[5, 5]], temperature=1.0)[0])
    for a, b in itertools.combinations(results, 2):
        assert (a - b).abs().max() > 1e-6


def test_the_temperature_divides_the_logits():
    references = SharedLayout(LAYOUT)
    context = SharedContext(MODEL, references)
    context.add_groups([GROUP])
    readers = context.readers([references.collider(GROUP)], COPY)
    one, two = (score(MODEL, context.pool, readers, [[SEP]], [[5]], temperature=t)[0].item() for t in (1.0, 2.0))
    state = context.pool.run(MODEL, readers, [[SEP]])[0][0, -1]
    logits = MODEL.get_output_embeddings()(state)
    assert one == pytest.approx(logits.log_softmax(-1)[5].item(), abs=1e-9)
    assert two == pytest.approx((logits / 2).log_softmax(-1)[5].item(), abs=1e-9)


def test_a_start_over_the_budget_is_refused_with_its_numbers():
    references = SharedLayout(replace(LAYOUT, budget=8))
    context = SharedContext(MODEL, references)
    context.add_groups([GROUP])
    with pytest.raises(ValueError, match=r"position 9, after a prompt of 3 tokens.*the budget is 8"):
        context.readers([references.collider(GROUP)], INTEGRATED)


def test_stages_start_where_the_longest_segment_before_them_ends():
    nodes = graph(2, 2, [(0, 1)])
    assert first_positions(nodes, [3, 4, 6, 5, 2, 9]) == [0, 3, 3, 9, 9, 14]
    assert first_positions(graph(2, 0, [(0, None)]), [3, 4, 6, 5]) == [0, 3, 3, 9]


def test_models_that_hide_keys_or_take_no_mask_are_refused():
    check_model(MODEL)
    sliding = make_model(use_sliding_window=True, sliding_window=4, max_window_layers=0)
    with pytest.raises(ValueError, match=r"by its own forward and of -\d.* over shared keys \(\d+ tokens\)"):
        check_pool(sliding, longest=None)
    check_pool(MODEL, longest=None)
    other = copy.deepcopy(MODEL)
    other.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="takes no explicit mask"):
        check_model(other)


def test_eager_attention_gives_the_same_scores():
    eager = copy.deepcopy(MODEL)
    eager.set_attn_implementation("eager")
    copies = [(i, 0) for i in range(3)]
    # eager attention takes its softmax in float32
    assert_equal(shared(eager, GROUP, [[4, 4]], copies), shared(MODEL, GROUP, [[4, 4]], copies), 1e-5)


def test_a_pool_grows_without_moving_what_is_in_it():
    pool = KeyPool()
    nothing = Reader(torch.zeros(0, dtype=torch.long), 0)
    first = pool.encode(MODEL, [nothing], [[3, 4, 5]], [torch.tensor([True, False, True])])[0]
    second = pool.encode(MODEL, [Reader(first, 3)], [[6]], [torch.tensor([True])])[0]
    assert (first.tolist(), second.tolist(), pool.size) == ([0, 1], [2], 3)
    cache, mask = pool.cache([first, second])
    assert mask.tolist() == [[True, True], [True, False]]
    torch.testing.assert_close(cache.layers[1].keys[0, :, 1], pool.keys[1][1], rtol=0, atol=0)
