# %% [markdown]
# Reads a built figure of the paper and draws it; trains and tests nothing. `GCPO_TARGET`, `GCPO_PROFILE` and
# `GCPO_KIND` (`local` or `published`) choose it. Build it first, for example with `make reproduce-figure4a`.

# %%
import os

import pandas as pd
from IPython.display import Image, Markdown, display

from repro.cells.experiments import get_experiment
from repro.figuredata import markdown
from repro.figuredata.model import read_figure
from repro.figures import png
from repro.paths import results_dir
from repro.references import resolve

profile = os.environ.get("GCPO_PROFILE", "micro")
kind = os.environ.get("GCPO_KIND", "published")
target = os.environ.get("GCPO_TARGET", "figure4a")
figure = read_figure(results_dir(profile, kind) / "figures" / f"{target}.json")
stamp = f"\n\n**{figure.head.stamp}**" if figure.head.stamp else ""
display(Markdown(f"# {target.replace('figure', 'Figure ')}: {figure.head.title}{stamp}\n\n{figure.finding}"))

# %% [markdown]
# ## The picture

# %%
display(Image(png(resolve(get_experiment(target).draw)(figure))))

# %% [markdown]
# ## What the paper says, and what was found

# %%
display(Markdown(f"{figure.head.paper}\n\n{markdown.decisions_markdown(figure)}"))
if figure.examples:
    display(Markdown(markdown.answers_markdown(figure)))

# %% [markdown]
# ## The points, to work with; what a reader must know; how to run it with other settings

# %%
points = pd.DataFrame(figure.rows)
notes = "\n".join(f"- {note}" for note in figure.notes)
again = f"`{figure.head.command}`; one setting changed: add `SET=train.max_steps=30`; fewer points: `ARMS=...`"
display(Markdown(f"{notes}\n\n{again}"))
listed = points[points["kind"].isin(figure.listed)] if figure.listed else points
listed[list(figure.shown)].rename(columns=figure.shown)
