"""A tiny Qwen2 with a word-level tokenizer, saved where TRL can load the reference model from, and a toy task."""

import gc
import os
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hypothesis
import pytest
import torch

# A slow moment of a shared machine is no failed property
hypothesis.settings.register_profile("shared", deadline=None)
hypothesis.settings.load_profile("shared")

torch.set_num_threads(1)

TRAINER_ARGUMENTS = ("model", "reward_funcs", "train_dataset", "eval_dataset", "peft_config", "callbacks", "optimizers")
# By CPU time, longest first: files go to workers whole, and none of these may be left for one of them at the end
LONG_FILES = (
    "test_run_smoke", "test_gcpo_ddp", "test_road", "test_run_figures", "test_policy_figures_run",
    "test_evaluate_command", "test_gcpo_trainer", "test_gc2po_trainer", "test_gc2po_ddp", "test_trainers_ddp",
    "test_sandbox_verdicts", "test_sandbox_hostile",
)  # fmt: skip
WORDS = ["<pad>", "<eos>", "<unk>", *"0123456789", "+", "-", "*", "=", "#", ";"]


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):  # xdist would begin with the files of most tests
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def build_tiny_model(folder: Path) -> Path:
    """Write a Qwen2 of about 20k parameters and its tokenizer to `folder`; returns the folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(WORDS),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            initializer_range=0.2,  # large enough that samples and their log-probs differ
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def settled_heap() -> None:
    """Take what is loaded by now out of the collector's sight: every training collects garbage, half of its time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory):
    """An interpreter that has imported what a run of the suite needs and forks a process per command."""
    from warm import Warm  # beside the integration tests

    with Warm(tmp_path_factory.mktemp("warm")) as started:
        yield started


@pytest.fixture
def tiny_model(tiny_model_dir: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(tiny_model_dir, dtype=torch.float32)


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_model_dir: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model_dir)


@pytest.fixture(scope="session")
def toy_dataset():
    from datasets import Dataset

    return Dataset.from_list(
        [{"prompt": f"{a} + {b} =", "digit": str((a + b) % 10)} for a in range(6) for b in range(4)]
    )


@pytest.fixture(scope="session")
def digit_reward() -> Callable[..., list[float]]:
    """Count of the wanted digit in a completion, plus 0.1 per distinct character: rarely equal within a group."""

    def reward(completions: list[str], digit: list[str], **_: object) -> list[float]:
        return [c.count(d) + 0.1 * len(set(c)) for c, d in zip(completions, digit, strict=True)]

    return reward


@pytest.fixture
def tiny_args(tmp_path: Path) -> dict[str, object]:
    """Arguments that make any method's configuration small: 4 candidates, 2 groups per micro-batch, 3 steps, CPU."""
    return {
        "output_dir": str(tmp_path),
        "use_cpu": True,
        "num_generations": 4,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "max_completion_length": 8,
        "max_steps": 3,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "warmup_steps": 0,
        "disable_tqdm": True,
    }


@pytest.fixture
def make_trainer(tiny_model_dir, tiny_tokenizer, toy_dataset, digit_reward, tiny_args) -> Callable[..., object]:
    """Build a trainer of a class on the toy task: `make_trainer(cls, config_cls, max_steps=5)`."""

    def make(trainer_class: type, config_class: type, **overrides: object) -> object:
        trainer_overrides = {k: overrides.pop(k) for k in TRAINER_ARGUMENTS if k in overrides}
        arguments = {
            "model": str(tiny_model_dir),
            "reward_funcs": digit_reward,
            "args": config_class(**(tiny_args | overrides)),
            "train_dataset": toy_dataset,
            "processing_class": tiny_tokenizer,
        }
        return trainer_class(**(arguments | trainer_overrides))

    return make
