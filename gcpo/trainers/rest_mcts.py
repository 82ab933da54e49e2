"""ReST-MCTS* (arXiv 2406.03816): self-training on traces that MCTS* found and an answer check verified.

One round: (1) a tree per question, steps valued by the value model; (2) finished leaves are checked by their answer:
right traces train the policy, every node's v_k trains the value model; (3) supervised fine-tuning with TRL's
`SFTTrainer`, value model refitted. Before the first round the value model is fitted on Monte-Carlo v_k of plain
rollouts (ASSUMED: the source has 11,554 annotated items). A tree without a right leaf gives no data, and is counted.

Generated tokens are a budget, so that the method can be set beside others at equal cost. Does not: grade; the caller's
`grade` does, and no part of the search sees its verdicts.
"""

import copy
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback
from trl import SFTConfig, SFTTrainer

from gcpo.search.mcts import SearchQuestion, split_steps
from gcpo.search.mcts_star import MCTSStarConfig, StarTree, grow
from gcpo.search.policy import Policy, Request, delimiter_ids
from gcpo.search.value_model import StepValues, ValueExample, ValueModel, check_fits, fit, rollout_tree, value_examples
from gcpo.trainers.checks import FiniteTrainingMixin
from gcpo.trainers.settings import check_numbers

logger = logging.getLogger(__name__)
Grade = Callable[[Sequence[Sequence[int]], Sequence[str], Sequence[bool]], list[bool]]


@dataclass
class RestMCTSConfig(SFTConfig):
    """Settings of the loop; what SFTConfig has is that of the fine-tuning. Raises ValueError for impossible values."""

    # ---- the loop
    # ReST-MCTS*: "2 rounds" of self-training
    rounds: int = 2
    # Not stated: as many questions as the arm it is compared with sees; they are used again when all had their turn
    questions: int = 1_000
    # Not stated: no budget in the source; here the generated tokens of the arm it is compared with
    generated_tokens: int = 100_000
    # Not stated: the source restarts from the base or goes on, unverified; on
    restart_from_base: bool = False
    # Not stated: trees grown side by side; changes speed, and random numbers of nothing
    trees_at_once: int = 64
    # Not stated: every right trace of a tree trains the policy; 0 = all
    traces_per_question: int = 0

    # ---- MCTS*, data generation
    # ReST-MCTS*: "50 iterations", one tree per question
    iterations: int = 50
    # ReST-MCTS*: 3 proposals at a node
    branch: int = 3
    # ReST-MCTS*: 1 proposal per step of a rollout
    roll_branch: int = 1
    # ReST-MCTS*: 1 step ahead
    roll_forward: int = 1
    # ReST-MCTS*: c = 0.5
    exploration: float = 0.5
    # ReST-MCTS*: INF = 0.9
    first_visit_value: float = 0.9
    # ReST-MCTS*: 0.8
    end_gate: float = 0.8
    # ReST-MCTS*: a = 0.5
    mix: float = 0.5
    # ReST-MCTS*: 0.7
    temperature: float = 0.7
    # ReST-MCTS*: 256 tokens per step
    step_tokens: int = 256
    # "the maximum generation length is 16,384 tokens"
    path_tokens: int = 16_384
    # Not stated: a step ends at a blank line
    delimiter: str = "\n\n"

    # ---- the value model
    # Not stated: a fifth of the tokens go into the plain rollouts that V_0 is fitted on
    rollout_share: float = 0.2
    # Not stated: 8 rollouts per question, as many as a GRPO group
    rollouts: int = 8
    # Not stated: 3, the most that is usual for the policy's fine-tuning
    value_epochs: int = 3
    # Not stated: 1e-5, the larger of the rates usual for the policy
    value_rate: float = 1e-5
    # Not stated: paths per step of the fit
    value_rows: int = 32

    # ---- the fine-tuning
    # ReST-MCTS*: 2-3 epochs
    num_train_epochs: float = 3.0
    # ReST-MCTS*: 1e-5 to 1e-6
    learning_rate: float = 1e-5
    # Only the solution is learnt, not the question
    completion_only_loss: bool | None = True
    # Not stated: nothing is cut; path_tokens bounds the length
    max_length: int | None = None
    # Not stated: plain negative log-likelihood
    loss_type: str = "nll"
    # Not stated: off; it changes memory and time, not the objective
    gradient_checkpointing: bool = False
    # Not stated: off here: fp32 is the reference
    bf16: bool | None = False
    # Not stated: every step, so that a run can be read
    logging_steps: float = 1
    # Not stated: off; the filter would replace a NaN loss by the average of earlier ones
    logging_nan_inf_filter: bool = False
    # Not stated: no tracker unless asked for
    report_to: str | list[str] = "none"
    # Not stated: the caller decides what is kept
    save_strategy: str = "no"

    def __post_init__(self) -> None:
        check_numbers(self)
        super().__post_init__()
        counts = ("rounds", "questions", "generated_tokens", "trees_at_once", "rollouts", "value_epochs", "value_rows")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; want at least 1")
        if not 0 < self.rollout_share < 1:
            raise ValueError(f"rollout_share is {self.rollout_share}; want a share between 0 and 1")
        if self.traces_per_question < 0:
            raise ValueError(f"traces_per_question is {self.traces_per_question}; want 0 (all) or more")
        self.tree_config()

    def tree_config(self) -> MCTSStarConfig:
        """The part that MCTS* reads."""
        names = ("iterations", "branch", "roll_branch", "roll_forward", "exploration", "first_visit_value", "end_gate",
                 "mix", "step_tokens", "path_tokens")  # fmt: skip
        return MCTSStarConfig(**{name: getattr(self, name) for name in names})


