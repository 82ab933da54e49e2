"""The control bases differ in slips and extra training only."""

from repro.config import load_profile
from repro.studies.bases import control_specs

NANO = load_profile("micro-slips").bases["nano-s"].spec
VARIED = {"name", "parent", "slip", "tokens", "muon_lr", "adamw_lr", "seed"}


def test_controls_share_everything_but_slips_and_the_extra_training():
    specs = control_specs(NANO)
    assert list(specs) == ["clean", "clean-more", "clean-slips", "slips"]
    plain = [{key: value for key, value in spec.model_dump().items() if key not in VARIED} for spec in specs.values()]
    assert all(fields == plain[0] for fields in plain)


def test_slips_and_extra_training_are_separated():
    specs = control_specs(NANO)
    clean, more, slipped, scratch = specs.values()
    assert (clean.slip, more.slip, slipped.slip, scratch.slip) == (0.0, 0.0, NANO["slip"], NANO["slip"])
    assert more.parent == slipped.parent == clean
    assert scratch.parent is None
    assert scratch.tokens == clean.tokens + more.tokens == clean.tokens + slipped.tokens
    alike = {key: value for key, value in more.model_dump().items() if key not in ("name", "slip")}
    assert alike == {key: value for key, value in slipped.model_dump().items() if key not in ("name", "slip")}
