"""One record per method: its settings' class, its trainer, the function that runs it. Code is named, not imported."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from repro.config import closest
from repro.errors import BadInput
from repro.references import module_of, resolve

# Cells that train no policy: one searches with a trained one, one gives it other inputs, one measures a step's cost
SEARCH, INPUTS, BENCH = "search", "inputs", "bench"
# Arguments that belong to the run and not to the method; a profile may not set them.
_RESERVED = ("output_dir", "seed", "data_seed", "report_to", "run_name", "logging_steps", "disable_tqdm", "use_cpu")


@dataclass(frozen=True)
class Method:
    """run: (`repro.methods.run.Training`) -> `Trained`. config: a dataclass of TRL's arguments.

    trainer: empty where `run` needs none. form: (settings) -> the form's name in tables, if it has several. shared:
    whether a profile's `train` section holds for it.
    """

    id: str
    run: str
    config: str
    trainer: str = ""
    form: str = ""
    shared: bool = True

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose imports are the method's code."""
        return tuple(module_of(each) for each in (self.run, self.config, self.trainer) if each)

    def settings(self, values: dict[str, Any], *, seed: int, output_dir: str, where: str, cpu: bool = True) -> Any:
        """The method's arguments. Raises BadInput for one that its class does not have, naming the nearest, and for
        a value of another type, not finite, or refused by the class.
        """
        config_class = resolve(self.config)
        known = [each.name for each in dataclasses.fields(config_class) if each.init]
        hints = get_type_hints(config_class)
        for name, value in values.items():
            if name in _RESERVED:
                raise BadInput(f"{where}: {name!r} is set by the run itself; remove it")
            if name not in known:
                raise BadInput(
                    f"{where}: {config_class.__name__} has no argument {name!r}; {closest(name, known)[:200]}"
                )
            _check_value(name, value, hints[name], where)
        own = {"report_to": "none", "logging_steps": 1} if self.trainer else {}
        try:
            config = config_class(
                output_dir=output_dir, seed=seed, data_seed=seed, disable_tqdm=True, use_cpu=cpu, **own, **values
            )
            if self.trainer:
                resolve(self.trainer).check_batches(config)
        except (ValueError, TypeError, ArithmeticError, NotImplementedError, ImportError) as error:
            raise BadInput(f"{where}: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from None
        if self.trainer and config.max_steps < 1:
            raise BadInput(
                f"{where}: max_steps is {config.max_steps}; want at least 1: it decides how much data is read"
            )
        return config


def _check_value(name: str, value: Any, hint: Any, where: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{where}: {name} is {value}; want a finite number")
    try:
        TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, strict=True)).validate_python(value)
    except ValidationError as error:
        raise BadInput(f"{where}: {name} is {value!r}; {error.errors()[0]['msg']}") from None


def _trl(name: str, module: str, stem: str, form: str = "") -> Method:
    code = f"gcpo.trainers.{module}"
    return Method(name, "repro.methods.trl:train", f"{code}:{stem}Config", f"{code}:{stem}Trainer", form)


METHODS = {
    method.id: method
    for method in (
        _trl("grpo", "grpo", "PaperGRPO"),
        _trl("drgrpo", "drgrpo", "DrGRPO"),
        _trl("gvpo", "gvpo", "GVPO"),
        _trl("gcpo", "gcpo", "GCPO", "gcpo.trainers.gcpo_config:form_name"),
        _trl("gc2po", "gc2po", "GC2PO", "gcpo.trainers.gc2po_config:gc2po_form_name"),
        Method("rest_mcts", "repro.methods.rest_mcts:train", "gcpo.trainers.rest_mcts:RestMCTSConfig", shared=False),
    )
}


def get_method(name: str) -> Method:
    """The method called `name`. Raises BadInput for an unknown one."""
    if name not in METHODS:
        raise BadInput(f"method {name!r} does not exist; {closest(name, list(METHODS))}")
    return METHODS[name]
