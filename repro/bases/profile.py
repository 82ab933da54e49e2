"""Makes or finds the bases of a profile and records what a made one can do, before any arm is trained on it."""

from collections.abc import Callable
from pathlib import Path

import torch

from repro.bases.make import RECORD, BaseSpec, base_path, ensure_base, is_whole, resolve_bases
from repro.bases.measure import measure_base
from repro.config import Profile
from repro.errors import BadInput
from repro.files import read_json, write_json

Report = Callable[[float, str], None]
_QUESTIONS = 40  # per suite, 8 answers each: a look at the base, not a row of a table
_SEED = 2**31  # of the samples that measure a base; no arm's seed reaches it


def profile_specs(profile: Profile) -> dict[str, BaseSpec]:
    """The specs of a profile's trained bases, parents resolved. Raises BadInput for an impossible field."""
    return resolve_bases({name: ref.spec for name, ref in profile.bases.items() if ref.kind == "trained"})


def base_source(profile: Profile, name: str) -> tuple[str, str]:
    """(what `from_pretrained` takes, hash or revision of the weights) of a base that exists.

    Raises BadInput when a trained base is missing or damaged, or a local folder has no weights.
    """
    ref = profile.bases[name]
    if ref.kind == "trained":
        folder = base_path(profile_specs(profile)[name])
        if not is_whole(folder):
            raise BadInput(f"base {name}: {folder} has no whole weights; run the target again to make it")
        return str(folder), read_json(folder / RECORD, "base record")["weights_sha256"]
    folder = Path(ref.model)
    if folder.is_dir() and not list(folder.glob("*.safetensors")):
        raise BadInput(f"base {name}: folder {folder} has no weights; want at least one .safetensors file")
    return ref.model, ref.revision or str(ref.model)


def make_profile_base(profile: Profile, name: str, marker: Path, report: Report) -> None:
    """Train a base (or find it in the cache), measure it on the profile's suites, and write its record to `marker`."""
    torch.set_num_threads(profile.resources.threads)
    spec = profile_specs(profile)[name]
    folder = ensure_base(spec, threads=profile.resources.threads, progress=lambda done, text: report(0.9 * done, text))
    report(0.9, "measuring")
    suites = {suite: min(questions, _QUESTIONS) for suite, questions in profile.tasks.suites.items()}
    quality = measure_base(folder, suites, seed=_SEED, order=spec.candidate_order)
    write_json(marker, {"base": name, "record": read_json(folder / RECORD, "base record"), **quality})
