# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as a page: whole, in order, small, and made by its template alone, whatever hosts say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Dict

import page_read
import pages
import pytest
import tarball_check
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.plugin_utils import _report
from builders import SECRETS

CASES: Dict[str, Callable[[], Any]] = {
    "in a soak": pages.in_a_soak,
    "at rest": pages.at_rest,
    "being promoted": lambda: pages.promoting(3, 1),
    "a hundred": lambda: pages.promoting(100, 26),
    "refused": lambda: pages.refused(100),
    "refused, of two thousand": lambda: pages.refused(2000),
    "in trouble": lambda: pages.unproven(200),
    "looked at by nobody": pages.unseen,
    "without a keyring": pages.without_a_keyring,
}
# All that the template makes.
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer", "h1", "h2", "h3", "p"),
    *("dl", "div", "dt", "dd", "ol", "ul", "li", "span", "strong", "br", "code", "pre", "time", "progress"),
    *("table", "thead", "tbody", "tr", "th", "td", "details", "summary"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "id", "class", "style", "scope", "datetime", "max", "value"),
    *("role", "tabindex", "colspan", "aria-hidden", "aria-label", "aria-labelledby", "aria-current"),
}
PLACE = re.compile(r"left:\d+(\.\d+)?%(;width:\d+(\.\d+)?%)?")
LEVELS = {"h1": 1, "h2": 2, "h3": 3}
# What a host, an inventory, a person or Ansible may say.
EVIL = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>\"'></td></table></style></title>{{ 7*7 }}{% raw %}&lt;b&gt;"
    "<!-- --><![CDATA[ javascript:alert(1) \u202egnp.exe\u2066\u200b\x00\x1b[2J\x07\ud800\x85\u2028"
)
HUGE = "<" * 2000 + EVIL


def page(case: str) -> str:
    return _report.page(CASES[case]())


@pytest.mark.parametrize("case", CASES)
def test_a_page_is_in_order_and_can_be_read_aloud(case: str) -> None:
    text = page(case)
    found = page_read.read(text)
    assert text.startswith(_report.BEGINS) and found.declared == ["DOCTYPE html"]
    assert '<html lang="en">' in text
    assert {"charset": "utf-8"} in found.metas
    policy = {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    assert policy in found.metas
    # One title, and no level of headings is left out on the way down.
    levels = [LEVELS[tag] for tag, _text in found.headings]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in zip(levels, levels[1:]))
    assert all(text.strip() for _tag, text in found.headings)
    assert len(found.ids) == len(set(found.ids)) and set(found.labelled) <= set(found.ids)
    assert all(head.get("scope") in ("col", "row") for head in found.heads)
    for rows in found.tables.values():
        # Who shares a row is told below it, over the whole width.
        assert len({len(cells) for cells in rows if not cells[0].startswith("who these ")}) == 1


@pytest.mark.parametrize("case", CASES)
def test_a_page_needs_nothing_from_elsewhere_and_says_nothing_by_colour_alone(case: str) -> None:
    text = page(case)
    found = page_read.read(text)
    assert found.tags <= TAGS and {name for _tag, name in found.attributes} <= ATTRIBUTES
    assert all(PLACE.fullmatch(style) for style in found.styles)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|javascript:", text)
    # Beside every mark there are words.
    for row in [row for row in found.tables.get("fleet", [])[1:] if len(row) > 1]:
        assert re.fullmatch(r"\S [a-z].*", row[1]) and all(re.fullmatch(r"\S [a-z0-9].*", cell) for cell in row[2:-1])


def test_the_page_says_who_signs_and_who_accepts_what() -> None:
    found = page_read.read(page("in a soak"))
    head, *rows = found.tables["fleet"]
    new, old = pages.key(3), pages.key(2)
    assert head == ["Host", "Standing", f"{new} primary", f"{old} retiring", "Workers"]
    assert rows == [
        [
            "web-2",
            "\u2715 not proven",
            "\u25d0 3 of 4 sign; file: signs",
            "\u25d0 1 of 4 sign; file: accepts",
            "4 workers",
        ],
        ["web-1", "\u2713 proven", "\u25cf signs", "\u25cb accepts", "4 workers"],
        ["web-3", "\u2713 proven", "\u25cf signs", "\u25cb accepts", "4 workers"],
    ]
    assert "pid 2961, started 2023-12-14 22:13:20 UTC, signs with" in found.text
    assert "What to do: restart shop.service" in found.text
    assert "soak now 2024-03-13 22:28:20 to 2024-03-27 22:28:20 8d 22h of 14d to go 36 %" in found.text
    assert "retire is due in 8d 22h, at 2024-03-27 22:28:20 UTC: run phased.keys.rollout again then" in found.text


