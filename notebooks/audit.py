# %% [markdown]
# # Audit: what the paper's own numbers say
#
# Recomputes every average, gain, rank and decidable sentence of GCPO (arXiv 2508.05428) from the transcription
# in `repro/paper/`. All arithmetic is exact. `make audit` writes the same to `results/paper/`. A statement that
# does not hold as printed may still be true of the runs behind it; why a number is what it is cannot be seen
# from here.

# %%
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
display(Markdown(markdown_table(summary[["check", "outcome"]])))

# %% [markdown]
# ## Where Table 1 comes from
#
# Eight of its eighteen rows stand digit for digit in two earlier papers; one cell of them differs. Four
# averages are not the rounded mean of the cells beside them, and three of those cannot be reached from any
# unrounded cells.

# %%
display(Image(figures.png(pictures.provenance())))

# %% [markdown]
# ## The margins and the noise of the evaluation
#
# One evaluation with 20 samples per question, the number that the cited protocol states, has this much noise on
# its own. The spread between training seeds comes on top; it is not published for any of these models.

# %%
display(Image(figures.png(pictures.margin_band())))

# %% [markdown]
# ## The untrained models
#
# Benchmarks, prompts and budgets of others differ from the paper's (most allow 32k tokens, the paper 16k), so a
# difference is not an error. It shows how far a protocol moves these scores: as far as the gains that are
# claimed.

# %%
display(Image(figures.png(pictures.base_comparison())))

# %% [markdown]
# ## The cost
#
# Steps 1 to 3 of the method draw n candidates, n integrated outputs and n³ outputs from contexts. What was run
# to get 1.18x is not described.

# %%
display(Image(figures.png(pictures.cost())))

# %% [markdown]
# ## What the margins would need
#
# `repro.paper.power` answers with published SDs: "Sober Table 3" are the SDs printed beside each mean (10 passes on
# AIME and AMC, 3 on the others), "Sober Table 5" the variances resampled from many passes. Assumed: two
# independent arms of equal spread, passes independent, questions fixed, benchmarks independent, two-sided 5 %,
# power 80 %. The SD between training seeds is **not known**: each column names the one it assumes (64 samples
# per question).

# %%
display(Image(figures.png(pictures.power())))
needs = power.requirements()
best = needs[needs.against == "best baseline"].drop(columns=["source", "against"])
display(Markdown(markdown_table(best.round({"sd": 2, "sigma": 1, "power": 2, "gap": 2}))))

# %% [markdown]
# ## Every statement

# %%
display(Markdown(markdown_table(audit.pd.DataFrame(as_rows(findings)).drop(columns=["check", "weight"]))))
