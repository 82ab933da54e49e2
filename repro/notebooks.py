"""Runs a notebook's source and stores it with its outputs, so that equal inputs give equal bytes.

Sources are jupytext `py:percent` files; the kernel is the interpreter that runs this, from a temporary kernel spec, so
nothing has to be installed or registered. Does not hide what a cell prints: code that prints times or paths is not
repeatable, and then two renders differ.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from repro.errors import BadInput
from repro.paths import REPO_ROOT

CELL_SECONDS = 300
_KERNEL = "gcpo"
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def render(
    source_py: Path, out_ipynb: Path, env: Mapping[str, str], parameters: Mapping[str, str] | None = None
) -> Path:
    """Execute a py:percent source in the checkout's root with `env` added to the environment; write the notebook.

    parameters: new values of names that the notebook's first cell assigns. They are written into that cell, so that
    whoever runs the stored notebook again gets what it was rendered for. Nothing is written unless every cell succeeds.
    Returns `out_ipynb`. Raises BadInput for a missing source, a parameter that the first cell does not assign, and for
    a cell that fails, dies or takes over CELL_SECONDS, naming the cell.
    """
    if not source_py.is_file():
        raise BadInput(f"notebook source {source_py} does not exist; want a py:percent file")
    notebook = jupytext.read(source_py, fmt="py:percent")
    for name, value in (parameters or {}).items():
        _set_parameter(notebook, source_py.name, name, value)
    _execute(notebook, source_py.name, env)
    normalise(notebook)
    out_ipynb.parent.mkdir(parents=True, exist_ok=True)
    temporary = out_ipynb.with_name(f".{out_ipynb.name}.{os.getpid()}.tmp")
    temporary.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8")
    os.replace(temporary, out_ipynb)
    return out_ipynb


def _set_parameter(notebook: nbformat.NotebookNode, source: str, name: str, value: str) -> None:
    """Change the value that the first cell gives to `name`; the comment behind it stays."""
    cell = notebook.cells[0]
    text, found = re.subn(rf'^{name} = "[^"]*"', lambda _: f"{name} = {json.dumps(value)}", cell.source, flags=re.M)
    if cell.cell_type != "code" or found != 1:
        raise BadInput(f'notebook {source}: the first cell has no line `{name} = "..."`; parameters stand there')
    cell.source = text


def normalise(notebook: nbformat.NotebookNode) -> None:
    """Remove, in place, what differs between two executions: ids, timings, editor metadata, the chunks of a stream."""
    notebook.metadata = nbformat.from_dict(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"c{number:02d}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata["tags"]} if cell.metadata.get("tags") else {})
        if cell.cell_type == "code":
            cell.outputs = _joined(cell.outputs)


def _joined(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Outputs without metadata, neighbouring chunks of one stream as one."""
    result: list[nbformat.NotebookNode] = []
    for output in outputs:
        if "metadata" in output:
            output.metadata = nbformat.from_dict({})
        if output.output_type == "stream" and result and result[-1].get("name") == output.name:
            result[-1].text += output.text
        else:
            result.append(output)
    return result


def _execute(notebook: nbformat.NotebookNode, name: str, env: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory(prefix="gcpo-kernel-") as scratch:
        spec = Path(scratch) / "kernels" / _KERNEL
        spec.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--HistoryManager.enabled=False"]
        variables = {"PYTHONHASHSEED": "0", "IPYTHONDIR": str(Path(scratch) / "ipython"), **env}
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(REPO_ROOT), os.environ.get("PYTHONPATH", "")]))
        kernel = {"argv": argv, "display_name": _KERNEL, "language": "python", "env": variables}
        (spec / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
        manager = KernelManager(
            kernel_name=_KERNEL,
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(spec.parent)], ensure_native_kernel=False),
            connection_file=str(Path(scratch) / "connection.json"),
            transport="ipc",  # sockets in the scratch folder: no port is opened
            ip=str(Path(scratch) / "socket"),
            client_class="jupyter_client.asynchronous.AsyncKernelClient",
        )
        client = NotebookClient(
            notebook, km=manager, timeout=CELL_SECONDS, resources={"metadata": {"path": str(REPO_ROOT)}}
        )
        try:
            client.execute()
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise BadInput(_failure(notebook, name, error)) from None
        finally:  # nbclient leaves a manager that it did not make running
            if manager.has_kernel:
                manager.shutdown_kernel(now=True)


def _failure(notebook: nbformat.NotebookNode, name: str, error: Exception) -> str:
    """One line that names the failing cell: the one with an error output, else the first one that did not finish."""
    code = [(number, cell) for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    for number, cell in code:
        for output in cell.outputs:
            if output.output_type == "error":
                return f"notebook {name}, cell {number} ({_first(cell)}): {output.ename}: {_line(output.evalue)}"
    stuck = [(number, cell) for number, cell in code if cell.execution_count is None]
    number, cell = stuck[0] if stuck else code[-1]
    if isinstance(error, CellTimeoutError):
        return f"notebook {name}, cell {number} ({_first(cell)}): took over {CELL_SECONDS} s"
    return f"notebook {name}, cell {number} ({_first(cell)}): the kernel died"


def _first(cell: nbformat.NotebookNode) -> str:
    lines = [line.strip() for line in cell.source.splitlines() if line.strip()]
    return lines[0][:60] if lines else "empty"


def _line(text: str) -> str:
    return " ".join(text.split())
