"""The node that a task finds itself on: its versions against the lock, and the number of processes against the plan."""

import importlib.metadata
import importlib.util
import platform

from repro.errors import BadInput
from repro.provenance import lock_file, locked_versions

_CHECKED = ("torch", "transformers", "trl", "accelerate", "datasets", "peft", "numpy")
_WHEN_USED = {"deepspeed": "deepspeed", "vllm": "vllm"}
FLASH = "flash_attention_2"


def check_node(*, deepspeed: bool, vllm: bool, attention: str | None) -> None:
    """Raise BadInput unless this node has the lock's versions and the packages that the cell's settings need."""
    locked = locked_versions()
    wanted = [*_CHECKED, *(name for name, used in (("deepspeed", deepspeed), ("vllm", vllm)) if used)]
    for name in wanted:
        try:
            found = importlib.metadata.version(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        if found != locked.get(name, found):
            raise BadInput(
                f"node {platform.node()}: {name} is {found}; {lock_file().name} says {locked[name]}: install it there"
            )
        if found == "not installed":
            raise BadInput(f"node {platform.node()}: {name} is not installed; install it beside {lock_file().name}")
    if attention == FLASH and importlib.util.find_spec("flash_attn") is None:
        raise BadInput(
            f"node {platform.node()}: attn_implementation is {FLASH} and flash_attn is not installed; pip install "
            "flash-attn, which no lock holds because it is built for a machine's CUDA"
        )


def check_ranks(found: int, wanted: int) -> None:
    """Raise BadInput unless a training has the number of processes that its batch was planned for."""
    if found != wanted:
        raise BadInput(
            f"the training has {found} process{'es' if found != 1 else ''}; the profile wants {wanted} "
            "(cluster.ranks): check nodes and gpus_per_node of the site file"
        )
