"""`python -m repro show-context`: one real context as a model reads it, sampled and laid out by the trainer's code.

Imports nothing heavy until it runs.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from repro.errors import BadInput
from repro.verbs.common import Parents

_SETTINGS = ("answer_marker", "candidate_view", "integration_template")


def add(verbs: Any, parents: Parents) -> None:
    """Add the verb `show-context`."""
    parser = verbs.add_parser(
        "show-context",
        parents=[parents.as_json],
        help="print what GCPO lets a model read: candidates of one question in context",
    )
    parser.add_argument("--model", required=True, help="a folder or hub id")
    parser.add_argument("--data", required=True, type=Path, metavar="FILE", help="JSON lines with a column 'prompt'")
    parser.add_argument("--row", type=int, default=0, help="which line of the data (default 0)")
    parser.add_argument("--n", type=int, default=4, help="candidates of the group (default 4)")
    parser.add_argument("--max-new-tokens", type=int, default=256, metavar="T", help="longest candidate (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the candidates (default 0)")
    for name in _SETTINGS:
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"GCPOConfig's {name} (default: what the prompts are)")
    parser.set_defaults(call=run)


def run(args: argparse.Namespace) -> int:
    """Sample a group, lay its contexts out, print them with what they hold."""
    rows = read_rows(args.data)
    if not 0 <= args.row < len(rows):
        raise BadInput(f"--row {args.row}: {args.data} has {len(rows)} lines, numbered from 0")
    found = show_context(
        args.model, rows[args.row], n=args.n, max_new_tokens=args.max_new_tokens, seed=args.seed,
        settings={name: getattr(args, name) for name in _SETTINGS if getattr(args, name) is not None},
    )  # fmt: skip
    print(json.dumps(found, indent=1, ensure_ascii=False) if args.json else describe(found))
    return 0


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSON-lines file, each with a `prompt`: a text, or messages. Raises BadInput where one has none."""
    from repro.grading.json_lines import BadLine, read_object

    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise BadInput(f'--data {path}: {error.strerror}; want JSON lines such as {{"prompt": "1 + 1 ="}}') from None
    rows = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            rows.append(read_object(line, (), others=("prompt",)))
        except BadLine as error:
            raise BadInput(
                f"--data {path}, line {number}: {error}; want an object with 'prompt', a text or a list of messages"
            ) from None
    if not rows:
        raise BadInput(f"--data {path} has no lines")
    return rows


def show_context(
    model: str, row: dict[str, Any], *, n: int, max_new_tokens: int, seed: int, settings: dict[str, Any]
) -> dict[str, Any]:
    """One group's contexts: what y_n reads, what y_0 is scored after, and what the layout decided."""
    import torch
    from datasets import Dataset

    from gcpo import GCPOConfig, GCPOTrainer, trl_adapter
    from gcpo.scm import Group
    from repro.bases.load import load_tokenizer
    from repro.device import decide

    with tempfile.TemporaryDirectory() as folder:
        try:
            config = GCPOConfig(
                output_dir=folder, use_cpu=decide().type == "cpu", num_generations=n, beta=0.0,
                per_device_train_batch_size=n, gradient_accumulation_steps=1, max_completion_length=max_new_tokens,
                max_steps=1, disable_tqdm=True, **settings,
            )  # fmt: skip
            trainer = GCPOTrainer(
                model, lambda completions, **_: [0.0] * len(completions), config,
                train_dataset=Dataset.from_list([row]), processing_class=load_tokenizer(model),
            )  # fmt: skip
        except ValueError as error:
            raise BadInput(str(error)) from None
        torch.manual_seed(seed)
        (ids,) = trl_adapter.tokenize_prompts(trainer, [row["prompt"]])
        group = Group(ids, trl_adapter.generate_continuations(trainer, [ids] * n, preserve_rng=False), row["prompt"])
        contexts = {
            "y_n reads": trainer.layout.collider(group),
            "y_0 is scored after": trainer.layout.without(group, 0),
        }
        views = trainer.layout.views(group.candidates)
        rendered = trainer.layout.render is not None
    return {
        "candidate_view": trainer.layout.view,
        "answer_marker": trainer.layout.marker_ids.marker,
        "template": rendered,
        "views": [trainer.processing_class.decode(view, skip_special_tokens=rendered) for view in views],
        "empty_views": sum(not view for view in views),
        "truncated": sum(y[-1] not in trainer.layout.eos_ids for y in group.candidates),
        "tokens": {name: len(context) for name, context in contexts.items()},
        "contexts": {name: trainer.processing_class.decode(context) for name, context in contexts.items()},
    }


def describe(found: dict[str, Any]) -> str:
    """The contexts as text, each headed by what it is for and its tokens, and one line about the views."""
    parts = [f"== {name} ({found['tokens'][name]} tokens)\n{text}" for name, text in found["contexts"].items()]
    laid_out = "a template" if found["template"] else "ids with separators"
    parts.append(
        f"== {len(found['views'])} candidates, {found['truncated']} cut off, {found['empty_views']} show nothing; "
        f"candidate_view={found['candidate_view']!r}, answer_marker={found['answer_marker']!r}, laid out by {laid_out}"
    )
    return "\n".join(parts)
