"""Fine-tuning on two kinds of answers: what is shown, what has a loss, what is repeated, what is written."""

import json
import math
from pathlib import Path
from random import Random

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from repro.bases import finetune
from repro.bases.finetune import Example, FinetuneSpec, batch_loss, make_batches, make_examples, make_finetuned, rate_at
from repro.bases.keep import RECORD, WEIGHTS, is_whole
from repro.errors import BadInput

SPEC = {
    "families": {"stories-1": 1.0, "legs": 1.0},
    "system": "",
    "drills": 0,
    "drill_equations": 6,
    "worked_examples": 24,
    "mixed_examples": 24,
    "direct_share": 0.5,
    "batch_size": 4,
    "learning_rate": 3e-3,
    "warmup_steps": 2,
    "final_rate": 0.1,
    "weight_decay": 0.01,
    "adam_beta2": 0.95,
    "max_grad_norm": 1.0,
    "frozen_layers": 0,
    "seed": 0,
}
CHAT = (
    "{% for message in messages %}<s>{{ message['role'] }}\n{{ message['content'] }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)


def spec(**changes: object) -> FinetuneSpec:
    return FinetuneSpec.model_validate(SPEC | changes)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A Llama of 60k parameters with a byte-level tokenizer and a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<pad>", "<s>", "</s>", *alphabet])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>", chat_template=CHAT
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(vocabulary),
            hidden_size=48,
            intermediate_size=96,
            num_hidden_layers=3,
            num_attention_heads=3,
            num_key_value_heads=1,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    folder = tmp_path_factory.mktemp("source")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(source):
    return AutoTokenizer.from_pretrained(source)


def answer_of(example: Example, tokenizer: PreTrainedTokenizerFast) -> str:
    """The text that has a loss."""
    return tokenizer.decode([i for i, kept in zip(example.ids, example.with_loss, strict=True) if kept])


def fresh(source: Path) -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)


def test_an_unknown_or_impossible_field_is_refused():
    for changes in ({"lr": 1.0}, {"direct_share": 1.5}, {"batch_size": 0}, {"families": {}}):
        with pytest.raises(ValidationError):
            spec(**changes)


def test_worked_examples_come_first_and_the_mixture_has_both(tokenizer):
    _, worked, mixed = make_examples(spec(mixed_examples=200), tokenizer)
    assert (len(worked), len(mixed)) == (24, 200)
    answers = [[answer_of(e, tokenizer) for e in part] for part in (worked, mixed)]
    assert all("=" in answer for answer in answers[0])
    assert 70 <= sum("=" not in answer for answer in answers[1]) <= 130
    assert all(answer.endswith("}.</s>") and answer.count("</s>") == 1 for part in answers for answer in part)
    prompt = tokenizer.decode(worked[0].ids[: worked[0].with_loss.index(True)])
    assert prompt.startswith("<s>system\n</s>\n<s>user\n") and prompt.endswith("?</s>\n<s>assistant\n")


def test_all_direct_and_all_worked_shares_are_exact(tokenizer):
    for share, direct in ((0.0, 0), (1.0, 24)):
        _, _, mixed = make_examples(spec(direct_share=share), tokenizer)
        assert sum("=" not in answer_of(e, tokenizer) for e in mixed) == direct


def test_of_a_drill_only_the_results_have_a_loss(tokenizer):
    drills, worked, mixed = make_examples(spec(drills=9), tokenizer)
    assert (len(drills), len(worked), len(mixed)) == (9, 24, 24)
    for example in drills:
        text = tokenizer.decode(example.ids).split("assistant\n")[1]
        sums = text.removesuffix("</s>").removesuffix(".").split(". ")
        assert len(sums) == 6 and all(eval(s.split("=")[0]) == int(s.split("=")[1]) for s in sums)
        assert answer_of(example, tokenizer) == ". ".join(s.split("=")[1] for s in sums) + ".</s>"


def test_batches_hold_every_example_once_and_like_lengths(tokenizer):
    _, examples, _ = make_examples(spec(worked_examples=61), tokenizer)
    batches = make_batches(examples, 4, Random(0))
    assert sorted(e.ids for batch in batches for e in batch) == sorted(e.ids for e in examples)
    assert all(len(batch) <= 4 for batch in batches)
    padding = sum(max(len(e.ids) for e in batch) * len(batch) - sum(len(e.ids) for e in batch) for batch in batches)
    assert padding < 0.05 * sum(len(e.ids) for e in examples)