class FiniteSFTTrainer(FiniteTrainingMixin, SFTTrainer):
    """TRL's SFTTrainer that stops at the first loss or gradient norm that is not finite."""


@dataclass
class Ledger:
    """What the loop spent and kept."""

    generated_tokens: int = 0
    rollout_tokens: int = 0
    trees: int = 0
    trees_without_right_leaf: int = 0
    finished_leaves: int = 0
    traces: int = 0
    rounds: list[dict[str, Any]] = field(default_factory=list)

    def as_record(self) -> dict[str, Any]:
        """For a run's summary; the cost of a trace is None where none was kept."""
        per_trace = self.generated_tokens / self.traces if self.traces else None
        return {**vars(self), "tokens_per_kept_trace": per_trace}


class RestMCTS:
    """The self-training loop over one policy. `rows`: {prompt, answer} in the order in which they are used.

    grade(completion ids without the end token, answers, ended) -> right or not. Raises ValueError for a prompt that
    leaves no room in the context, a delimiter outside the vocabulary, and a value model of another size.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        config: RestMCTSConfig,
        *,
        rows: Sequence[dict[str, str]],
        grade: Grade,
        callbacks: Sequence[TrainerCallback] = (),
        value: ValueModel | None = None,
    ) -> None:
        if not rows:
            raise ValueError("there are no questions to grow trees on; want at least one row")
        self.model, self.tokenizer, self.config, self.grade = model, tokenizer, config, grade
        self.callbacks = list(callbacks)
        self.base = copy.deepcopy(model.state_dict()) if config.restart_from_base else None
        self.value = value or ValueModel.from_policy(model)
        check_fits(self.value, model)
        self.delimiters = delimiter_ids(tokenizer, config.delimiter)
        self.eos = tokenizer.eos_token_id
        self.ledger = Ledger()
        self.rows = rows
        self.prompts = [tokenizer(row["prompt"], add_special_tokens=False)["input_ids"] for row in rows]
        self.next = 0  # the row whose turn it is

    def run(self) -> PreTrainedModel:
        """Warm up the value model, then all rounds. Returns the policy, trained in place."""
        examples = self.warm_up()
        for number in range(self.config.rounds):
            left = self.config.generated_tokens - self.ledger.generated_tokens
            trees, taken = self.grow_round(left / (self.config.rounds - number), number)
            traces, fresh = self.verified(trees, taken)
            examples += fresh
            entry: dict[str, Any] = {"trees": len(trees), "traces": len(traces), "value_examples": len(fresh)}
            if traces:
                entry["sft_steps"] = self.fine_tune(traces)
            else:
                logger.warning("round %d: no right leaf in %d trees; nothing to train on", number + 1, len(trees))
            if fresh and number + 1 < self.config.rounds:
                entry["value"] = self.fit_value(examples, number + 1)
            self.ledger.rounds.append(entry)
        return self.model

    def policy(self) -> Policy:
        self.model.eval()
        return Policy(self.model, eos=self.eos, temperature=self.config.temperature)

    def take(self, count: int, salt: str) -> list[tuple[int, SearchQuestion]]:
        """The next `count` questions, from the first again when all had their turn, each with a seed of its own."""
        taken = []
        for _ in range(count):
            place = self.next % len(self.rows)
            seed = random.Random(f"{self.config.seed}/{salt}/{self.next}").getrandbits(62)
            taken.append((place, SearchQuestion(f"row {place}", self.prompts[place], seed)))
            self.next += 1
        return taken

    def warm_up(self) -> list[ValueExample]:
        """V_0: plain rollouts, merged into trees of equal prefixes, valued by their verdicts; fitted."""
        config, policy, examples = self.config, self.policy(), []
        while policy.tokens < config.rollout_share * config.generated_tokens:
            taken = self.take(max(1, config.trees_at_once // config.rollouts), "rollout")
            for _, question in taken:
                policy.check_room(question.id, question.prompt, config.path_tokens)
            policy.keys.clear()
            slots = policy.open([question.prompt for _, question in taken])
            requests = [
                Request(each, question.prompt[-1], config.path_tokens, question.seed + draw)
                for each, (_, question) in zip(slots, taken, strict=True)
                for draw in range(config.rollouts)
            ]
            drawn = policy.write(requests, frozenset([self.eos]), keep=False)
            right = self.grade(
                [new.ids[:-1] if new.stopped else new.ids for new in drawn],
                [self.rows[place]["answer"] for place, _ in taken for _ in range(config.rollouts)],
                [new.stopped for new in drawn],
            )
            for number, (_, question) in enumerate(taken):
                chosen = slice(number * config.rollouts, (number + 1) * config.rollouts)
                steps = [split_steps(new.ids, self.delimiters, config.step_tokens) for new in drawn[chosen]]
                parents, texts, leaves = rollout_tree(steps)
                correct = [False] * len(parents)
                for leaf, verdict in zip(leaves, right[chosen], strict=True):
                    correct[leaf] = verdict
                examples += value_examples(question.prompt, parents, texts, correct)
        self.ledger.rollout_tokens = self.ledger.generated_tokens = policy.tokens
        self.next = 0  # trees start from the first question again
        if examples:
            self.fit_value(examples, 0)
        else:
            logger.warning("no plain rollout is right; the first trees are grown with a value model that knows nothing")
        return examples

    def grow_round(self, budget: float, number: int) -> tuple[list[StarTree], list[int]]:
        """Trees until the budget of generated tokens is spent, and the row of each."""
        policy, values = self.policy(), StepValues(self.value)
        trees: list[StarTree] = []
        places: list[int] = []
        while policy.tokens < budget:
            count = self.config.trees_at_once
            if trees:  # the last trees take what is left, not a whole batch
                count = min(count, max(1, round((budget - policy.tokens) * len(trees) / policy.tokens)))
            taken = self.take(count, f"tree {number}")
            trees += grow(
                policy, values, [each for _, each in taken], self.config.tree_config(), delimiters=self.delimiters
            )
            places += [place for place, _ in taken]
        self.ledger.generated_tokens += policy.tokens
        self.ledger.trees += len(trees)
        return trees, places

    def verified(self, trees: Sequence[StarTree], places: Sequence[int]) -> tuple[list[dict], list[ValueExample]]:
        """Right traces for the policy, {prompt, completion} as token ids, and values for the value model."""
        leaves = [(tree, place, leaf) for tree, place in zip(trees, places, strict=True) for leaf in tree.leaves()]
        verdicts = self.grade(
            [tree.ids(leaf)[:-1] for tree, _, leaf in leaves],
            [self.rows[place]["answer"] for _, place, _ in leaves],
            [True] * len(leaves),
        )
        right: dict[int, set[int]] = {}
        for (tree, _, leaf), verdict in zip(leaves, verdicts, strict=True):
            if verdict:
                right.setdefault(id(tree), set()).add(leaf)
        traces, examples = [], []
        for tree in trees:
            found = sorted(right.get(id(tree), ()), key=lambda leaf: -tree.tree.values[leaf])
            texts = dict.fromkeys(tuple(tree.ids(leaf)) for leaf in found)
            kept = list(texts)[: self.config.traces_per_question or None]
            traces += [{"prompt": tree.question.prompt, "completion": list(text)} for text in kept]
            correct = [node in found for node in range(len(tree.steps))]
            examples += value_examples(tree.question.prompt, tree.tree.parents, tree.steps, correct)
            self.ledger.trees_without_right_leaf += not found
        self.ledger.finished_leaves += len(leaves)
        self.ledger.traces += len(traces)
        return traces, examples

    def fine_tune(self, traces: Sequence[dict[str, list[int]]]) -> int:
        """Supervised fine-tuning of the policy on the traces; returns the optimizer steps."""
        if self.base is not None:
            self.model.load_state_dict(self.base)
        rows = [
            {
                "input_ids": each["prompt"] + each["completion"],
                "completion_mask": [0] * len(each["prompt"]) + [1] * len(each["completion"]),
            }
            for each in traces
        ]
        trainer = FiniteSFTTrainer(
            model=self.model,
            args=self.config,
            train_dataset=Dataset.from_list(rows),
            processing_class=self.tokenizer,
            callbacks=self.callbacks,
        )
        trainer.train()
        self.model.eval()
        return trainer.state.global_step

    def fit_value(self, examples: Sequence[ValueExample], number: int) -> dict[str, float]:
        """Refit the value model on all examples so far."""
        with torch.random.fork_rng():
            torch.manual_seed(self.config.seed + number)
            return fit(
                self.value,
                examples,
                epochs=self.config.value_epochs,
                rate=self.config.value_rate,
                rows=self.config.value_rows,
                seed=self.config.seed + number,
            )
