# %% [markdown]
# # Table 1: pass@1 on five suites, three base models
#
# Reads a built table and draws it; computes nothing. `GCPO_PROFILE` and `GCPO_KIND` (`local` or `published`) choose the
# table. Build it first: `make reproduce-table1`.

# %%
import os

from IPython.display import Image, Markdown, display

from repro import figures, tables
from repro.figures import table1 as pictures
from repro.paths import results_dir

profile = os.environ.get("GCPO_PROFILE", "micro")
kind = os.environ.get("GCPO_KIND", "published")
folder = results_dir(profile, kind)
table = tables.read_table(folder / "tables" / "table1.json")

# %% [markdown]
# ## The averages: printed in the paper, measured by others, measured here

# %%
display(Markdown(tables.headline_markdown(table)))

# %% [markdown]
# ## Gains and differences with what the paper prints

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
