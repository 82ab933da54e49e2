"""Pictures of built tables, in one style. A figure is a function from a table to a `Figure`; nothing is computed.

Colours are Okabe and Ito's, told apart with any colour vision, and every series has its own marker as well. Files are
byte-identical for equal inputs: no dates, a fixed salt for SVG ids, the fonts that matplotlib brings.
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

from repro.tables import Estimate, Size, Table1

INK = "#222222"
FAINT = "#8a8a8a"
BAND = "#e9eef4"
PAPER = "#D55E00"
_PALETTE = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#117733", "#332288")
_MARKERS = ("o", "s", "D", "^", "v", "<", ">", "h")
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
    """Colour and marker of the series at `index`; both repeat after eight, then with hollow markers."""
    filled = {"color": _PALETTE[index % len(_PALETTE)], "marker": _MARKERS[index % len(_MARKERS)]}
    return filled if index < len(_MARKERS) else filled | {"markerfacecolor": "white"}


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


def arm_look(table: Table1, arm: str) -> dict[str, str]:
    """Colour and marker of an arm, the same in every picture of its table; the base is a grey dot."""
    if arm == table.head.base_arm:
        return {"color": FAINT, "marker": "o"}
    return look([name for name in table.head.arms if name != table.head.base_arm].index(arm))


def bar(axes: Axes, estimate: Estimate | Size, place: float, looks: dict[str, str]) -> None:
    """A value with its interval as a horizontal bar."""
    axes.plot([estimate.low, estimate.high], [place, place], color=looks["color"], linewidth=2, solid_capstyle="butt")
    edge = {"mew": 1.5} if "markerfacecolor" in looks or looks["marker"] == "|" else {"mec": "white", "mew": 0.7}
    axes.plot(estimate.value, place, markersize=6, zorder=4, **edge, **looks)


def headline(figure: Figure, table: Table1, what: str) -> None:
    """Stamp and title of the table over a picture of it, wrapped to its width."""
    heading(figure, f"{table.head.title}: {what} ({table.head.profile})", table.head.stamp)


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
