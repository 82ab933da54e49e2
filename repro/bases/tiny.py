"""A small Qwen2 that speaks the benchmarks' words: to see the whole path of an evaluation work, not to solve anything.

`python -m repro.bases.tiny DIR` trains one for a minute or two on answers to training problems, so that it
boxes numbers and writes code blocks. Its scores mean nothing; its counts and reasons are real.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from repro.errors import BadInput
from repro.tasks.benchmarks.humaneval_prompts import EXEMPLARS, chat_turns
from repro.tasks.benchmarks.loading import SUITES, load_benchmark
from repro.tasks.benchmarks.prompts import SENTENCE
from repro.tasks.benchmarks.training_sets import load_training_set

PAD, UNK, START, END = "<pad>", "<unk>", "<|im_start|>", "<|im_end|>"
_SPECIAL = (PAD, UNK, START, END)
_WORD = r" ?[A-Za-z]+|\\[A-Za-z]+|[0-9]| +|\n|."  # joined, the words give the text back
_TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn.role }}\n{{ turn.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 4096
# Chosen so that training takes about a minute on one core.
STEPS, ROWS, TOKENS, LEARNING_RATE = 150, 16, 256, 3e-3


def build_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A word-level tokenizer over the words of some texts, and over every printable ASCII character."""
    words = Counter(word for text in texts for word in re.findall(_WORD, text, flags=re.DOTALL))
    characters = [*map(chr, range(32, 127)), "\n"]
    vocabulary = [*_SPECIAL, *characters, *sorted(words.keys() - set(characters) - set(_SPECIAL))]
    backend = Tokenizer(models.WordLevel({word: place for place, word in enumerate(vocabulary)}, unk_token=UNK))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), behavior="isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens([AddedToken(word, normalized=False) for word in _SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        unk_token=UNK,
        eos_token=END,
        padding_side="left",
        chat_template=_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, *, hidden: int = 64, seed: int = 0) -> Qwen2ForCausalLM:
    """An untrained Qwen2 of two layers over a tokenizer's words."""
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=hidden,
            intermediate_size=4 * hidden,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=1,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )


def save(model: Qwen2ForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write model and tokenizer as any other model folder."""
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train(
    model: Qwen2ForCausalLM,
    rows: Sequence[tuple[Sequence[int], Sequence[int]]],
    *,
    seed: int = 0,
    steps: int = STEPS,
    tokens_each: int = TOKENS,
) -> float:
    """Next-token training on (prompt, answer) token ids, loss on the answers alone; returns the last loss.

    tokens_each: the last so many tokens of a row are read.
    """
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
    model.train()
    loss = torch.tensor(float("nan"))
    for _ in range(steps):
        chosen = [rows[place] for place in torch.randint(len(rows), (ROWS,), generator=generator).tolist()]
        ids = torch.zeros((ROWS, tokens_each), dtype=torch.long)
        labels = torch.full((ROWS, tokens_each), -100)
        mask = torch.zeros((ROWS, tokens_each), dtype=torch.long)
        for row, (prompt, answer) in enumerate(chosen):
            tokens = [*prompt, *answer][-tokens_each:]
            ids[row, : len(tokens)] = torch.tensor(tokens)
            mask[row, : len(tokens)] = 1
            start = max(0, len(tokens) - len(answer))
            labels[row, start : len(tokens)] = torch.tensor(tokens[start:])
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def training_texts() -> list[tuple[list[dict[str, str]], str]]:
    """(turns, answer): boxed answers to the MATH training problems, and code blocks for the hand-written functions."""
    rows = [
        ([{"role": "user", "content": f"{row.problem}\n{SENTENCE}"}], f"The answer is $\\boxed{{{row.answer}}}$.")
        for row in load_training_set("train_math_7474").rows[:2000]
    ]
    for exemplar in EXEMPLARS:
        code = f"```python\n{exemplar.prompt}{exemplar.solution}```"
        rows += [(chat_turns(exemplar.prompt, shots=0), code)] * 100
    return rows


def make_tiny_model(folder: Path) -> dict[str, float]:
    """Train the small model and write it to a folder; returns its numbers of words and parameters and its loss."""
    texts = training_texts()
    asked = [
        problem.question
        for name in ("MATH500", "HumanEval")
        for problem in load_benchmark(SUITES[name].benchmark).problems
    ]
    tokenizer = build_tokenizer([*asked, *(turns[0]["content"] + answer for turns, answer in texts)])
    model = build_model(tokenizer)
    rows = []
    for turns, answer in texts:
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        rows.append((tokenizer(prompt)["input_ids"], [*tokenizer(answer)["input_ids"], tokenizer.eos_token_id]))
    loss = train(model, rows)
    save(model, tokenizer, folder)
    return {"words": len(tokenizer), "parameters": model.num_parameters(), "loss": loss}


if __name__ == "__main__":
    try:
        for name, value in make_tiny_model(Path(sys.argv[1])).items():
            sys.stdout.write(f"{name} {value:.6g}\n")
    except (BadInput, IndexError) as error:
        sys.exit(f"error: {error or 'want a folder to write to'}")
