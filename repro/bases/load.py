"""What a model folder must hold, whose weights they are, and which tokens end its turns."""

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from repro.errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
_DOWNLOADED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def resolve_model(model: str, revision: str | None = None) -> Path:
    """The folder of a model: `model` itself, or the download of a hub id at `revision` (default: its main branch).

    Raises BadInput if there is no such folder or repository, or if weights, configuration or tokenizer are missing.
    """
    folder = Path(model).expanduser()
    if not folder.is_dir():
        if not _HUB_ID.fullmatch(model) or model.startswith("."):
            raise BadInput(f"model {model!r} is neither a folder nor a hub id such as Qwen/Qwen2-7B-Instruct")
        folder = _download(model, revision)
    elif revision is not None:
        raise BadInput(f"model {model!r} is a folder; --revision is for hub ids")
    adapter = (folder / "adapter_config.json").is_file()
    if not adapter and not (folder / "config.json").is_file():
        raise BadInput(f"model folder {folder} has no config.json; want a folder that save_pretrained wrote")
    if not weight_files(folder):
        raise BadInput(f"model folder {folder} has no weights ({' or '.join(_WEIGHTS)})")
    if not any((folder / name).is_file() for name in _TOKENIZER):
        raise BadInput(f"model folder {folder} has no tokenizer (tokenizer.json); save it beside the weights")
    return folder


def _download(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=list(_DOWNLOADED)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        line = " ".join(str(error).split())[:160]
        raise BadInput(f"model {model!r} is no folder here and cannot be downloaded: {line}") from None


def weight_files(folder: Path) -> list[Path]:
    """The weight files of a model folder, sorted by name."""
    return sorted(path for pattern in _WEIGHTS for path in folder.glob(pattern))


def fingerprint(folder: Path) -> str:
    """sha256 over names and contents of weights, configuration and tokenizer: a moved model keeps it.

    The generation config counts only by its end tokens (`stop_token_ids`), so it is left out.
    """
    digest = hashlib.sha256()
    named = [folder / name for name in (*_TOKENIZER, "config.json", "adapter_config.json", "chat_template.jinja")]
    for path in sorted({*weight_files(folder), *(path for path in named if path.is_file())}):
        digest.update(f"{path.name}\0".encode())
        with path.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def stop_token_ids(folder: Path, tokenizer: "PreTrainedTokenizerBase") -> tuple[int, ...]:
    """The ids that end a completion: the tokenizer's end token and those of generation_config.json or config.json.

    Chat models name their end of turn in one place or the other. Raises BadInput if none is known.
    """
    ids = set() if tokenizer.eos_token_id is None else {tokenizer.eos_token_id}
    for name in ("generation_config.json", "config.json"):
        path = folder / name
        if path.is_file():
            value = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
            if value is not None:
                ids.update(value if isinstance(value, list) else [value])
                break
    if not ids:
        raise BadInput(f"model folder {folder} names no end token (eos_token_id); completions would never end")
    return tuple(sorted(ids))
