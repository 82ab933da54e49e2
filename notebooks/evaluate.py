# %% [markdown]
# # A stored evaluation
#
# Shows what `python -m repro evaluate` left in a folder: scores with intervals beside the paper's and independent
# numbers, reasons, lengths and cost. `GCPO_EVALUATION` names the folder; without it, the small model that this
# project trains to show the path (its scores mean nothing). Nothing is computed here; no model and no samples are
# needed.

# %%
import os
from pathlib import Path

from IPython.display import Image, Markdown, display

from repro import figures
from repro.evaluation.report import load_evaluation, report_text
from repro.figures import evaluation as pictures
from repro.paths import REPO_ROOT

default = REPO_ROOT / "results" / "published" / "evaluation" / "tiny-qwen2"
entries = load_evaluation(Path(os.environ.get("GCPO_EVALUATION", default)))
print(", ".join(f"{name}: {entry['n']} questions x {entry['k']}" for name, entry in entries.items()))

# %% [markdown]
# ## Scores
#
# Intervals cover questions and samples of one checkpoint. A model that is none of the paper's is shown over the
# range of the paper's untrained models.

# %%
display(Image(figures.png(pictures.accuracy(entries))))

# %% [markdown]
# ## Why answers were right or wrong

# %%
display(Image(figures.png(pictures.reasons(entries))))

# %% [markdown]
# ## How long they are
#
# Orange answers were cut at the limit. They are graded as they stand.

# %%
display(Image(figures.png(pictures.lengths(entries))))

# %% [markdown]
# ## The whole report

# %%
display(Markdown(report_text(entries)))
