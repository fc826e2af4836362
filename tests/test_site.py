"""The site, built from the committed reports that it shows: whole, readable anywhere, and without
requests to anywhere else. A real browser opens every page."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from fmnist_keras import evidence
from fmnist_keras.chapter import collect
from fmnist_keras.settings import ROOT
from scripts.report import chapters

pytestmark = pytest.mark.slow

PROFILE = "paper"  # what make site shows
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHAPTERS = [p for p in chapters(ROOT / "reports" / PROFILE) if p.stem != "17_summary"]
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the built pages; the project's own site is left alone."""
    copy = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "reports" / PROFILE, copy / "reports" / PROFILE)
    assert build(copy) == [], "nothing to warn of"
    return copy / "site" / "build" / "html"


def build(project: Path) -> list[str]:
    """Build the site of a folder with reports; the lines that this says."""
    for name in ("scripts", "site", "fmnist_keras"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("build"))
    command = [sys.executable, "scripts/site.py", PROFILE]
    built = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stdout + built.stderr
    return built.stderr.splitlines()


@pytest.fixture(scope="module")
def pages(site) -> dict[str, BeautifulSoup]:
    return {
        path.name: BeautifulSoup(path.read_bytes(), "html.parser") for path in site.glob("*.html")
    }


def test_the_front_page_leads_to_every_chapter_and_links_resolve(site, pages):
    cards = {link["href"] for link in pages["index.html"].select(".tag_chapters a")}
    assert cards == {f"{path.stem}.html" for path in CHAPTERS}
    for name, page in pages.items():
        for link in page.select("a[href]"):
            target, _, anchor = link["href"].partition("#")
            if re.match("https?:|mailto:", target) or link["href"] == "#":
                continue
            assert (site / (target or name)).exists(), (name, link["href"])
            assert not anchor or pages[target or name].find(id=anchor), (name, link["href"])


def test_it_is_light(site):
    """The front page at most 300 kB without its figures, the whole at most 25 MB."""
    assert (site / "index.html").stat().st_size < 300_000
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 25_000_000


def test_every_figure_says_what_it_shows(pages):
    figures = [(name, image) for name, page in pages.items() for image in page.select("img")]
    assert len(figures) > 50
    for name, image in figures:
        alt = image.get("alt", "")
        assert len(alt.split()) > 2, (name, image)
        assert "No description" not in alt, name


def test_code_is_folded_and_no_parameter_stands_twice(pages):
    page = pages["02_baseline.html"]
    shown = [block for block in page.select("div.cell_input") if not block.find_parent("details")]
    assert shown == []
    assert len(re.findall(r"^seeds = ", page.get_text(), re.M)) == 1


def test_the_front_page_shows_the_tally_of_the_frames(pages):
    bars = pages["index.html"].select('.tag_headline div[style*="display: flex"]')
    shown = [" ".join(bar.parent.get_text().split()) for bar in bars]
    numbers, claims = collect(PROFILE, "numbers"), collect(PROFILE, "claims")
    once = [evidence.published()[name].same_as is None for name in numbers["id"]]
    for rows, tally in zip((numbers[once], claims[claims["kind"] == "R"]), shown, strict=True):
        counts = rows["outcome"].value_counts()
        said = list(map(int, re.findall(r"\d+", tally)))
        assert said[0] == len(rows) == sum(said[1:])
        assert sorted(said[1:]) == sorted(counts)


