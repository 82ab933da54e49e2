# %%
# Every parameter. Run All shows the table that is named here.
PROFILE = "micro"  # a folder of results/published/ or results/local/
KIND = "published"  # published: what the project measured; local: a run of yours
TARGET = "table1"  # built with `make reproduce-table1`

# %%
import json

import pandas as pd
from IPython.display import Image, Markdown, display

from repro import figures, tables
from repro.bench.premise_figures import lines
from repro.figures import search as search_pictures
from repro.figures import table1 as pictures
from repro.figures.contrasts import contrasts, is_ablation
from repro.figures.premise import premise as picture_of_premise
from repro.paths import results_dir
from repro.reporting.order import BESIDE, BESIDE_TITLE
from repro.tables.claim_text import claims_markdown
from repro.tables.finding import finding, question, verdict_list

folder = results_dir(PROFILE, KIND)
table = tables.read_table(folder / "tables" / f"{TARGET}.json")
display(Markdown(f"# {question(table)}\n\n{finding(table)}. {table.head.title}, profile `{PROFILE}` ({KIND})."))

# %%
ablation = is_ablation(table)
display(Image(figures.png(contrasts(table) if ablation else pictures.gains(table))))

# %%
said = "\n".join(verdict_list(table))
display(Markdown(f"## What it says\n\n{said}\n\n{tables.headline_markdown(table)}"))

# %%
display(Markdown("## How sure: every claim with its interval and verdict\n\n" + "\n".join(claims_markdown(table))))
beside = folder / "tables" / f"{TARGET}{BESIDE}"
if beside.exists():
    display(Markdown(f"## {BESIDE_TITLE}\n\n{beside.read_text(encoding='utf-8')}"))

# %%
display(Image(figures.png(pictures.suites(table))))
if ablation:
    display(Image(figures.png(pictures.gains(table))))
curves = pictures.load_curves(table, folder / ("runs" if KIND == "local" else "cells"))
if curves:
    display(Image(figures.png(pictures.training(table, curves))))
searches = folder / "tables" / f"{TARGET}_search.json"
if searches.exists():
    record = json.loads(searches.read_text(encoding="utf-8"))
    display(Image(figures.png(search_pictures.tokens(record, table.head.arms))))
    display(Image(figures.png(search_pictures.tree(record["example"]))))
premise_file = folder / "bench" / "premise.json"
if TARGET == "gc2po" and premise_file.exists():
    premise = json.loads(premise_file.read_text(encoding="utf-8"))
    display(Markdown("## Its premise: is a sound step credited whatever the end?\n\n* " + "\n* ".join(lines(premise))))
    display(Image(figures.png(picture_of_premise(premise))))

# %% [markdown]
# ## To play with
#
# `frame` holds every number of the table, one row per base, arm and suite.

# %%
frame = pd.read_csv(folder / "tables" / f"{TARGET}.csv")
points = ["ours_value", "ours_low", "ours_high", "gain_value", "versus_value", "versus_mdg", "gain_ratio_value"]
frame[frame.suite == tables.AVERAGE].set_index(["base", "title"])[points].round(2)

# %%
change = (
    f"`{table.head.command}` makes it again. Another value: add `SET=train.max_steps=30`; fewer rows: "
    "`ARMS=grpo,gcpo_mc`; more seeds: `SEEDS=8`. Arms and claims are data in `repro/cells/experiments.py`."
)
display(Markdown(f"## How to change it\n\n{change}\n\n" + tables.to_markdown(table).partition("## Notes")[2]))
