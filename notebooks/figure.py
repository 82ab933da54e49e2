# %%
# Every parameter. Run All shows the figure that is named here.
PROFILE = "micro"  # a folder of results/published/ or results/local/
KIND = "published"  # published: what the project measured; local: a run of yours
TARGET = "figure4a"  # built with `make reproduce-figure4a`

# %%
import pandas as pd
from IPython.display import Image, Markdown, display

from repro.cells.experiments import get_experiment
from repro.figuredata import markdown
from repro.figuredata.model import read_figure
from repro.figures import png
from repro.paths import results_dir
from repro.references import resolve
from repro.reporting.order import BESIDE, BESIDE_TITLE
from repro.tables.words import target_name

figure = read_figure(results_dir(PROFILE, KIND) / "figures" / f"{TARGET}.json")
stamp = f"\n\n**{figure.head.stamp}**" if figure.head.stamp else ""
display(Markdown(f"# {target_name(TARGET)}: {figure.head.title}{stamp}\n\n{figure.finding}"))

# %%
display(Image(png(resolve(get_experiment(TARGET).draw)(figure))))

# %%
said = f"{figure.head.paper}\n\n{markdown.decisions_markdown(figure)}"
display(Markdown(f"## What the paper says, what was found, and how sure that is\n\n{said}"))
if figure.examples:
    display(Markdown(markdown.answers_markdown(figure)))
beside = results_dir(PROFILE, KIND) / "figures" / f"{TARGET}{BESIDE}"
if beside.exists():
    display(Markdown(f"## {BESIDE_TITLE}\n\n{beside.read_text(encoding='utf-8')}"))

# %% [markdown]
# ## To play with: the points

# %%
frame = pd.DataFrame(figure.rows) if figure.rows else pd.DataFrame(columns=list(figure.shown))
listed = frame[frame["kind"].isin(figure.listed)] if figure.listed else frame
listed[list(figure.shown)].rename(columns=figure.shown)

# %%
notes = "\n".join(f"- {note}" for note in figure.notes)
again = f"`{figure.head.command}`; one setting changed: add `SET=train.max_steps=30`; fewer points: `ARMS=...`"
display(Markdown(f"## How to change it\n\n{again}\n\n{notes}"))
