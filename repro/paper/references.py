"""What others print for the same model and suite: the paper's row and independent measurements."""

from dataclasses import dataclass

from repro.errors import BadInput
from repro.paper import BENCHMARKS, MODELS, load_table

# The paper's names of models, by the last part of their hub ids.
ROW_OF = {
    "deepscaler-1.5b-preview": "DeepScaleR-1.5B",
    "deepseek-r1-distill-qwen-1.5b": "R1-Distill-1.5B",
    "deepseek-r1-distill-qwen-7b": "R1-Distill-7B",
    "qwen2-7b-instruct": "Qwen2-7B-Instruct",
}
_SHOTS = {"HumanEval": "HumanEval 0-shot", "HumanEval-5shot": "HumanEval 5-shot"}
_EIGHTY_THREE = "83-problem"  # how a setting of independent.csv names the larger AMC set


@dataclass(frozen=True)
class Reference:
    """A printed score in points. sd: of one pass, where it is stated. setting: tokens and samples, as stated."""

    source: str
    value: float
    sd: float | None = None
    setting: str = ""


def paper_row(model_name: str, row: str | None) -> tuple[str, str] | None:
    """The paper's (model, method) that an evaluated model stands beside; None if it is none of the paper's models.

    row: MODEL/METHOD as given by hand, which wins. Raises BadInput if the paper has no such row.
    """
    if row is None:
        model = ROW_OF.get(model_name.rpartition("/")[2].lower())
        return None if model is None else (model, "base")
    model, _, method = row.partition("/")
    known = {(r.model, r.method) for r in load_table("table1").itertuples()}
    known |= {("Qwen2-7B-Instruct", r.series) for r in load_table("figures").query("figure == '3'").itertuples()}
    if (model, method) not in known:
        models = ", ".join((*MODELS, "Qwen2-7B-Instruct"))
        raise BadInput(f"--row is {row!r}; want MODEL/METHOD of the paper, such as R1-Distill-1.5B/GRPO ({models})")
    return model, method


def printed(model: str, method: str, suite: str) -> Reference | None:
    """What the paper prints, or states in words, for a suite."""
    if suite in BENCHMARKS:
        frame = load_table("table1")
        found = frame[(frame.model == model) & (frame.method == method) & (frame.benchmark == suite)]
        return None if found.empty else Reference("paper", float(found.value.iloc[0]))
    if suite in _SHOTS and model == "Qwen2-7B-Instruct":
        frame = load_table("figures")
        found = frame[(frame.figure == "3") & (frame.series == method) & (frame.quantity == _SHOTS[suite])]
        found = found[found.status != "no label"]
        return None if found.empty else Reference("paper", float(found.printed.iloc[0]), setting=found.status.iloc[0])
    return None


def independent(model: str, method: str, suite: str) -> list[Reference]:
    """Other groups' measurements of the same model and suite."""
    frame = load_table("independent")
    larger = frame.setting.str.contains(_EIGHTY_THREE) & (frame.benchmark == "AMC23")
    named = frame.benchmark.mask(larger, "AMC83")
    found = frame[(frame.model == model) & (frame.method == method) & (named == suite)]
    return [
        Reference(r.source, float(r.value), float(r.sd) if r.sd == r.sd else None, r.setting)
        for r in found.itertuples()
    ]


def base_range(suite: str) -> tuple[float, float] | None:
    """The lowest and highest score that the paper prints for its untrained models on a suite."""
    references = [printed(model, "base", suite) for model in (*MODELS, "Qwen2-7B-Instruct")]
    values = [reference.value for reference in references if reference is not None]
    return (min(values), max(values)) if values else None
