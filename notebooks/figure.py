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

figure = read_figure(results_dir(PROFILE, KIND) / "figures" / f"{TARGET}.json")
stamp = f"\n\n**{figure.head.stamp}**" if figure.head.stamp else ""
display(Markdown(f"# {TARGET.replace('figure', 'Figure ')}: {figure.head.title}{stamp}\n\n{figure.finding}"))

# %% [markdown]
# ## The picture

# %%
display(Image(png(resolve(get_experiment(TARGET).draw)(figure))))

# %% [markdown]
# ## What the paper says, and what was found

# %%
display(Markdown(f"{figure.head.paper}\n\n{markdown.decisions_markdown(figure)}"))

# %% [markdown]
# ## The points, to work with; what a reader must know; how to run it with other settings

# %%
points = pd.DataFrame(figure.rows)
notes = "\n".join(f"- {note}" for note in figure.notes)
again = f"`{figure.head.command}`; one setting changed: add `SET=train.max_steps=30`; fewer points: `ARMS=...`"
display(Markdown(f"{notes}\n\n{again}"))
points[list(figure.shown)].rename(columns=figure.shown)
