"""Pictures of built tables, in one style. A figure is a function from a table to a `Figure`; nothing is computed.

A method has one colour in every picture (`look_of`); other series take theirs by place (`look`). Colours are told apart
with any colour vision, and every series has its own marker as well. Files are byte-identical for equal inputs: no
dates, a fixed salt for SVG ids, the fonts that matplotlib brings.
"""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from repro.figuredata.model import FigureData
from repro.tables import Estimate, Size, Table1
from repro.tables.words import target_name

INK = "#222222"
FAINT = "#8a8a8a"
BAND = "#e9eef4"
PAPER = "#D55E00"
_PALETTE = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#117733", "#332288")  # Okabe-Ito, Tol
_MARKERS = ("o", "s", "D", "^", "v", "<", ">", "h", "P", "X", "p", "d")
_METHODS = {  # arm, or how its name starts -> colour and marker, in every picture
    "base": (FAINT, "o"),
    "grpo": ("#0072B2", "s"),
    "rest_mcts": ("#8C6D1F", "^"),
    "gvpo": ("#009E73", "h"),
    "drgrpo": ("#56B4E9", "v"),
    "gcpo_expected": ("#882255", "o"),
    "gcpo_mc": ("#CC79A7", "d"),
    "gcpo_corrected": ("#332288", "D"),
    "gcpo": ("#882255", "o"),
    "gc2po": ("#999933", "p"),
}
_VARIANTS = {  # what is changed in a form -> its own marker, hollow, in the colour of the method
    "no_weighting": "<",
    "no_kl": ">",
    "kappa_06": "8",
    "constant": "p",
    "shuffled": "*",
    "sign_aware": "^",
    "neutral_noncausal": "P",
    "noncausal": "X",
    "permuted": "*",
    "credit_only": "s",
    "no_effectiveness": "<",
    "no_robustness": ">",
    "perturbation_0": "v",
    "neutral": "D",
}
KINDS = {  # how a policy is searched -> colour where it stands alone, marker
    "mcts": (INK, "o"),
    "maj": ("#E69F00", "s"),
    "best": ("#44AA99", "^"),
}
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.dpi": 150,  # that of the files: text is as wide when it is laid out as when it is drawn
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "savefig.dpi": 150,
    "svg.hashsalt": "gcpo",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 9,
    "ytick.color": INK,
    "ytick.labelsize": 10,
    "ytick.major.size": 0,
}


@contextmanager
def style() -> Iterator[None]:
    """Every figure is made and saved inside this context; it changes no global setting."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches, with its own canvas: no window, no `pyplot` state."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def look(index: int) -> dict[str, str]:
    """Colour and marker of the series at `index`, for series that are no methods: no pair comes twice before 24."""
    filled = {"color": _PALETTE[index % len(_PALETTE)], "marker": _MARKERS[index % len(_MARKERS)]}
    return filled if index < len(_MARKERS) else filled | {"markerfacecolor": "white"}


def look_of(arm: str) -> dict[str, str]:
    """Colour and marker of an arm, the same in every picture: its method's; hollow where the method is varied, with a
    marker of its own where it is searched with. An arm of no known method is grey.
    """
    policy, _, kind = arm.rpartition("_")
    if kind in KINDS and policy in _METHODS:
        return {"color": _METHODS[policy][0], "marker": KINDS[kind][1], "markerfacecolor": "white"}
    if arm in _METHODS:
        color, marker = _METHODS[arm]
        return {"color": color, "marker": marker}
    known = [name for name in _METHODS if arm.startswith(f"{name}_")]
    color, marker = _METHODS[max(known, key=len)] if known else (FAINT, "o")
    variant = next((own for name, own in _VARIANTS.items() if arm.endswith(name)), marker)
    return {"color": color, "marker": variant, "markerfacecolor": "white"}


def png(figure: Figure) -> bytes:
    """The figure as PNG bytes without metadata."""
    buffer = io.BytesIO()
    with style():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write <name>.png and <name>.svg; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.png", folder / f"{name}.svg"]
    paths[0].write_bytes(png(figure))
    with style():
        figure.savefig(paths[1], format="svg", metadata={"Date": None, "Creator": None})
    return paths


def bar(axes: Axes, estimate: Estimate | Size, place: float, looks: dict[str, str]) -> None:
    """A value with its interval as a horizontal bar."""
    axes.plot([estimate.low, estimate.high], [place, place], color=looks["color"], linewidth=2, solid_capstyle="butt")
    edge = {"mew": 1.5} if "markerfacecolor" in looks or looks["marker"] == "|" else {"mec": "white", "mew": 0.7}
    axes.plot(estimate.value, place, markersize=6, zorder=4, **edge, **looks)


def headline(figure: Figure, table: Table1, what: str) -> None:
    """Stamp and title over a picture of a table: what it shows, then whose numbers they are."""
    heading(figure, f"{what} ({target_name(table.head.id)}, {table.head.profile})", table.head.stamp)


def finish(figure: Figure, data: FigureData) -> None:
    """The last step of drawing a figure's data: a title of what it says (else what it shows) and which figure it is."""
    head = data.head
    heading(figure, f"{data.finding or head.title} ({target_name(head.id)}, {head.profile})", head.stamp)
    settle(figure)


def heading(figure: Figure, title: str, stamp: str = "") -> None:
    """A stamp and a title over a picture, wrapped to its width."""
    letters = int(10.5 * figure.get_figwidth())  # what fits on a line at this size
    lines = [line for text in (stamp.upper(), title) for line in textwrap.wrap(text, letters)]
    figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=12)


def settle(figure: Figure) -> None:
    """Lay out once and round: the solver of the layout differs in the last digit from one process to the next."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(value, 6) for value in axes.get_position().bounds])


def not_run_yet(data: FigureData) -> Figure:
    """The picture of a figure none of whose points was measured."""
    with style():
        figure = new_figure(6.0, 2.0)
        axes = figure.subplots()
        axes.set_axis_off()
        axes.annotate("not run yet", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", color=FAINT)
        finish(figure, data)
    return figure


def note(axes: Axes, place: float, text: str) -> None:
    """A grey remark at the right end of a row, where a value would stand."""
    axes.annotate(text, (0.99, place), xycoords=("axes fraction", "data"), ha="right", va="center", color=FAINT,
                  fontsize=8.5)  # fmt: skip
