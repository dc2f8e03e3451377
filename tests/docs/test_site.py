# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The site that `make docs` has built: every link leads somewhere, nothing is fetched, and all that people use has its page."""

from __future__ import annotations

import re
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Dict, List, Optional, Set, Tuple
from urllib.parse import unquote, urlsplit

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
SITE = CHECKOUT / "build" / "docs" / "html"
PAGES = sorted(SITE.rglob("*.html"))
Attributes = List[Tuple[str, Optional[str]]]


class Page(HTMLParser):
    """What one page links to, what it has the browser fetch, what can be linked to on it, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: List[str] = []
        self.fetched: List[str] = []
        self.places: Set[str] = set()
        self.text = ""
        self.main = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given: Dict[str, str] = {name: value or "" for name, value in attrs}
        self.places |= {given[name] for name in ("id", "name") if name in given}
        self.main = self.main or given.get("role") == "main"
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag in ("link", "script", "img", "source", "iframe", "object"):
            self.fetched += [given[name] for name in ("href", "src", "data") if given.get(name)]

    def handle_data(self, data: str) -> None:
        self.text += data if self.main else ""


@lru_cache(maxsize=None)
def read(path: Path) -> Page:
    return Page(path.read_text())


def wrong(page: Path, link: str) -> str:
    """Say what is wrong with a link of a page; nothing where it leads somewhere, or out of the site."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return "" if parts.scheme in ("http", "https", "mailto") and parts.netloc else f"{link}: what is that?"
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if SITE not in target.parents or not target.is_file():
        return f"{link}: there is no such file"
    if parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in read(target).places:
        return f"{link}: there is no such place"
    return ""


def inside(page: Path) -> Set[Path]:
    """Return the pages of the site that a page links to."""
    paths = [urlsplit(link) for link in read(page).links]
    found = {(page.parent / unquote(one.path)).resolve() for one in paths if one.path and not one.netloc}
    return {path for path in found if path.suffix == ".html"}


def test_there_is_a_site() -> None:
    assert len(PAGES) > 20
    assert sum(len(read(page).links) for page in PAGES) > 1000


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert [said for said in (wrong(page, link) for link in read(page).links) if said] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_a_page_is_shown_without_the_network(page: Path) -> None:
    assert [said for said in (wrong(page, link) for link in read(page).fetched) if said] == []
    assert [link for link in read(page).fetched if urlsplit(link).netloc] == []


@pytest.mark.parametrize(
    "link, said",
    [
        ("index.html", ""), ("#nowhere", "no such place"), ("nowhere.html", "no such file"), ("../../x", "no such file"),
        ("javascript:alert(1)", "what is that"), ("https://example.org/x", ""),
    ],
)  # fmt: skip
def test_what_a_wrong_link_is(link: str, said: str) -> None:
    assert said in wrong(SITE / "index.html", link) and bool(said) == bool(wrong(SITE / "index.html", link))


def test_every_page_is_reached_from_the_first() -> None:
    seen: Set[Path] = set()
    ahead = {SITE / "index.html"}
    while ahead:
        page = ahead.pop()
        seen.add(page)
        ahead |= inside(page) - seen
    # The theme's own form leads to the search.
    assert set(PAGES) - seen == {SITE / "search.html"}


def named(folder: str, pattern: str, page: str) -> List[str]:
    """Return the pages that the files of a folder must have."""
    return [page.format(path.stem) for path in sorted((CHECKOUT / folder).glob(pattern))]


@pytest.mark.parametrize(
    "name",
    [
        *named("plugins/modules", "*.py", "collection/{}_module.html"),
        *named("plugins/lookup", "*.py", "collection/{}_lookup.html"),
        *named("plugins/callback", "[!_]*.py", "collection/{}_callback.html"),
        *named("roles", "[!_]*", "collection/{}_role.html"),
        *named("docs/docsite/rst", "*.rst", "collection/docsite/{}.html"),
        *named("docs", "*.md", "docs/{}.html"),
        *named(".", "*.md", "{}.html"),
        "docs/messages.html",
    ],
)
def test_all_that_people_use_has_its_page(name: str) -> None:
    text = read(SITE / name).text
    # The menu is not counted: a page that says nothing has a dozen words.
    assert len(re.findall(r"\w+", text)) > 50
