# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a report with the standard library's parser, as strictly as its own template writes it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Dict, List, Optional, Set, Tuple

VOID = {"meta", "br"}
# These are not text to a reader.
UNREAD = {"style", "title"}


class Page(HTMLParser):
    """A page: its title, its text with single spaces, its tables by the section they are in, and what it is made of."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.headings: List[Tuple[str, str]] = []
        self.tables: Dict[str, List[List[str]]] = {}
        self.ids: List[str] = []
        self.labelled: List[str] = []
        self.tags: Set[str] = set()
        self.attributes: Set[Tuple[str, str]] = set()
        self.styles: Set[str] = set()
        self.metas: List[Dict[str, Optional[str]]] = []
        self.heads: List[Dict[str, Optional[str]]] = []
        self.declared: List[str] = []
        self._open: List[str] = []
        self._parts: List[str] = []
        self._section = ""

    @property
    def text(self) -> str:
        """All that is to be read."""
        return " ".join("".join(self._parts).split())

    def handle_decl(self, decl: str) -> None:
        self.declared.append(decl)

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        assert len(given) == len(attrs), f"{tag} has an attribute twice"
        self.attributes |= {(tag, name) for name in given}
        if "style" in given:
            self.styles.add(given["style"] or "")
        if tag == "meta":
            self.metas.append(given)
        if tag == "th":
            self.heads.append(given)
        if "id" in given:
            self.ids.append(given["id"] or "")
        if "aria-labelledby" in given:
            self.labelled.append(given["aria-labelledby"] or "")
        if tag == "section":
            self._section = given.get("aria-labelledby") or ""
        if tag == "table":
            self.tables.setdefault(self._section, [])
        if tag == "tr":
            self.tables[self._section].append([])
        if tag in ("td", "th"):
            self.tables[self._section][-1].append("")
        if tag in ("h1", "h2", "h3"):
            self.headings.append((tag, ""))
        if tag not in VOID:
            self._open.append(tag)
        self._parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        assert self._open and self._open[-1] == tag, f"</{tag}> ends {self._open}"
        self._open.pop()
        self._parts.append(" ")

    def handle_data(self, data: str) -> None:
        if "title" in self._open:
            self.title += data
        if not UNREAD & set(self._open):
            self._parts.append(data)
        if {"td", "th"} & set(self._open):
            cells = self.tables[self._section][-1]
            cells[-1] = " ".join(f"{cells[-1]} {data}".split())
        for tag in ("h1", "h2", "h3"):
            if tag in self._open:
                self.headings[-1] = (tag, self.headings[-1][1] + data)

    def close(self) -> None:
        super().close()
        assert not self._open, f"{self._open} never end"


def read(text: str) -> Page:
    """Read a page; AssertionError where its tags are not in order."""
    page = Page()
    page.feed(text)
    page.close()
    return page
