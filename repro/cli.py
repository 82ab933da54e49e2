"""The command line: `python -m repro VERB`. Exit codes: 0 done, 1 some cells failed, 2 bad input, 130 interrupted."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence

from repro.errors import BadInput
from repro.verbs import (
    bench,
    calibrate,
    doctor,
    evaluate,
    fetch,
    grade,
    launch,
    pages,
    paper,
    rehearse,
    show_context,
    sides,
    tables,
    training_sets,
)
from repro.verbs.common import BAD_INPUT, DONE, INTERRUPTED, make_parents

# In the order in which --help shows them; none imports anything heavy before it runs.
_MODULES = (
    tables,
    pages,
    launch,
    rehearse,
    doctor,
    fetch,
    evaluate,
    sides,
    show_context,
    grade,
    training_sets,
    paper,
    calibrate,
    bench,
)


# what a hub that is not there, or does not answer, raises; the modules are loaded by whoever asks it
_HUB_ERRORS = {
    "httpx": ("TransportError",),
    "huggingface_hub.errors": ("HfHubHTTPError", "LocalEntryNotFoundError", "OfflineModeIsEnabled"),
}


class _Never(Exception):
    """Stands for a kind of error whose module is not imported."""


class _Parser(argparse.ArgumentParser):
    """argparse with its errors in one line."""

    def error(self, message: str) -> None:
        raise BadInput(f"{self.prog}: {message} (see {self.prog} --help)")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = _Parser(
        prog="python -m repro", description="Reproduces the tables and figures of GCPO (arXiv 2508.05428)."
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    parents = make_parents()
    for module in _MODULES:
        module.add(verbs, parents)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code. A BadInput becomes one line on stderr and code 2."""
    try:
        args = build_parser().parse_args(argv)
        return args.call(args)
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted: everything finished so far is kept; run the same command again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if (why := _unreachable(error)) is None:
            raise
        print(
            f"error: {why}; without the hub, name a local folder (--base, --model, GCPO_DATA), or set HF_HUB_OFFLINE=1 "
            "where the hub's cache (HF_HOME) is filled",
            file=sys.stderr,
        )
        return BAD_INPUT


def _unreachable(error: BaseException) -> str | None:
    """What could not be reached, if an error is one of the hub's or of its connection; None for any other.

    Looks only at modules that are imported: nothing that is not can have raised it.
    """
    for each in _causes(error):
        for module, names in _HUB_ERRORS.items():
            kinds = tuple(getattr(sys.modules.get(module), name, None) or _Never for name in names)
            if isinstance(each, kinds):
                what = getattr(each, "_request", None)  # httpx: its public property raises without one
                url = f" ({what.url})" if what is not None else ""
                return f"the model hub could not be reached{url}: {' '.join(str(each).split())[:160]}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__