def test_no_secret_of_a_keyring_is_on_a_page() -> None:
    text = page("in a soak") + page("refused")
    assert pages.key(3) in text and fingerprint(SECRETS[3]) == pages.key(3)
    assert not [secret for secret in SECRETS if secret in text or secret[8:-8] in text]


@pytest.mark.parametrize("evil", [EVIL, HUGE], ids=["hostile", "huge"])
def test_hostile_texts_change_nothing_but_what_is_read(evil: str) -> None:
    good, bad = (page_read.read(_report.page(pages.told(text))) for text in ("words", evil))
    assert (bad.tags, bad.attributes, bad.headings[0]) == (good.tags, good.attributes, good.headings[0])
    assert bad.styles == good.styles and bad.ids == good.ids and len(bad.metas) == len(good.metas)
    shape = {section: [len(cells) for cells in rows] for section, rows in good.tables.items()}
    assert {section: [len(cells) for cells in rows] for section, rows in bad.tables.items()} == shape
    assert bad.text.isprintable()
    # It is on the page all the same: as it is, but for what would act.
    if evil is EVIL:
        assert "<script>alert(1)</script>" in bad.text and "\ufffdgnp.exe\ufffd\ufffd\ufffd\ufffd[2J" in bad.text
        assert "{{ 7*7 }}" in bad.text and "&lt;b&gt;" in bad.text
    _report.page(pages.told(evil)).encode("utf-8")


@pytest.mark.parametrize(
    ("make", "kilobytes", "rows"),
    [
        (lambda: pages.at_rest(3), 32, 4),
        (lambda: pages.promoting(100, 26), 48, 5),
        (lambda: pages.refused(2000), 72, 9),
        (lambda: pages.at_rest(2000), 64, 3),
        (lambda: pages.unproven(2000), 256, 70),
        (lambda: pages.lying(2000), 1024, 160),
    ],
    ids=["3", "100", "2000 with a few in trouble", "2000 at rest", "2000 in trouble", "2000 that lie"],
)
def test_a_page_is_small_whatever_the_fleet(make: Callable[[], Any], kilobytes: int, rows: int) -> None:
    text = _report.page(make())
    assert len(text.encode()) <= kilobytes * 1024
    assert len(page_read.read(text).tables["fleet"]) <= rows


def test_of_two_thousand_those_in_trouble_come_first_and_the_others_share_a_row() -> None:
    rows = page_read.read(page("refused, of two thousand")).tables["fleet"][1:]
    assert [row[0] for row in rows[:5]] == ["web-0002", "web-0009", "web-0004", "web-0012", "web-0006"]
    assert rows[-2] == ["1994 hosts", "\u2713 proven", "\u25cb accepts", "\u25cf signs", "4 to 8 workers"]
    assert rows[-1][0].startswith("who these 1994 hosts are web-0001, web-0003, ") and rows[-1][0].endswith(
        ", web-2000"
    )


def test_the_template_is_packed_with_the_collection() -> None:
    for name in ("report.html.j2", "report.css.j2"):
        path = Path(_report.FOLDER) / name
        assert path.is_file() and path.suffix in tarball_check.SUFFIXES


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_enough(scheme: str) -> None:
    css = (Path(_report.FOLDER) / "report.css.j2").read_text()
    light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", light))
    if scheme == "dark":
        colours.update(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", dark.split("* { box-sizing")[0]))
    pairs = [
        (text, ground)
        for text in ("ink", "quiet", "good", "going", "wait", "bad")
        for ground in ("page", "paper", "soft")
    ]
    pairs += [(name, f"{name}-bg") for name in ("good", "going", "wait", "bad")]
    pairs += [(text, ground) for text in ("ink", "quiet") for ground in ("good-bg", "going-bg", "wait-bg", "bad-bg")]
    pairs += [("page", "going")]
    low = {pair: contrast(colours[pair[0]], colours[pair[1]]) for pair in pairs}
    # WCAG 2.1, 1.4.3: 4.5 to 1 for text of this size.
    assert not {pair: ratio for pair, ratio in low.items() if ratio < 4.5}


def contrast(one: str, other: str) -> float:
    """The ratio that WCAG 2.1 defines."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
