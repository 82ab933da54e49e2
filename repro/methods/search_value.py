"""Values of completions by a value model, for a search at test time: fitted on training questions only.

The model is V_0 of ReST-MCTS* for the policy that searches: its copy with a scalar head, fitted on plain rollouts of
training questions and their verdicts. No question of a suite, no reference answer of one, is among what it sees.
"""

import logging
import tempfile

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from gcpo.search.mcts import LeafValues
from gcpo.search.value_model import StepValues
from gcpo.trainers.rest_mcts import RestMCTS
from repro.cells.experiments import get_arm
from repro.config import Profile
from repro.errors import BadInput
from repro.methods.rest_mcts import build_config, make_grade
from repro.tasks.protocol import TaskSet

_ROWS = "value model"  # names the training questions; no base has this name
log = logging.getLogger(__name__)


def fitted_values(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tasks: TaskSet, profile: Profile, seed: int
) -> LeafValues:
    """Fit a value model for `model`, which is left as it is, and return its values of finished completions.

    Settings are those of the profile's arm rest_mcts: its share of rollouts, rates and epochs. Raises BadInput for
    settings that it refuses.
    """
    where = f"profile {profile.name}, search.value value_model"
    values = {**get_arm("rest_mcts").overrides, **profile.arms.get("rest_mcts", {})}
    with tempfile.TemporaryDirectory() as scratch:
        config = build_config(values, seed=seed, output_dir=scratch, where=where)
        try:
            loop = RestMCTS(
                model,
                tokenizer,
                config,
                rows=tasks.training_rows(_ROWS, seed, config.questions),
                grade=make_grade(tasks, tokenizer),
            )
            examples = loop.warm_up()
        except ValueError as error:
            raise BadInput(f"{where}: {str(error).splitlines()[0]}") from None
    log.info("value model: %d paths from %d rollout tokens", len(examples), loop.ledger.rollout_tokens)
    return StepValues(loop.value).leaf_values
