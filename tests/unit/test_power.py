"""The seeds and samples that the paper's margins would need follow from published SDs by the stated formulas."""

import math

import pytest

from repro.errors import BadInput
from repro.paper import AVERAGE, BENCHMARKS
from repro.paper.power import difference_se, margins, pass_sd, passes_needed, requirements, sampling_power, seeds_needed
from repro.stats.power import power_of_gap

AVERAGE_SD = 1.6294784


def test_sd_of_the_average_combines_five_independent_benchmarks():
    sds = pass_sd()
    assert [sds[b] for b in BENCHMARKS] == [4.8, 5.2, 3.9, 0.3, 1.0]
    assert sds[AVERAGE] == pytest.approx(math.sqrt(23.04 + 27.04 + 15.21 + 0.09 + 1.0) / 5)


def test_the_resampled_variance_of_math500_is_over_ten_times_that_of_three_passes():
    three, many = pass_sd()["MATH500"], pass_sd(source="Sober Table 5")["MATH500"]
    assert (many / three) ** 2 > 10
    assert pass_sd(source="Sober Table 5")[AVERAGE] == pytest.approx(1.9136, abs=1e-4)


def test_an_unknown_source_or_model_is_refused():
    with pytest.raises(BadInput, match="Sober Table 5 has no row"):
        pass_sd("R1-Distill-7B", "Sober Table 5")
    with pytest.raises(BadInput, match="source"):
        pass_sd(source="hearsay")


def test_average_difference_has_standard_error_of_half_a_point_at_twenty_samples():
    assert difference_se(AVERAGE_SD, 20) == pytest.approx(0.515, abs=5e-4)
    with pytest.raises(BadInput):
        difference_se(1.0, 0)


# gap -> power at 20 samples, passes per arm for 80 % (average of the five)
AVERAGE_ROWS = [(0.58, 0.20, 124), (0.82, 0.36, 62), (1.68, 0.90, 15), (1.36, 0.75, 23), (1.48, 0.82, 20)]


@pytest.mark.parametrize(("gap", "power", "passes"), [*AVERAGE_ROWS, (1.26, 0.69, 27), (1.02, 0.51, 41)])
def test_power_and_passes_of_the_claims_on_the_average(gap, power, passes):
    assert sampling_power(gap, AVERAGE_SD, 20) == pytest.approx(power, abs=0.005)
    assert passes_needed(gap, AVERAGE_SD) == passes


@pytest.mark.parametrize(("sd", "expected"), [(4.8, (58, 362, 1447)), (5.2, (68, 425, 1698)), (3.9, (39, 239, 956))])
def test_passes_for_fixed_gaps(sd, expected):
    assert tuple(passes_needed(gap, sd) for gap in (2.5, 1.0, 0.5)) == expected


def test_the_number_of_passes_is_enough_and_one_fewer_is_not():
    passes = passes_needed(0.58, AVERAGE_SD)
    assert sampling_power(0.58, AVERAGE_SD, passes) >= 0.80 > sampling_power(0.58, AVERAGE_SD, passes - 1)


@pytest.mark.parametrize(
    ("seed_sd", "expected"), [(0.25, (8, 4, 3, 3, 2)), (0.5, (20, 9, 6, 4, 3)), (1.0, (67, 27, 18, 9, 4))]
)
def test_seeds_for_fixed_gaps_at_64_samples(seed_sd, expected):
    gaps = (0.5, 0.8, 1.0, 1.5, 2.5)
    assert tuple(seeds_needed(gap, seed_sd=seed_sd, sd=AVERAGE_SD) for gap in gaps) == expected


@pytest.mark.parametrize("gap", [0.58, 1.02, 2.5])
def test_seeds_needed_agrees_with_the_t_power_of_the_statistics_module(gap):
    seeds = seeds_needed(gap, seed_sd=0.5, sd=AVERAGE_SD)
    spread = math.sqrt(0.25 + AVERAGE_SD**2 / 64)

    def power(count: int) -> float:
        return power_of_gap(gap, spread * math.sqrt(2 / count), 2 * count - 2)

    assert power(seeds) >= 0.80
    assert seeds == 2 or power(seeds - 1) < 0.80


def test_impossible_requests_are_refused():
    with pytest.raises(BadInput):
        seeds_needed(0.0, seed_sd=0.5, sd=1.0)
    with pytest.raises(BadInput):
        passes_needed(-1.0, 1.0)
    with pytest.raises(BadInput, match="or more"):
        seeds_needed(0.001, seed_sd=1.0, sd=1.0)


def test_margins_over_the_best_baseline_are_those_of_the_cells():
    frame = margins()
    best = frame[frame.against == "best baseline"]
    rounded = {m: [round(float(g), 2) for g in f.gap] for m, f in best.groupby("model")}
    assert rounded["DeepScaleR-1.5B"] == [0.6, 0.6, 0.5, 0.6, 0.6, 0.58]
    assert rounded["R1-Distill-1.5B"] == [0.4, 0.4, 0.3, 0.8, 0.3, 0.58]
    assert rounded["R1-Distill-7B"] == [0.8, 0.6, 0.9, 0.6, 0.8, 0.82]


def test_requirements_answer_for_every_benchmark_and_the_average():
    frame = requirements()
    assert len(frame) == 3 * 2 * 6 + 2 * 6
    average = frame[(frame.benchmark == AVERAGE) & (frame.against == "best baseline")].set_index("model")
    assert average.passes.to_dict() == {"DeepScaleR-1.5B": 124, "R1-Distill-1.5B": 124, "R1-Distill-7B": 62}
    assert average["seeds_at_0.5"].to_dict() == {"DeepScaleR-1.5B": 15, "R1-Distill-1.5B": 15, "R1-Distill-7B": 8}
    aime = frame[(frame.benchmark == "AIME24") & (frame.against == "best baseline")]
    assert (aime.power < 0.10).all()
    assert sorted(aime.passes) == [566, 1005, 2261]
