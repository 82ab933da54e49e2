# %%
# Every parameter. Run All shows the statements that are named here.
WEIGHT = "high"  # how much hangs on a statement: high, medium, low, or an empty text for all of them

# %% [markdown]
# # Do the paper's numbers carry its sentences?
#
# Recomputes every average, gain, rank and decidable sentence of GCPO (arXiv 2508.05428) from the transcription in
# `repro/paper/`. All arithmetic is exact. `make audit` writes the same to `results/paper/`. A statement that does not
# hold as printed may still be true of the runs behind it; why a number is what it is cannot be seen from here.

# %%
import pandas as pd
from IPython.display import Image, Markdown, display

from repro import figures
from repro.figures import audit as pictures
from repro.paper import audit, power
from repro.paper.findings import as_rows, counts, markdown_table

checks = audit.checks()
findings = [finding for check in checks for finding in check.findings]
summary = audit.outcomes(checks)
print(len(findings), "statements:", ", ".join(f"{count} {word}" for word, count in counts(findings).items()))
print("all fifteen checks end as expected:", bool(summary.as_expected.all()))
display(Image(figures.png(pictures.provenance())))

# %% [markdown]
# ## What it says
#
# Eight of Table 1's eighteen rows stand digit for digit in two earlier papers; one cell of them differs. Four averages
# are not the rounded mean of the cells beside them. The margins over the best baseline are as small as the noise of
# one evaluation with 20 samples per question, the number that the cited protocol states; the spread between training
# seeds comes on top. Steps 1 to 3 draw n candidates, n integrated outputs and n³ outputs from contexts; what was run
# to get 1.18x is not described. Base rows differ from independent ones by as much as the gains that are claimed, but
# benchmarks, prompts and budgets of others differ (most allow 32k tokens, the paper 16k).

# %%
for picture in (pictures.margin_band, pictures.cost, pictures.base_comparison):
    display(Image(figures.png(picture())))

# %% [markdown]
# ## How sure: what the margins would need
#
# `repro.paper.power` answers with published SDs: "Sober Table 3" are the SDs printed beside each mean (10 passes on
# AIME and AMC, 3 on the others), "Sober Table 5" the variances resampled from many passes. Assumed: two independent
# arms of equal spread, passes independent, questions fixed, two-sided 5 %, power 80 %. The SD between training seeds
# is **not known**: each column names the one it assumes (64 samples per question).

# %%
display(Image(figures.png(pictures.power())))
needs = power.requirements()
best = needs[needs.against == "best baseline"].drop(columns=["source", "against"])
display(Markdown(markdown_table(best.round({"sd": 2, "sigma": 1, "power": 2, "gap": 2}))))

# %% [markdown]
# ## To play with, and how to change it
#
# `frame` holds every statement; the first cell chooses what is shown. A wrong transcription is mended in
# `repro/paper/*.csv`, and `make audit` recomputes everything from there.

# %%
frame = pd.DataFrame(as_rows(findings))
display(Markdown(markdown_table(summary[["check", "outcome"]])))
display(Markdown(markdown_table(frame[frame.weight.str.contains(WEIGHT)].drop(columns=["check", "weight"]))))