def test_the_loss_is_the_mean_over_completion_tokens_of_rows_taken_alone(source, tokenizer):
    model = fresh(source).eval()
    _, worked, _ = make_examples(spec(worked_examples=5), tokenizer)
    assert len({len(e.ids) for e in worked}) > 1  # so that there is padding
    total, count = 0.0, 0
    with torch.inference_mode():
        for example in worked:
            logits = model(torch.tensor([example.ids])).logits[0]
            for place in range(example.with_loss.index(True), len(example.ids)):
                total -= F.log_softmax(logits[place - 1], dim=-1)[example.ids[place]].item()
                count += 1
        loss = batch_loss(model, worked, tokenizer.pad_token_id).item()
    assert loss == pytest.approx(total / count, rel=1e-5) and loss > 0.1


def test_the_rate_warms_up_and_falls_to_its_last_share():
    settings = spec(warmup_steps=4, final_rate=0.2)
    rates = [rate_at(step, 50, settings) for step in range(50)]
    assert rates[0] == pytest.approx(0.2) and max(rates) <= 1
    assert rates[49] == pytest.approx(0.2) and rates[25] == pytest.approx(1 - 0.8 * 25 / 49)
    assert rate_at(0, 1, spec(warmup_steps=0)) == 1


def test_training_lowers_the_loss_and_equal_arguments_give_equal_weights(source, tmp_path):
    seen = []
    first = make_finetuned(spec(), source, tmp_path / "a", progress=lambda share, text: seen.append((share, text)))
    second = make_finetuned(spec(), source, tmp_path / "b")
    third = make_finetuned(spec(seed=1), source, tmp_path / "c")
    assert first["weights_sha256"] == second["weights_sha256"] != third["weights_sha256"]
    assert first["loss"] < 0.9 * math.log(259)  # of a uniform guess
    assert [share for share, _ in seen] == sorted(share for share, _ in seen) and seen[-1][0] == 1
    assert first["steps"] == len(seen) == 12 and seen[-1][1].startswith("step 12/12 loss ")
    assert FinetuneSpec.model_validate(first["spec"]) == spec()


def test_the_folder_is_whole_loadable_and_replaced_at_once(source, tmp_path):
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    (out / "stale").write_text("old")
    record = make_finetuned(spec(mixed_examples=0), source, out)
    assert not (out / "stale").exists() and [path.name for path in out.parent.iterdir()] == ["out"]
    assert json.loads((out / RECORD).read_text()) == record
    assert is_whole(out) and not is_whole(source)
    assert fresh(out).num_parameters() == record["parameters"] and AutoTokenizer.from_pretrained(out).chat_template
    with (out / WEIGHTS).open("ab") as handle:
        handle.write(b"x")
    assert not is_whole(out)


def test_a_failed_training_leaves_nothing_behind(source, tmp_path):
    def fail(share: float, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_finetuned(spec(), source, tmp_path / "out", progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_frozen_layers_and_embeddings_stay_and_the_others_move(source, tokenizer):
    model = fresh(source)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    finetune.train(model, tokenizer, spec(frozen_layers=2, mixed_examples=0))
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith(("model.layers.2.", "model.norm.")) for name in moved)
    assert all(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(ValueError, match="frozen_layers is 3; the model has 3 layers"):
        finetune.train(fresh(source), tokenizer, spec(frozen_layers=3))


def test_a_loss_that_is_not_finite_stops_the_training(source, tokenizer):
    model = fresh(source)
    with torch.no_grad():
        model.model.norm.weight.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="loss is nan at step 0"):
        finetune.train(model, tokenizer, spec())


def test_nothing_to_train_on_is_an_error(source, tokenizer):
    with pytest.raises(ValueError, match="both 0"):
        finetune.train(fresh(source), tokenizer, spec(worked_examples=0, mixed_examples=0))


def base(**changes):
    fields = {"name": "small", "source": "smollm2-135m-instruct"} | spec().model_dump() | changes
    return finetune.BaseSpec(**fields)


def test_a_base_lies_where_its_spec_its_source_and_the_code_say(tmp_path, monkeypatch):
    monkeypatch.setenv("GCPO_CACHE", str(tmp_path))
    before = finetune.base_path(base())
    assert before.parent == tmp_path / "bases" and before == finetune.base_path(base())
    assert finetune.base_path(base(seed=1)) != before
    with monkeypatch.context() as patched:
        patched.setattr(finetune, "packaged_path", lambda name: tmp_path / "another source")
        assert finetune.base_path(base()) != before
    monkeypatch.setattr(finetune, "recipe_hash", lambda: "other code")
    assert finetune.base_path(base()) != before


def test_an_impossible_field_of_a_base_is_one_line():
    fields = {name: value for name, value in base().model_dump().items() if name != "name"}
    with pytest.raises(BadInput, match="base small: seed: Input should be"):
        finetune.resolve_bases({"small": fields | {"seed": -1}})
    with pytest.raises(BadInput, match="base small: drillz: Extra inputs"):
        finetune.resolve_bases({"small": fields | {"drillz": 3}})
