"""The bases of a profile: which they are, where they lie, and making those that are made here."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from repro.bases.files import fingerprint, resolve_model
from repro.bases.keep import RECORD, is_whole
from repro.closure import code_hash
from repro.config import Profile, check_finite
from repro.errors import BadInput
from repro.files import read_json, sha256_text, write_json
from repro.paths import results_dir
from repro.references import module_of, resolve

Report = Callable[[float, str], None]
# A recipe is a spec's class, in a module with resolve_bases, base_path and ensure_base.
RECIPES = {
    "trained": "repro.bases.make:BaseSpec",
    "programs": "repro.bases.programs:BaseSpec",
    "finetuned": "repro.bases.finetune:BaseSpec",
}
FROM_SCRATCH = ("trained", "programs")  # recipes whose weights owe nothing to anybody else's
_QUALITY = "repro.evaluation.base_quality:measure_base"
_MEASURING = 40.0  # seconds of one quiet core that a base of micro is measured
_QUESTIONS = 40  # per suite, 8 answers each: a look at the base, not a row of a table
_SEED = 2**31  # of the samples that measure a base; no arm's seed reaches it


def lineage(profile: Profile, base: str) -> list[str]:
    """The base and those it continues from, the first one first. Raises BadInput for one that the profile lacks."""
    chain: list[str] = []
    name: str | None = base
    while name is not None:
        if name not in profile.bases:
            raise BadInput(
                f"profile {profile.name}: base {chain[-1]!r} continues from {name!r}, which is not in the profile"
            )
        if name in chain:
            raise BadInput(f"profile {profile.name}: base {name!r} continues itself")
        chain.append(name)
        name = (profile.bases[name].spec or {}).get("continue_from")
    return chain[::-1]


def base_identity(profile: Profile, name: str) -> dict[str, Any]:
    """What a base is, wherever it lies: its recipe, its pinned revision, or the fingerprint of its files.

    Raises BadInput for a folder that holds no whole model.
    """
    ref = profile.bases[name]
    if ref.made:
        return {"kind": ref.kind, "spec": ref.spec}
    if ref.kind == "hub":
        return {"kind": ref.kind, "model": ref.model, "revision": ref.revision}
    return {"kind": ref.kind, "sha256": _fingerprint(ref.model)}


@cache
def _fingerprint(model: str) -> str:
    return fingerprint(resolve_model(model))


def recipe_module(profile: Profile, name: str) -> str | None:
    """The module whose code makes a base, None for one that is only loaded."""
    recipe = RECIPES.get(profile.bases[name].kind)
    return None if recipe is None else module_of(recipe)


def _of_recipe(kind: str, name: str) -> Any:
    return resolve(f"{module_of(RECIPES[kind])}:{name}")


def base_specs(profile: Profile, kind: str) -> dict[str, Any]:
    """The specs of a profile's bases of one recipe, parents resolved. Raises BadInput for an impossible field."""
    tree = {name: ref.spec for name, ref in profile.bases.items() if ref.kind == kind}
    specs = _of_recipe(kind, "resolve_bases")(tree) if tree else {}
    for name, spec in specs.items():
        try:
            check_finite(spec.model_dump())  # a text such as "nan" is a number only here
        except ValueError as error:
            raise BadInput(f"base {name}: {error}") from None
        if kind == "finetuned":
            _check_families(name, spec.families)
    return specs


def _check_families(name: str, families: dict[str, float]) -> None:
    """Raise BadInput for what a draw of word problems would only meet by chance, in the middle of the fine-tuning."""
    from repro.tasks.words.suites import make_question

    if min(families.values()) < 0 or sum(families.values()) <= 0:
        raise BadInput(f"base {name}: families {families}: want weights of at least 0, not all 0")
    for family in families:
        make_question(family, "train", 0, 0)


def base_folder(profile: Profile, name: str) -> Path:
    """The folder of a base that exists.

    Raises BadInput when a made base is missing or damaged, or a folder or hub id holds no whole model.
    """
    ref = profile.bases[name]
    if not ref.made:
        return resolve_model(ref.model, ref.revision)
    folder = _of_recipe(ref.kind, "base_path")(base_specs(profile, ref.kind)[name])
    if not is_whole(folder):
        raise BadInput(f"base {name}: {folder} has no whole weights; run the target again to make it")
    return folder


def base_source(profile: Profile, name: str) -> tuple[Path, str]:
    """(folder, hash of the weights and of what goes with them) of a base that exists. Errors as `base_folder`."""
    ref, folder = profile.bases[name], base_folder(profile, name)
    if not ref.made:
        return folder, fingerprint(folder)
    return folder, read_json(folder / RECORD, "base record")["weights_sha256"]


def base_seconds(profile: Profile, name: str) -> float:
    """Estimated seconds of one quiet core until a made base is there: measuring it alone where its weights lie."""
    kind = profile.bases[name].kind
    folder = _of_recipe(kind, "base_path")(base_specs(profile, kind)[name])
    shipped = (
        kind in FROM_SCRATCH
        and os.environ.get("BASES") != "train"
        and _of_recipe("trained", "shipped_base")(folder.name)
    )
    wanted = profile.resources.base_seconds.get(name, 0.0)
    return min(wanted, _MEASURING) if shipped or is_whole(folder) else wanted


def base_marker(profile: Profile, name: str) -> Path:
    """Where the record of a made base is kept; it exists once the base is made and measured."""
    chain = [base_identity(profile, each) for each in lineage(profile, name)]
    code = code_hash((recipe_module(profile, name),))
    digest = sha256_text(repr((chain, sorted(profile.tasks.suites.items()), code)))[:10]
    return results_dir(profile.name) / "bases" / f"{name}__{digest}.json"


def make_profile_base(profile: Profile, name: str, marker: Path, report: Report) -> None:
    """Make a base (or find it in the cache), measure it on the profile's suites, and write its record to `marker`."""
    import torch

    torch.set_num_threads(profile.resources.threads)
    kind = profile.bases[name].kind
    spec = base_specs(profile, kind)[name]
    folder = _of_recipe(kind, "ensure_base")(
        spec, threads=profile.resources.threads, progress=lambda done, text: report(0.9 * done, text)
    )
    record = read_json(folder / RECORD, "base record")
    quality: dict[str, Any] = {}
    if profile.tasks.kind == "procedural":
        report(0.9, "measuring")
        suites = {suite: min(questions, _QUESTIONS) for suite, questions in profile.tasks.suites.items()}
        quality = resolve(_QUALITY)(folder, suites, seed=_SEED, order=spec.candidate_order)
    write_json(marker, {"base": name, "record": record, **quality})
