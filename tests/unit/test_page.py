"""The report as one page: what it says, and that nothing in it leaves the file."""

import re
from html.parser import HTMLParser

import pytest
from synthetic_cells import BASES, make_cells
from synthetic_cells import synthetic_table as build

from repro import figures, tables
from repro.config import load_profile
from repro.errors import BadInput
from repro.figures import table1
from repro.files import write_json
from repro.paths import REPO_ROOT
from repro.reporting import page as module
from repro.reporting.order import BESIDE
from repro.reporting.page import page, write_page
from repro.reporting.published import profiles

PAGES = [REPO_ROOT / "results" / "published" / name / "report.html" for name in profiles()]
LOADS = ("src", "srcset", "poster", "data", "action", "formaction", "background", "xlink:href", "manifest")


class Reader(HTMLParser):
    """Collects what a browser would fetch by itself, and the targets of links."""

    def __init__(self, text):
        super().__init__()
        self.fetched, self.links, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.ids.add(named.get("id"))
        self.fetched += [f"{tag} {name}={value[:60]}" for name, value in attributes
                         if name in LOADS and not value.startswith("data:image/png;base64,")]  # fmt: skip
        if tag in ("link", "script", "iframe", "object", "embed", "base") or "http-equiv" in named:
            self.fetched.append(tag)
        if "href" in named:
            (self.links if tag == "a" else self.fetched).append(named["href"])


def leaving(text):
    """Everything in a page that would leave the file; links in the text may name the web or a place in the page."""
    read = Reader(text)
    found = read.fetched + re.findall(r"url\(\s*['\"]?(?!#|data:)[^)]*\)|@import[^;]*", text)
    return found + [
        link for link in read.links if not link.startswith("https://") and link.removeprefix("#") not in read.ids
    ]


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A user's own run of two bases, with its tables, pictures and cells."""
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    cells = make_cells(2, bases=BASES[:2], arms=("base", "grpo", "gcpo_expected"), questions=10)
    made, folder = build(cells), tmp_path / "local" / "micro"
    tables.write_table1(made, folder / "tables")
    figures.save(table1.gains(made), folder / "figures", "table1_gains")
    env = {"commit": "c" * 40, "cores": 2, "cpu": "x", "device": "cpu", "dirty": False, "lock": "a" * 64}
    for cell in cells:
        room = folder / "runs" / cell["cell_id"]
        room.mkdir(parents=True)
        write_json(room / "summary.json", cell)
        write_json(room / "env.json", {**env, "packages": {"torch": "2.13"}, "python": "3.11", "system": "Linux"})
    return folder


def test_nothing_leaves_the_page_and_it_holds_what_was_measured(results):
    text = write_page(load_profile("micro"), "local").read_text(encoding="utf-8")
    assert leaving(text) == []
    made = tables.read_table(results / "tables" / "table1.json")
    assert made.head.command in text and "A run on this machine" in text
    row = made.row(BASES[0], "gcpo_expected")
    assert f"{row.ours.value:.1f} [{row.ours.low:.1f}, {row.ours.high:.1f}]" in text
    assert text.count("data:image/png;base64,") == 2  # in the summary, and with its table
    assert "12 cells" in text and "cccccccccccc" in text and "torch 2.13" in text


def test_what_was_not_run_is_named_with_its_reason(results):
    text = page(load_profile("micro"), "local")
    assert "Table 1: GVPO on nano-s" in text and "not run yet" in text
    assert "make reproduce-table3 PROFILE=micro" in text


def test_a_users_own_numbers_stand_beside_the_published_ones(results):
    path = results / "tables" / f"table1{BESIDE}"
    path.write_text("| yours | published |\n|---|---|\n| 12.5 | 13.0 |\n", encoding="utf-8")
    text = page(load_profile("micro"), "local")
    assert "Yours beside the published run" in text and "<td>12.5</td>" in text


def test_two_pages_of_equal_results_are_equal(results):
    assert page(load_profile("micro"), "local") == page(load_profile("micro"), "local")


def test_a_stamp_and_markup_in_names_are_shown_as_text(results):
    changed = load_profile("micro").model_copy(update={"stamp": "not a result", "title": "<script>x</script>"})
    text = page(changed, "local")
    assert "NOT A RESULT" in text and "&lt;script&gt;" in text and "<script>" not in text


def test_without_a_table_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("GCPO_RESULTS", str(tmp_path))
    with pytest.raises(BadInput, match="run make reproduce-table1 PROFILE=micro first"):
        page(load_profile("micro"), "local")


def test_a_page_that_grew_too_large_is_refused(results, monkeypatch):
    monkeypatch.setattr(module, "MAX_MIB", 0)
    with pytest.raises(BadInput, match="want at most 0"):
        write_page(load_profile("micro"), "local")
    assert not (results / "report.html").exists()


@pytest.mark.parametrize(
    "text",
    [
        '<img src="https://x.org/a.png">', '<img srcset="b.png 2x">', '<script src="//x.org/a.js"></script>',
        '<link rel="stylesheet" href="a.css">', "<style>@import 'a.css';</style>", "<p style='background: url(a.png)'>",
        '<a href="tables/table1.md">', '<a href="#nowhere">', '<meta http-equiv="refresh" content="0; url=x">',
    ],
)  # fmt: skip
def test_the_search_for_what_leaves_a_page_finds_it(text):
    assert leaving(text)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_the_published_pages_leave_nothing_and_are_small(path):
    assert leaving(path.read_text(encoding="utf-8")) == []
    assert path.stat().st_size < 10 << 20


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)
def test_the_published_page_is_that_of_what_is_published(path):
    assert path.read_text(encoding="utf-8") == page(load_profile(path.parent.name), "published")
