"""Loss and gradient of the real trainer against loops from the paper, with every model call made row by row, unpadded.

The loops see what was sampled and which rows were chosen, and nothing else of the code under test.
"""

import math
from collections.abc import Callable
from typing import Any

import gcpo_loops as loops
import pytest
import torch

import gcpo.trainers.gcpo as gcpo_trainer
from gcpo import GCPOConfig, GCPOTrainer, trl_adapter
from gcpo.scm import ContextLayout

N, EOS, MARK, SEP = 4, 1, 17, 18  # ids of "<eos>", "#" and ";" in the toy vocabulary
FULL = {"candidate_separator": ";", "kappa_row_fraction": 1.0, "kappa": 0.3, "candidate_view": "full"}
FORMS = {
    "expected": {},
    "expected on half the rows": {"kappa_row_fraction": 0.5},
    "final answers only": {"candidate_view": "final_answer"},
    "centroid with Eq. 13 summed": {"eq13": "sum", "num_integrated": 3},
    "mc": {"estimator": "mc", "eq13": "mean"},
    "mc, several outputs": {"estimator": "mc", "eq13": "mean", "num_integrated": 3, "num_context_outputs": 2},
    "literal": {"estimator": "literal", "eq13": "sum"},
    "literal, o alone": {"estimator": "literal", "eq13": "sum", "feature_input": "o"},
    "mc, q and o, last content": {"estimator": "mc", "feature_input": "q_o", "feature_position": "last_content"},
    "teacher-forced": {"estimator": "teacher_forced", "eq13": "mean", "num_integrated": 3},
}


class Rollout:
    """One rollout of a trainer that has trained a step, and all that was sampled for it."""

    def __init__(self, trainer: Any, monkeypatch: pytest.MonkeyPatch, rewards: list[float]) -> None:
        self.trainer, self.rewards, self.sampled = trainer, rewards, []
        original = trl_adapter.generate_continuations

        def recording(t: Any, contexts: list[list[int]], **kwargs: Any) -> list[list[int]]:
            outputs = original(t, contexts, **kwargs)
            self.sampled += [(list(c), list(o)) for c, o in zip(contexts, outputs, strict=True)]
            return outputs

        monkeypatch.setattr(trl_adapter, "generate_continuations", recording)
        trainer.model.train()
        data = [trainer.train_dataset[k] for k in range(3) for _ in range(N)]
        self.inputs = trainer._generate_and_score_completions(data)
        monkeypatch.setattr(trl_adapter, "generate_continuations", original)
        self.prompts = self._ids("prompt")
        self.candidates = self._ids("completion")
        self.old_model = {k: v.clone() for k, v in trainer.model.state_dict().items()}

    def _ids(self, part: str) -> list[list[int]]:
        pairs = zip(self.inputs[f"{part}_ids"], self.inputs[f"{part}_mask"], strict=True)
        return [ids[mask.bool()].tolist() for ids, mask in pairs]

    def take(self, context: list[int]) -> list[int]:
        """The next output sampled from a context."""
        at = next(k for k, (c, _) in enumerate(self.sampled) if c == context)
        return self.sampled.pop(at)[1]


def seen(ids: list[int], view: str) -> list[int]:
    content = [token for token in ids if token != EOS]
    if view == "full":
        return content
    return content[len(content) - 1 - content[::-1].index(MARK) :] if MARK in content else []


def lay_out(prompt: list[int], outputs: list[list[int]], view: str) -> list[int]:
    context = list(prompt)
    for output in outputs:
        context += [SEP, *seen(output, view)]
    return [*context, SEP]


def logps_of(model: Any, context: list[int], output: list[int]) -> list[torch.Tensor]:
    logits = model(torch.tensor([context + output])).logits[0].log_softmax(-1)
    return [logits[len(context) - 1 + t, token] for t, token in enumerate(output)]


def feature_of(model: Any, context: list[int], output: list[int], position: str) -> list[float]:
    index = len(output) - 1
    if position == "last_content" and output[-1] == EOS and len(output) > 1:
        index -= 1
    states = model(torch.tensor([context + output]), output_hidden_states=True).hidden_states[-1][0]
    return states[len(context) + index].tolist()


