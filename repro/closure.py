"""The code that a result depends on: every module of this project that a module reaches by imports, and its hash.

The hash is of the syntax trees without docstrings and comments, so that words may change. Other packages count by their
locked versions (`repro.provenance`). A package's `__init__` counts where a name is imported from it. A module that a
text names ("repro.grading.worker", started as a process) is reached; one of several that a text with a colon names
("repro.methods.trl:train") is not: it is a root where it is chosen. Does not import what it reads.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from repro.paths import REPO_ROOT

PACKAGES = ("gcpo", "repro")


@cache
def module_file(name: str) -> Path | None:
    """The source file of a module of this project, None for anything else."""
    if name.partition(".")[0] not in PACKAGES or not all(part.isidentifier() for part in name.split(".")):
        return None
    path = REPO_ROOT.joinpath(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def imported(name: str) -> frozenset[str]:
    """The modules of this project that a module imports or names, anywhere in its file; none only for annotations."""
    found: set[str] = set()
    package = name if module_file(name).name == "__init__.py" else name.rpartition(".")[0]
    for node in _running(_tree(module_file(name))):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and "." in node.value and module_file(node.value):
                found.add(node.value)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *([base] if base else [])])
            for alias in node.names:
                below = f"{base}.{alias.name}"
                found.add(below if module_file(below) else base)
    return frozenset(each for each in found if module_file(each))


def _running(tree: ast.AST) -> Iterable[ast.AST]:
    """Every node but those under `if TYPE_CHECKING`, which never run."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        yield node
        yield from _running(node)


def closure(roots: Iterable[str]) -> tuple[str, ...]:
    """The roots and every module that they reach by imports, sorted. Raises ValueError for an unknown root."""
    reached: set[str] = set()
    waiting = list(roots)
    for name in waiting:
        if module_file(name) is None:
            raise ValueError(f"{name} is no module of {' or '.join(PACKAGES)}")
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += imported(name)
    return tuple(sorted(reached))


@cache
def _digest(file: Path) -> bytes:
    return hashlib.sha256(ast.dump(_bare(_tree(file))).encode()).digest()


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings."""
    tree = ast.parse(ast.unparse(tree))  # a copy
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = body[1:] or [ast.Pass()]
    return tree


def code_hash(roots: Iterable[str]) -> str:
    """sha256 over names and bare syntax trees of the closure of `roots`."""
    digest = hashlib.sha256()
    for name in closure(roots):
        digest.update(f"{name}\0".encode())
        digest.update(_digest(module_file(name)))
    return digest.hexdigest()
