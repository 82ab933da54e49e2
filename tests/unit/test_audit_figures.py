"""The pictures of the audit and the theory are made from the checked numbers, and the mask is the graph."""

import numpy as np
import pytest

from gcpo.shared_kv.packing import graph
from repro.figures import audit as audit_figures
from repro.figures import png
from repro.figures import theory as theory_figures
from repro.figures.theory import mask_of

FIGURES = {**audit_figures.FIGURES, **theory_figures.FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_renders(name):
    image = png(FIGURES[name]())
    assert image.startswith(b"\x89PNG")
    assert len(image) > 10_000


@pytest.mark.parametrize("module", [audit_figures, theory_figures])
def test_files_are_written_as_png_and_svg_and_twice_the_same(module, monkeypatch, tmp_path):
    name = "audit_margins" if module is audit_figures else "theory_gain"
    monkeypatch.setattr(module, "FIGURES", {name: module.FIGURES[name]})
    first, second = module.write_figures(tmp_path / "a"), module.write_figures(tmp_path / "b")
    assert [path.name for path in first] == [f"{name}.png", f"{name}.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(("n", "m"), [(2, 1), (3, 2), (4, 3)])
def test_mask_lets_each_token_read_what_the_graph_allows(n, m):
    query, tokens = 3, 2
    owner = [("q",)] * query + [("y", i) for i in range(n) for _ in range(tokens)]
    owner += [("int", draw) for draw in range(m) for _ in range(tokens)]
    owner += [("copy", i, draw) for i in range(n) for draw in range(m) for _ in range(tokens)]
    nodes = graph(n, m)
    mask = mask_of(nodes, [query] + [tokens] * (len(nodes) - 1))
    assert mask.shape == (len(owner), len(owner))
    for row, reader in enumerate(owner):
        for column, read in enumerate(owner):
            if reader == read:
                allowed = column <= row
            elif read == ("q",):
                allowed = True
            elif read[0] == "y":
                allowed = reader[0] == "int" or (reader[0] == "copy" and reader[1] != read[1])
            else:
                allowed = read[0] == "int" and reader[0] == "copy" and reader[2] == read[1]
            assert bool(mask[row, column]) == allowed, (reader, read)


def test_no_token_reads_a_later_position():
    mask = mask_of(graph(4, 2), [2] * 15)
    assert not np.triu(mask, 1).any()
    assert (np.diag(mask) == theory_figures.OWN).all()


def test_every_answer_of_the_drawn_chains_is_right_or_the_named_slip():
    supportive, conflicting = theory_figures.CHAINS.values()
    assert {value for _, _, value in supportive} == {str(int((5**2 + 12**2) ** 0.5))}
    assert [value for _, _, value in conflicting] == [str(12 - 5), str(5**2 + 12**2), str(5 + 12)]