def reference_loss(rollout: Rollout, model: Any, old: Any, ref: Any, args: GCPOConfig) -> torch.Tensor:
    """−J of Eq. 10, averaged over the rollout's groups."""
    objectives = []
    for g in range(len(rollout.candidates) // N):
        q, y = rollout.prompts[g * N], rollout.candidates[g * N : (g + 1) * N]
        a = loops.advantages(rollout.rewards[g * N : (g + 1) * N])
        used = any(value != 0 for value in a)
        weights = rollout.inputs["causal_row_weights"][g * N : (g + 1) * N].tolist()
        assert sum(w != 0 for w in weights) == (math.ceil(args.kappa_row_fraction * N) if used else 0)
        integrated = []
        if used and args.needs_integration:
            integrated = [rollout.take(lay_out(q, y, args.candidate_view)) for _ in range(args.num_integrated)]
        factors = upsilon_of(rollout, old, args, q, y, integrated) if used else [1.0] * N
        rows = []
        for i in range(N):
            with torch.no_grad():
                p_q = logps_of(old, q, y[i])
                ref_logps = logps_of(ref, q, y[i])
            row = {"logps": logps_of(model, q, y[i]), "old_logps": p_q, "ref_logps": ref_logps, "b": a[i] * factors[i]}
            if weights[i]:
                others = [y[k] for k in range(N) if k != i]
                contexts = [lay_out(q, [*others, y_n], args.candidate_view) for y_n in integrated]
                x_i = lay_out(q, others, args.candidate_view) if args.eq13 == "p_q" else contexts[0]
                with torch.no_grad():
                    p_x_l = [[p.exp().item() for p in logps_of(old, context, y[i])] for context in contexts]
                targets = []
                for t in range(len(y[i])):
                    terms = [p[t] for p in p_x_l]
                    first = terms[0] if terms else 0.0
                    targets.append(loops.causal_reference(first, terms, p_q[t].exp().item(), args.eq13, N))
                row |= {"targets": targets, "context_logps": logps_of(model, x_i, y[i])}
            rows.append(row)
        surrogate = loops.objective(rows, args.epsilon, args.beta, 0.0, args.causal_ref_floor, args.log_ratio_cap)
        scored = [row for row in rows if "targets" in row]
        penalty = [
            loops.causal_kl_row(r["targets"], r["context_logps"], args.causal_ref_floor, args.log_ratio_cap)
            for r in scored
        ]
        objectives.append(surrogate - args.kappa * loops.mean(penalty) if scored else surrogate)
    assert not rollout.sampled  # every sampled output has its place in the paper's steps
    return -loops.mean(objectives)


def upsilon_of(rollout: Rollout, old: Any, args: GCPOConfig, q: list[int], y: list, integrated: list) -> list[float]:
    def feature(context: list[int], output: list[int]) -> list[float]:
        before = {"o": [], "q_o": q, "context": context}[args.feature_input]
        with torch.no_grad():
            return feature_of(old, before, output, args.feature_position)

    z = [feature(q, y_i) for y_i in y]
    if args.estimator == "centroid":
        targets = [loops.mean_vector(z)] * N
        return loops.upsilon(z, targets, args.alpha)
    outputs = []
    for i in range(N):
        others = [y[k] for k in range(N) if k != i]
        per_context = []
        for y_n in integrated:
            context = lay_out(q, [*others, y_n], args.candidate_view)
            if args.estimator == "teacher_forced":
                per_context.append([feature(context, y[i])])
            else:
                drawn = [rollout.take(context) for _ in range(args.num_context_outputs)]
                per_context.append([feature(context, output) for output in drawn])
        outputs.append(per_context)
    return loops.upsilon(z, loops.causal_targets(z, outputs), args.alpha)


def agreement(make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, overrides: dict, *, updates: int = 1) -> bool:
    """Whether loss and every gradient of the trainer equal those of the loops."""
    rewards: list[float] = []

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        rewards[:] = [0.5 * (sum(ids) % 3) for ids in completion_ids]
        rewards[-N:] = [0.7] * N  # the last group has no advantages
        return list(rewards)

    trainer = make_trainer(
        GCPOTrainer,
        GCPOConfig,
        reward_funcs=reward,
        max_steps=1,
        per_device_train_batch_size=12,
        gradient_accumulation_steps=1,
        steps_per_generation=updates,
        **(FULL | overrides),
    )
    trainer.train()  # moves π_θ away from π_ref
    model = trainer.model
    rollout = Rollout(trainer, monkeypatch, rewards)
    assert ("old_per_token_logps" in rollout.inputs) == (updates > 1)
    ref = trainer.ref_model
    old = type(model)(model.config).eval()
    old.load_state_dict(rollout.old_model)
    if updates > 1:  # π_θ has moved on since the rollout
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    trainer.current_gradient_accumulation_steps = 2
    model.zero_grad()
    loss = trainer._compute_loss(model, rollout.inputs)
    loss.backward()
    ours = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    want = reference_loss(rollout, model, old, ref, trainer.args)
    (want / 2).backward()
    theirs = [p.grad.clone() for p in model.parameters()]
    assert max(g.abs().max() for g in theirs) > 1e-2
    return math.isclose(loss.item(), want.item() / 2, rel_tol=1e-4, abs_tol=1e-5) and all(
        torch.allclose(a, b, rtol=1e-3, atol=2e-5) for a, b in zip(ours, theirs, strict=True)
    )


@pytest.mark.parametrize("form", FORMS)
def test_loss_and_gradient_equal_the_loops_with_one_update_per_rollout(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    assert agreement(make_trainer, monkeypatch, FORMS[form])


@pytest.mark.parametrize("form", ["expected", "mc", "teacher-forced"])
def test_loss_and_gradient_equal_the_loops_after_the_policy_has_moved_on(
    make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    assert agreement(make_trainer, monkeypatch, FORMS[form], updates=2)


def _keep_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    original = trl_adapter.recorded_per_token_logps

    class Attached:
        def __init__(self, trainer: Any) -> None:
            self.context, self.trainer = original(trainer), trainer

        def __enter__(self) -> list:
            self.recorded = self.context.__enter__()
            score, kept = self.trainer._get_per_token_logps_and_entropies, []

            def keeping(*args: Any, **kwargs: Any) -> Any:
                result = score(*args, **kwargs)
                kept.append(result[0])
                return result

            self.trainer._get_per_token_logps_and_entropies = keeping
            return kept

        def __exit__(self, *failure: Any) -> None:
            self.context.__exit__(*failure)

    monkeypatch.setattr(trl_adapter, "recorded_per_token_logps", Attached)


def _swap_x_i(monkeypatch: pytest.MonkeyPatch) -> None:
    original = ContextLayout.without
    monkeypatch.setattr(ContextLayout, "without", lambda self, g, i, *a, **k: original(self, g, (i + 1) % N, *a, **k))


def _replace(name: str, wrap: Callable) -> Callable[[pytest.MonkeyPatch], None]:
    def fault(monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(gcpo_trainer, name, wrap(getattr(gcpo_trainer, name)))

    return fault


FAULTS = {
    "target not detached": _keep_graph,
    "x_i of another candidate": _swap_x_i,
    "κ with the wrong sign": _replace("causal_kl_loss", lambda f: lambda *a, **k: -f(*a, **k)),
    "mean over scored rows only": _replace(
        "causal_kl_loss", lambda f: lambda *a, **k: f(*a, **(k | {"num_rows": len(a[0])}))
    ),
    "padding not masked": _replace(
        "causal_kl_loss", lambda f: lambda target, logps, mask, w, **k: f(target, logps, torch.ones_like(mask), w, **k)
    ),
    "no cap": _replace("causal_kl_loss", lambda f: lambda *a, **k: f(*a, **(k | {"log_ratio_cap": 40.0}))),
    "Υ squared": _replace("signed_weight", lambda f: lambda *a, **k: f(*a, **k) ** 2),
    "Υ negated": _replace("signed_weight", lambda f: lambda *a, **k: -f(*a, **k)),
    "Ψ with the wrong sign": _replace("psi_probability", lambda f: lambda *a, **k: -f(*a, **k)),
    "α squared": _replace("upsilon", lambda f: lambda *a, alpha, **k: f(*a, alpha=alpha**2, **k)),
    "z̄ of the whole batch": _replace(
        "upsilon",
        lambda f: (
            lambda z, *a, **k: f(z.reshape(1, -1, z.size(-1)), *(t.reshape(1, -1, t.size(-1)) for t in a), **k).view(
                z.shape[:2]
            )
        ),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_trainer_is_caught(make_trainer: Callable, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    FAULTS[name](monkeypatch)
    assert not agreement(make_trainer, monkeypatch, FORMS["mc"])
