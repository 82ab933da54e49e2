"""Values of completions by a value model, for a search at test time: fitted on training questions only.

The model is V_0 of ReST-MCTS* for the policy that searches: its copy with a scalar head, fitted on plain rollouts of
training questions and their verdicts. No question of a suite, no reference answer of one, is among what it sees.
"""

import logging
import tempfile
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gcpo.search.mcts import LeafValues
from gcpo.search.value_model import StepValues
from repro.errors import BadInput
from repro.methods.registry import get_method
from repro.methods.rest_mcts import make_loop
from repro.tasks.protocol import TaskSet

_ROWS = "value model"  # names the training questions; no base has this name
log = logging.getLogger(__name__)


def fitted_values(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tasks: TaskSet,
    values: dict[str, Any],
    seed: int,
    where: str,
) -> LeafValues:
    """Fit a value model for `model`, which is left as it is, and return its values of finished completions.

    values: settings of ReST-MCTS*: its share of rollouts, rates and epochs. Raises BadInput for ones that it refuses.
    """
    with tempfile.TemporaryDirectory() as scratch:
        cpu = model.device.type == "cpu"
        config = get_method("rest_mcts").settings(values, seed=seed, output_dir=scratch, where=where, cpu=cpu)
        try:
            questions = tasks.training_questions(_ROWS, seed, config.questions)
            loop = make_loop(model, tokenizer, config, tasks, questions)
            examples = loop.warm_up()
        except ValueError as error:
            raise BadInput(f"{where}: {str(error).splitlines()[0]}") from None
    log.info("value model: %d paths from %d rollout tokens", len(examples), loop.ledger.rollout_tokens)
    return StepValues(loop.value).leaf_values
