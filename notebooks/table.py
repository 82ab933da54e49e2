# %% [markdown]
# Reads a built table and draws it; computes nothing. `GCPO_TARGET`, `GCPO_PROFILE` and `GCPO_KIND` (`local` or
# `published`) choose the table. Build it first, for example with `make reproduce-table1`.

# %%
import json
import os

from IPython.display import Image, Markdown, display

from repro import figures, tables
from repro.bench.premise_figures import lines
from repro.figures import search as search_pictures
from repro.figures import table1 as pictures
from repro.figures.premise import premise as picture_of_premise
from repro.paths import results_dir

profile = os.environ.get("GCPO_PROFILE", "micro")
kind = os.environ.get("GCPO_KIND", "published")
target = os.environ.get("GCPO_TARGET", "table1")
folder = results_dir(profile, kind)
table = tables.read_table(folder / "tables" / f"{target}.json")
display(Markdown(f"# {target.replace('table', 'Table ')}: {table.head.title}"))

# %% [markdown]
# ## The averages: printed in the paper, measured by others, measured here

# %%
display(Markdown(tables.headline_markdown(table)))

# %% [markdown]
# ## Gains, differences to GRPO, and gains as multiples of GRPO's beside what the paper prints

# %%
display(Image(figures.png(pictures.gains(table))))

# %%
display(Image(figures.png(pictures.suites(table))))

# %% [markdown]
# ## The whole table, the claims and their verdicts

# %%
display(Markdown(tables.to_markdown(table)))

# %%
curves = pictures.load_curves(table, folder / "runs")
if curves:
    display(Image(figures.png(pictures.training(table, curves))))
searches = folder / "tables" / f"{target}_search.json"
if searches.exists():
    record = json.loads(searches.read_text(encoding="utf-8"))
    display(Image(figures.png(search_pictures.tokens(record, table.head.arms))))
    display(Image(figures.png(search_pictures.tree(record["example"]))))
premise_file = folder / "bench" / "premise.json"
if target == "gc2po" and premise_file.exists():
    premise = json.loads(premise_file.read_text(encoding="utf-8"))
    display(Markdown("## Its premise: is a sound step credited whatever the end?\n\n* " + "\n* ".join(lines(premise))))
    display(Image(figures.png(picture_of_premise(premise))))
