"""A model's folder: where it is, whether it is whole, and whose weights it holds. Loads nothing."""

import hashlib
import re
from pathlib import Path

from repro.errors import BadInput

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


def pinned_revision(model: str) -> str:
    """The commit of a hub id's main branch: in the local cache, or else on the hub. Raises BadInput without one."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True)).name
    except (LocalEntryNotFoundError, OSError):
        pass  # not in the cache
    try:
        return str(HfApi().model_info(model).sha)
    except (HfHubHTTPError, OSError) as error:
        line = " ".join(str(error).split())[:160]
        raise BadInput(f"model {model!r} is not in the local cache and the hub cannot be asked: {line}") from None


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
