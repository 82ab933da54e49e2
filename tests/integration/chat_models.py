"""Tiny chat models in the shape of real ones: byte-level BPE, a chat template, two end tokens, boxed answers."""

import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from repro.tasks.benchmarks.prompts import prompt_of
from repro.tasks.encoding import encode_prompt
from repro.tasks.protocol import Question

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SHAPE = {
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "bos_token_id": None,
}


def build_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 600 pieces, so that a backslash merges with what stands around it."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=SPECIAL, initial_alphabet=alphabet)
    backend.train_from_iterator([*texts, "The answer is \\boxed{7}.\n" * 50], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )


def build(kind: str, folder: Path, texts: list[str]) -> Path:
    """A `qwen2` or `llama` that answers any question with a boxed digit of its own liking; its folder."""
    tokenizer = build_tokenizer(texts)
    torch.manual_seed(0)
    sizes = {**SHAPE, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    model = Qwen2ForCausalLM(Qwen2Config(**sizes)) if kind == "qwen2" else LlamaForCausalLM(LlamaConfig(**sizes))
    _teach_to_box(model, tokenizer, texts)
    stops = [tokenizer.convert_tokens_to_ids(name) for name in ("<|im_end|>", "<|endoftext|>")]
    # settings of a chat model's folder that must not leak into rollouts or evaluations
    model.generation_config = GenerationConfig(
        eos_token_id=stops, pad_token_id=stops[1], do_sample=True, temperature=0.7, top_k=20, repetition_penalty=1.05
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _teach_to_box(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> None:
    rng = random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(200):
        rows, starts = [], []
        for _ in range(8):
            prompt = encode_prompt(tokenizer, prompt_of(Question("q", rng.choice(texts)[:60], ""), "chat")).token_ids
            ending = rng.choice(("The answer is ", "so ", ""))
            answer = tokenizer(f"{ending}\\boxed{{{rng.randint(0, 9)}}}<|im_end|>")["input_ids"]
            rows.append([*prompt, *answer])
            starts.append(len(prompt))
        width = max(map(len, rows))
        ids = torch.full((8, width), tokenizer.pad_token_id)
        labels = torch.full((8, width), -100)
        for place, (row, start) in enumerate(zip(rows, starts, strict=True)):
            ids[place, : len(row)] = torch.tensor(row)
            labels[place, start : len(row)] = ids[place, start : len(row)]
        loss = model(
            input_ids=ids, attention_mask=(labels != -100) | (ids != tokenizer.pad_token_id), labels=labels
        ).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
