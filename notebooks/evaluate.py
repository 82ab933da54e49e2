# %%
# Every parameter. Run All shows the evaluation that is named here.
EVALUATION = "results/published/evaluation/tiny-qwen2"  # a folder that `python -m repro evaluate` wrote

# %% [markdown]
# # How does a model score, and why were its answers right or wrong?
#
# Shows what an evaluation left in its folder: scores with intervals beside the paper's and independent numbers,
# reasons, lengths and cost. Nothing is computed; no model and no samples are needed. The folder named at first holds a
# small model that this project makes to show the path: its scores mean nothing.

# %%
import pandas as pd
from IPython.display import Image, Markdown, display

from repro import figures
from repro.evaluation.report import load_evaluation, report_text
from repro.figures import evaluation as pictures
from repro.paths import REPO_ROOT

entries = load_evaluation(REPO_ROOT / EVALUATION)
print(", ".join(f"{name}: {entry['n']} questions x {entry['k']}" for name, entry in entries.items()))
display(Image(figures.png(pictures.accuracy(entries))))

# %% [markdown]
# ## What it says, and how sure that is
#
# Intervals cover questions and samples of one checkpoint. A model that is none of the paper's is shown over the range
# of the paper's untrained models. Below: why answers were right or wrong, and how long they are. Orange answers were
# cut at the limit and are graded as they stand.

# %%
display(Image(figures.png(pictures.reasons(entries))))
display(Image(figures.png(pictures.lengths(entries))))

# %%
display(Markdown(report_text(entries)))

# %% [markdown]
# ## To play with
#
# `frame` has one row per suite. How to change it: name another folder in the first cell, or make one with `python -m
# repro evaluate --model MODEL --suite math500 --preset quick`.

# %%
frame = pd.DataFrame(entries).T
frame[["n", "k", *(column for column in ("avg_at_k", "pass_at_k", "truncated", "mean_tokens") if column in frame)]]
