"""The site, built from the committed reports that it shows: whole, readable anywhere, and without
requests to anywhere else. A real browser opens every page."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from fmnist_keras.settings import ROOT
from scripts.readme import numbers_once, own_claims

PROFILE = "paper"  # what make site shows
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder of the built pages; the project's own site is left alone."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("fmnist_keras", "params", "scripts", "site", "reports"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("build", "smoke"))
    built = subprocess.run(
        [sys.executable, "scripts/site.py", PROFILE], cwd=copy, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(copy)},
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return copy / "site" / "build" / "html"


@pytest.fixture(scope="module")
def pages(site) -> dict[str, BeautifulSoup]:
    return {
        path.name: BeautifulSoup(path.read_text(), "html.parser") for path in site.glob("*.html")
    }


def test_every_chapter_has_a_page_and_a_card_on_the_front_page(site, pages):
    names = {path.stem for path in (ROOT / "reports" / PROFILE).glob("*.ipynb")}
    assert names <= {path.stem for path in site.glob("*.html")}
    cards = {link.get("href") for link in pages["index.html"].select(".sd-card a")}
    assert {f"{name}.html" for name in names} <= cards


def test_links_resolve(site, pages):
    for name, page in pages.items():
        for link in page.select("a[href]"):
            target, _, anchor = link["href"].partition("#")
            if re.match("https?:|mailto:", target) or link["href"] == "#":
                continue
            there = pages[target or name]
            assert (site / (target or name)).exists(), (name, link["href"])
            assert not anchor or there.find(id=anchor), (name, link["href"])


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
    shown = " ".join(pages["index.html"].get_text().split())
    for rows, what in (
        (numbers_once(PROFILE), "published numbers"),
        (own_claims(PROFILE), "claims"),
    ):
        assert f"{len(rows)} {what}: " in shown
        for word, number in rows["verdict"].value_counts().items():
            assert f"{number} {word}" in shown


def test_provenance_says_how_each_chapters_runs_came_to_be(pages):
    page = pages["provenance.html"]
    assert "The versions of all runs: python 3" in page.get_text()
    table = page.select_one("table")
    shown = [[cell.get_text() for cell in row.select("td")] for row in table.select("tbody tr")]
    numbers_of_threads = {}
    for path in sorted((ROOT / "reports" / PROFILE).glob("*.ipynb")):
        rows = [row for row in shown if row[0] == path.stem]
        fingerprints = re.findall(r"<td>([0-9a-f]{12})</td>", path.read_text())
        assert sorted(row[3] for row in rows) == sorted(fingerprints), path.stem
        for _, runs, threads, fingerprint in rows:
            assert int(runs) > 0
            assert numbers_of_threads.setdefault(fingerprint, threads) == threads
    assert sorted(numbers_of_threads.values()) == ["1", "2"]  # VGG-16 had both cores


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no browser: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("viewport", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_page_in_a_browser(site, pages, browser, viewport):
    """No error on the console, no request but to files of the site, no sideways scrolling."""
    for name in pages:
        page, problems = browser.new_page(viewport=viewport), []
        page.on("console", lambda said, to=problems: said.type == "error" and to.append(said.text))
        page.on("pageerror", lambda error, to=problems: to.append(str(error)))
        page.on(
            "request",
            lambda made, to=problems: (
                None
                if made.url.startswith((f"file://{site}", "data:", "blob:"))
                else to.append(made.url)
            ),
        )
        page.goto(f"file://{site / name}")
        page.wait_for_timeout(300)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        page.close()
        assert problems == [], name
        assert wide <= 0, f"{name} is {wide} px too wide"


def test_the_ledger_can_be_searched(site, browser):
    page = browser.new_page(viewport=DESKTOP)
    page.goto(f"file://{site / 'ledger.html'}")
    rows = page.locator("table tbody tr")
    rows.first.wait_for()
    before = rows.count()
    page.locator(".dt-search input").first.fill("Adadelta")
    page.wait_for_timeout(300)
    assert 0 < rows.count() < before
    page.close()
