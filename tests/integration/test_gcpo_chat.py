"""GCPO on chat prompts with nothing set: contexts hold the question and whole candidates; empty ones stop the run."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoTokenizer

import gcpo.trainers.gcpo as gcpo_trainer
from gcpo import GCPOConfig, GCPOTrainer
from gcpo.scm import NO_ANSWER
from gcpo.trainers import contexts
from gcpo.trainers.contexts import CHAT_INTEGRATION_TEMPLATE
from gcpo.trainers.gcpo_policy import TrainerPolicy
from gcpo.trainers.pooled_policy import CachedTextPolicy
from repro.cli import build_parser
from repro.errors import BadInput
from repro.verbs import show_context

CHAT = Dataset.from_list([{"prompt": [{"role": "user", "content": f"{a} + {b}"}]} for a in range(4) for b in range(4)])

WORDY = "1 2 3 4 5 6 7 8 9 ; {question} ; 9 8 7 6 5 4 3 2 1 = {candidates} + 9"


@pytest.fixture
def chat_tokenizer(tiny_model_dir: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(tiny_model_dir)
    tokenizer.chat_template = "{% for m in messages %}; {{ m['content'] }} {% endfor %}="
    return tokenizer


def reward(completions: list[list[dict[str, str]]], **_: Any) -> list[float]:
    return [float(len(set(message["content"]))) for (message,) in completions]


@pytest.fixture
def chat_trainer(tiny_model_dir: Path, chat_tokenizer: Any, tiny_args: dict) -> Callable[..., GCPOTrainer]:
    def make(**overrides: Any) -> GCPOTrainer:
        config = GCPOConfig(**(tiny_args | {"max_steps": 1} | overrides))
        return GCPOTrainer(str(tiny_model_dir), reward, config, train_dataset=CHAT, processing_class=chat_tokenizer)

    return make


def test_with_nothing_set_a_chat_context_holds_the_template_and_whole_candidates(
    chat_trainer: Callable, chat_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    original = GCPOTrainer._store_rows

    def watching(self: Any, rollout: dict, kept: list[int], rows: list[int], scored: Any) -> None:
        read.extend(self.processing_class.decode(context) for context in scored.contexts)
        original(self, rollout, kept, rows, scored)

    monkeypatch.setattr(GCPOTrainer, "_store_rows", watching)
    trainer = chat_trainer()
    assert trainer.layout.view == "full" and trainer.layout.marker_ids.marker == "\\boxed"
    rendered = trainer.layout.collider(gcpo_trainer.Group([3], [[5, 6, 1], [7, 1]], CHAT[0]["prompt"]))
    words = CHAT_INTEGRATION_TEMPLATE.format(question="0 + 0", candidates="Candidate 1:\n2 3\n\nCandidate 2:\n4")
    assert (
        rendered
        == chat_tokenizer.apply_chat_template([{"role": "user", "content": words}], return_dict=True)["input_ids"]
    )
    trainer.train()
    log = trainer.state.log_history[0]
    assert read and log["context/tokens"] > 20 and log["context/empty_views"] < 0.5


def test_a_run_whose_contexts_are_all_empty_stops_at_its_first_rollout(chat_trainer: Callable) -> None:
    trainer = chat_trainer(candidate_view="final_answer", answer_marker="* * * * * * *")
    with pytest.raises(ValueError, match=r"first rollout are empty.*'\*\*\*\*\*\*\*'.*set answer_marker"):
        trainer.train()


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("  ", NO_ANSWER),
        ("<think> 1 + 1 is", "<think> 1 + 1 is\n</think>"),
        ("<think>2</think> 2 ", "<think>2</think> 2"),
        ("cut off in the mid", "cut off in the mid"),
    ],
)
def test_a_candidate_without_an_answer_is_named_and_an_open_thought_is_closed(answer: str, shown: str) -> None:
    assert contexts._shown(answer) == shown


def test_show_context_prints_what_the_model_reads(
    tiny_model_dir: Path, chat_tokenizer: Any, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(tiny_model_dir).save_pretrained(tmp_path / "model")
    chat_tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in CHAT))
    parser = build_parser()
    words = ["show-context", "--model", str(tmp_path / "model"), "--data", str(tmp_path / "data.jsonl"), "--row", "5"]
    words += ["--n", "3", "--max-new-tokens", "6", "--integration-template", "{question} ; {candidates} ; 9"]
    assert show_context.run(parser.parse_args(words)) == 0
    printed = capsys.readouterr().out
    assert "== y_n reads (" in printed and ";1+1;" in printed and "3 candidates" in printed
    assert show_context.run(parser.parse_args([*words, "--json"])) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["candidate_view"] == "full" and all(v in found["contexts"]["y_n reads"] for v in found["views"])
    with pytest.raises(BadInput, match=r"--row 99: .* has 16 lines"):
        show_context.run(parser.parse_args([*words, "--row", "99"]))


def test_cached_chat_contexts_score_like_text_and_a_group_s_shared_part_is_read_once(chat_trainer: Callable) -> None:
    trainer = chat_trainer(context_encoding="cached_text", extra_batch_size=3, integration_template=WORDY)
    groups = [
        gcpo_trainer.Group([3], [[5, 6, 1], [7, 9, 9, 1], [8, 8, 1]], CHAT[0]["prompt"]),
        gcpo_trainer.Group([4], [[4, 6, 1], [7, 5, 1], [9, 8, 1]], CHAT[5]["prompt"]),
    ]
    contexts = [trainer.layout.collider(group) for group in groups]
    contexts += [trainer.layout.without(group, i, [[4, 4]]) for group in groups for i in range(3) for _ in range(2)]
    outputs = [[5, 6, 17, 1][: 1 + k % 4] for k in range(len(contexts))]
    plain = TrainerPolicy(trainer, trainer.layout, seed=1)
    cached = CachedTextPolicy(trainer, trainer.layout, seed=1, groups=groups)
    want, _ = plain.score(contexts, outputs, features=False)
    probs, _ = cached.score(contexts, outputs, features=False)
    torch.testing.assert_close(probs, want, rtol=1e-5, atol=1e-6)
    # every distinct context once, and of all but each group's first nothing that comes before the first candidate
    distinct = [len(context) - 1 for context in dict.fromkeys(map(tuple, contexts))]
    shared = (len(distinct) - 2) * (len(WORDY.split("{candidates}")[0].split()) + 3)
    assert cached.tokens["scored"] <= sum(distinct) - shared + sum(len(y) + 1 for y in outputs)
    assert cached.tokens["scored"] < 0.5 * plain.tokens["scored"]
