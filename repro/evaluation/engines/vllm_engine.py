"""The engine that schedules by itself: vLLM on a GPU (extra `vllm`), or its CPU build in an environment of its own.

vLLM gets token ids and gives token ids back; it loads no tokenizer, so the tokenizer is the one that every engine here
uses. Every request carries its own seed. Completions come as they finish, so a run that is cut keeps them. Samples at
temperature 0 are compared with the transformers engine token by token; samples above it come from another generator and
agree in distribution alone.
"""

import os
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from repro.bases.files import resolve_model
from repro.bases.load import load_tokenizer
from repro.device import decide, device_name
from repro.errors import BadInput
from repro.evaluation.engines import Completion, Request, SamplingSettings, Watch

DTYPES = ("float32", "bfloat16")
GPU_MEMORY = 0.8  # "GPU memory utilization capped at 80%"
CPU_CACHE_BYTES = 2 * 2**30  # not stated: chosen because a machine without a GPU has little memory to spare
# vLLM would pin the process's threads to cores, those of another engine or a trainer beside it included.
_CPU_SETTINGS = {"VLLM_CPU_OMP_THREADS_BIND": "nobind"}
INSTALL = (
    "GPU: pip install -r repro/env/gpu.lock; CPU, in an environment of its own: "
    "uv pip install -r repro/env/vllm_cpu.lock --override repro/env/vllm_cpu_overrides.txt"
)


class VllmEngine:
    """A folder or hub id that vLLM loads, on the GPU if there is one."""

    name = "vllm"
    watch: Watch | None = None

    def __init__(self, model: str, *, dtype: str = "auto", batch_size: int = 16, device: Any = None) -> None:
        if batch_size < 1:
            raise BadInput(f"--batch-size is {batch_size}; want at least 1")
        if find_spec("vllm") is None:
            raise BadInput(f"engine vllm: vllm is not installed here. {INSTALL}")
        folder = resolve_model(model)
        device = decide() if device is None else device
        self.on_gpu, self._device = device.type == "cuda", device_name(device)
        if dtype == "auto":
            dtype = "bfloat16" if self.on_gpu else "float32"
        if dtype not in DTYPES:
            raise BadInput(f"--dtype is {dtype!r}; want auto, {' or '.join(DTYPES)}")
        self.dtype, self.batch_size = dtype, batch_size
        self.tokenizer = load_tokenizer(folder)
        if not self.on_gpu:
            for name, value in _CPU_SETTINGS.items():
                os.environ.setdefault(name, value)
            _check_head_size(folder)
        from vllm import LLM

        memory = {"gpu_memory_utilization": GPU_MEMORY} if self.on_gpu else {"kv_cache_memory_bytes": CPU_CACHE_BYTES}
        try:
            self._llm = LLM(
                model=str(folder),
                skip_tokenizer_init=True,
                generation_config="vllm",  # none of the model's own sampling defaults
                dtype=dtype,
                max_num_seqs=batch_size,
                max_model_len=-1,  # the model's own, or what fits into memory
                enforce_eager=not self.on_gpu,  # compiling takes 40 s on a CPU
                seed=0,  # of what has no seed of its own; every request has one
                disable_log_stats=True,
                **memory,
            )
        except (ValueError, RuntimeError) as error:  # an architecture that vLLM has not, or too little memory
            raise BadInput(f"model {model!r} cannot be loaded by vllm: {str(error).splitlines()[0]}") from error
        self.context_tokens = int(self._llm.llm_engine.model_config.max_model_len)

    def describe(self) -> dict[str, Any]:
        """Engine, versions, dtype and device."""
        build = packages_distributions()["vllm"][0]  # vllm or vllm-cpu
        return {
            "engine": self.name,
            "versions": {name: version(name) for name in ("torch", "transformers", build)},
            "dtype": self.dtype,
            "device": self._device,
        }

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[tuple[int, Completion]]:
        """See `repro.evaluation.engines.Engine`. In the order in which completions finish."""
        from vllm.inputs import TokensPrompt

        if settings.forbidden_first:
            raise BadInput("engine 'vllm' cannot forbid a first token; want engine 'transformers' for that row")
        engine = self._llm.llm_engine
        unfinished = {str(place): place for place in range(len(requests))}
        for name, place in unfinished.items():
            prompt = TokensPrompt(prompt_token_ids=list(requests[place].prompt))
            engine.add_request(name, prompt, sampling_params(settings, requests[place].seed))
        try:
            while engine.has_unfinished_requests():
                for output in engine.step():
                    if output.finished:
                        ids = tuple(output.outputs[0].token_ids)
                        completion = Completion(ids, ids[-1] in settings.stop_token_ids)
                        yield unfinished.pop(output.request_id), completion
        finally:  # a caller that stops early leaves nothing running
            if unfinished:
                engine.abort_request(list(unfinished))


def _check_head_size(folder: Path) -> None:
    """Raise BadInput for a head size without a CPU kernel: vLLM itself would notice at the first token."""
    from vllm.v1.attention.backends.cpu_attn import CPUAttentionBackend

    config = AutoConfig.from_pretrained(folder).get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    known = CPUAttentionBackend.get_supported_head_sizes()
    if size not in known:
        sizes = ", ".join(map(str, known))
        raise BadInput(f"model {folder} has heads of {size} dimensions; vllm on a CPU takes {sizes}")


def sampling_params(settings: SamplingSettings, seed: int) -> Any:
    """vLLM's form of the settings: every field explicit, and no end token but those of the settings."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    return SamplingParams(
        n=1,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        repetition_penalty=settings.repetition_penalty,
        presence_penalty=0.0,
        frequency_penalty=0.0,
        seed=seed,
        max_tokens=settings.max_new_tokens,
        stop_token_ids=list(settings.stop_token_ids),
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