def test_the_ledgers_page_says_how_each_chapters_runs_came_to_be(pages):
    page = pages["ledger.html"]
    assert "The versions of all runs: python 3" in page.get_text()
    rows = [row.get_text(" ") for row in page.select(".tag_provenance tbody tr")]
    for path in CHAPTERS:
        for fingerprint in re.findall(r"<td>([0-9a-f]{12})</td>", path.read_text("utf-8")):
            assert any(path.stem in row and fingerprint in row for row in rows), path.stem


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no browser: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_every_page_in_a_browser(site, pages, browser):
    """No error on the console, no request but to files of the site, no sideways scrolling."""
    for name in pages:
        page, said, requests = browser.new_page(), [], []
        page.on("console", lambda message, to=said: message.type == "error" and to.append(message))
        page.on("pageerror", lambda error, to=said: to.append(error))
        page.on("request", lambda request, to=requests: to.append(request.url))
        page.goto(f"file://{site / name}")
        for viewport in (DESKTOP, PHONE):
            page.set_viewport_size(viewport)
            page.wait_for_timeout(200)
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, f"{name} is {wide} px too wide for {viewport}"
        page.close()
        assert said == [], name
        assert [u for u in requests if not u.startswith((f"file://{site}", "data:", "blob:"))] == []


def test_the_ledger_can_be_searched(site, browser):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(f"file://{site / 'ledger.html'}")
    page.locator(".tag_ledger summary").first.click()
    rows = page.locator(".tag_ledger table").first.locator("tbody tr")
    before = rows.count()
    page.locator(".dt-search input").first.fill("Adadelta")
    page.wait_for_timeout(300)
    assert 0 < rows.count() < before
    page.close()


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA"
PNG += "WjR9awAAAABJRU5ErkJggg=="
WILD = [  # a cell, and what is said of it
    (new_markdown_cell("### Begins deep\n\n## Twice\n\n##### Skips\n\n## Twice"), None),
    (new_code_cell("!pip list | head -3"), None),
    (new_code_cell("%%bash\nif true; then echo 'it''s'; fi"), None),
    (new_code_cell("names = !ls\nprint?\n%timeit 1 + 1"), None),
    (new_markdown_cell("[data](../data/mine.csv)"), "'../data/mine.csv'"),
    (new_markdown_cell("[chapter](99_gone.ipynb)"), "'99_gone.ipynb'"),
    (new_markdown_cell("{ref}`nowhere` and [this][undefined]"), "undefined label: 'nowhere'"),
    (new_markdown_cell("![gone](images/gone.png)"), "images/gone.png"),
    (new_markdown_cell("![p](attachment:a.png)", attachments={"a.png": {"image/png": PNG}}), None),
    (new_markdown_cell("<div><p>open <b>HTML</div>\n\n<script>let x</script> $\\frac{1}{2$"), None),
    (new_markdown_cell("```{nosuch}\nx\n```\n\n---"), "'nosuch'"),
    (new_code_cell("w", outputs=[new_output("display_data", data={
        "application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Slider()"})]),
     None),
    (new_code_cell("1 / 0", outputs=[new_output("error", ename="E", evalue="v")]), None),
]  # fmt: skip


def test_it_shows_whatever_an_author_writes_and_names_the_cell_of_what_is_amiss(tmp_path):
    reports = tmp_path / "reports" / PROFILE
    reports.mkdir(parents=True)
    ledger = new_markdown_cell("## Ledger", metadata={"tags": ["ledger"]})
    pages = {"17_summary": [new_markdown_cell("# Summary"), ledger], "21_no_heading": [],
             "20_wild": [cell for cell, _ in WILD], "20_wild-Copy1": []}  # fmt: skip
    for name, cells in pages.items():
        nbformat.write(new_notebook(cells=cells), reports / f"{name}.ipynb")
    said = build(tmp_path)
    expected = [(f"20_wild.ipynb, cell {i}: ", text) for i, (_, text) in enumerate(WILD, 1) if text]
    for cell, text in expected:
        assert any(cell in line and text in line for line in said), (cell, text, said)
    assert len(said) == len(expected), said
    html = tmp_path / "site" / "build" / "html"
    assert {"20_wild.html", "21_no_heading.html"} < {path.name for path in html.glob("*.html")}
    assert not (html / "20_wild-Copy1.html").exists()
    assert "21 · no heading" in (html / "index.html").read_text()
    assert '<img alt="p" src="data:image/png' in (html / "20_wild.html").read_text()
    assert 'class="err"' not in (html / "20_wild.html").read_text(), "magics are code"
