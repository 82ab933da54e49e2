"""Tables as pure functions of stored summaries: paper | independent | ours, with intervals and a verdict per claim.

`spec` says what a table shows, `model` holds the built table (and its JSON), `checks` refuses cells that cannot be
compared, `printed` is the paper, `measured` are our cells, `claims` judges, `build` puts a table together, `markdown`
and `machine` print it, `compare` sets a user's table beside the published one. Scores in a built table are points
(0 to 100). Nothing here trains, samples or grades.
"""

from repro.tables.build import build_table1
from repro.tables.checks import check_cells, lint_grid
from repro.tables.compare import Comparison, compare_with_published, comparison_markdown
from repro.tables.machine import to_csv, to_latex
from repro.tables.markdown import headline_markdown, to_markdown
from repro.tables.model import AVERAGE, ClaimResult, Estimate, Row, Size, Table1, read_table, table_json
from repro.tables.search import answered_by, search_record
from repro.tables.spec import ArmRow, BaseRow, ClaimRow, SuiteColumn, TableSpec, table_spec
from repro.tables.writers import write_table1

__all__ = [
    "AVERAGE",
    "ArmRow",
    "BaseRow",
    "ClaimResult",
    "ClaimRow",
    "Comparison",
    "Estimate",
    "Row",
    "Size",
    "SuiteColumn",
    "Table1",
    "TableSpec",
    "answered_by",
    "build_table1",
    "check_cells",
    "compare_with_published",
    "comparison_markdown",
    "headline_markdown",
    "lint_grid",
    "read_table",
    "search_record",
    "table_json",
    "table_spec",
    "to_csv",
    "to_latex",
    "to_markdown",
    "write_table1",
]
