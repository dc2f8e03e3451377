# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report in a real browser: wide and narrow, light and dark, of 3, 100 and 2,000 hosts, and printed. `make browser` runs this.

A script that the page itself would never run measures a copy of it. What there is to see lies in build/browser.
"""

from __future__ import annotations

import html
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Callable, Dict

import page_read
import pages
import pytest
from ansible_collections.phased.keys.plugins.plugin_utils import _report
from chromium import Browser

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / "build" / "browser"
POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
CASES: Dict[str, Callable[[], Any]] = {
    "soak-3": pages.in_a_soak,
    "promote-100": lambda: pages.promoting(100, 26),
    "refused-2000": lambda: pages.refused(2000),
    "trouble-2000": lambda: pages.unproven(2000),
    "hostile": lambda: pages.told("<script>document.title='evil'</script><b>x</b>" + "W" * 200),
}
OPENS = 5.0  # seconds until the largest page is laid out, on a machine that does much else
# What the eye sees of every text: its colour on the next ground below it that is not transparent, and whether it is cut off.
MEASURE = """
<script>
const rgb = text => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
const ground = node => {
  for (; node; node = node.parentElement) {
    const colour = rgb(getComputedStyle(node).backgroundColor);
    if (colour.length < 4 || colour[3] > 0.99) return colour;
  }
  return [255, 255, 255];
};
const found = {low: [], cut: [], wide: document.documentElement.scrollWidth, window: innerWidth};
for (const node of document.querySelectorAll("main *")) {
  const own = [...node.childNodes].filter(one => one.nodeType === 3 && one.data.trim()).map(one => one.data.trim()).join(" ");
  if (!own || !node.getClientRects().length) continue;
  const style = getComputedStyle(node);
  const [one, other] = [light(rgb(style.color)), light(ground(node))].sort((a, b) => b - a);
  const ratio = (one + 0.05) / (other + 0.05);
  if (ratio < 4.5) found.low.push([node.className, own.slice(0, 40), ratio]);
  if (style.overflowX !== "visible" && style.overflowX !== "auto" && node.className !== "off" && node.scrollWidth > node.clientWidth + 1)
    found.cut.push([node.className, own.slice(0, 40)]);
}
found.page = getComputedStyle(document.documentElement).backgroundColor;
found.fetched = performance.getEntriesByType("resource").length;
found.seconds = performance.now() / 1000;
const told = top.document.createElement("pre");
told.id = "measured";
told.textContent = JSON.stringify(found);
top.document.body.append(told);
</script>
"""
# No window of a headless browser is narrower than 500 pixels, and a frame is as narrow as one likes.
FRAME = (
    '<!DOCTYPE html><meta charset="utf-8"><meta name="color-scheme" content="light dark"><style>body{{margin:0}}</style>'
    '<iframe style="border:0;width:{width}px;height:2400px" srcdoc="{page}"></iframe>'
)


@lru_cache(maxsize=None)
def text(case: str) -> str:
    return _report.page(CASES[case]())


@pytest.fixture(scope="session")
def browser() -> Browser:
    BUILD.mkdir(parents=True, exist_ok=True)
    return Browser(BUILD)


def written(case: str, page: str, suffix: str = "") -> Path:
    path = BUILD / f"{case}{suffix}.html"
    path.write_text(page)
    return path


def framed(page: str, width: int) -> str:
    """A page in a frame of this width."""
    return FRAME.format(width=width, page=html.escape(page))


def measured(browser: Browser, case: str, **window: Any) -> Any:
    """What the script finds out about a page in such a window."""
    page = text(case)
    assert page.count(POLICY) == 1 and page.count("</body>") == 1
    copy = page.replace(POLICY, "").replace("</body>", f"{MEASURE}</body>")
    copy = written(case, framed(copy, window["width"]), "-measured")
    dom = browser.run(copy, "--dump-dom", **window)
    copy.unlink()
    (found,) = re.findall(r'<pre id="measured">(.*)</pre>', dom)
    return json.loads(html.unescape(found))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 760, 400])
@pytest.mark.parametrize("case", CASES)
def test_a_page_fits_its_window_and_can_be_read(browser: Browser, case: str, width: int, dark: bool) -> None:
    found = measured(browser, case, width=width, dark=dark)
    assert found["window"] == width and found["wide"] <= width
    assert found["low"] == [] and found["cut"] == []
    assert found["fetched"] == 0 and found["seconds"] < OPENS
    assert found["page"] == ("rgb(19, 21, 24)" if dark else "rgb(247, 247, 245)")
    scheme = "dark" if dark else "light"
    page = written(case, framed(text(case), width), "-framed")
    picture = browser.picture(page, BUILD / f"{case}-{width}-{scheme}.png", width=width, height=2400, dark=dark)
    page.unlink()
    assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 20_000


@pytest.mark.parametrize("case", ["soak-3", "refused-2000", "hostile"])
def test_the_browser_reads_what_was_written(browser: Browser, case: str) -> None:
    ours = page_read.read(text(case))
    dom = browser.run(written(case, text(case)), "--dump-dom")
    theirs = page_read.read(dom)
    assert (theirs.text, theirs.tables, theirs.title) == (ours.text, ours.tables, ours.title)
    assert theirs.tags == ours.tags and theirs.attributes == ours.attributes


def test_no_script_and_nothing_from_elsewhere_would_run_on_a_page(browser: Browser) -> None:
    evil = "<script>document.title = 'evil'</script><img src='data:image/png,x' onerror=\"document.title = 'evil'\">"
    page = text("soak-3").replace("</body>", f"{evil}</body>")
    assert "<title>shop: This needs attention" in browser.run(written("evil", page), "--dump-dom")
    # Without the page's own policy it would: so the browser does run scripts.
    assert "<title>evil" in browser.run(written("evil", page.replace(POLICY, "")), "--dump-dom")
    (BUILD / "evil.html").unlink()


@pytest.mark.parametrize(("case", "most"), [("soak-3", 3), ("refused-2000", 9)])
def test_a_page_can_be_printed(browser: Browser, case: str, most: int) -> None:
    pdf = browser.printed(written(case, text(case)), BUILD / f"{case}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= most
