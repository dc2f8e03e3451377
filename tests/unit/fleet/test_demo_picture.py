# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's picture says what its result says, in shapes and in words; and so does the one in the README."""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import picture
import pytest
from timeline import timeline

CHECKOUT = Path(__file__).resolve().parents[3]
KEPT = CHECKOUT / "docs" / "images" / "lost-requests.svg"
SVG = "{http://www.w3.org/2000/svg}"


def half(marks: list[list[Any]], lost: list[int], errors: list[int]) -> dict[str, Any]:
    requests = [100] * len(lost)
    line = {"seconds": float(len(lost)), "marks": marks, "requests": requests, "lost": lost, "errors": errors}
    return {"requests": sum(requests), "lost": sum(lost), "errors": sum(errors), "timeline": line}


PHASED = [["steady", 0], ["adopt", 2], ["rollout", 8], ["prepare", 10], ["promote", 20], ["soak", 30], ["retire", 40],
          ["retired", 45], ["done", 50]]  # fmt: skip
RESULT = {
    "hosts": 2,
    "clients": 7,
    "drain": "yes",
    "naive": half([["steady", 0], ["host 1", 2], ["host 2", 4], ["all new", 6]], [0, 0, 0, 12, 30, 0, 0, 0], [0] * 8),
    "phased": half(PHASED, [0] * 60, [0] * 60),
}


def drawn(result: dict[str, Any]) -> ET.Element:
    return ET.fromstring(picture.svg(result))


def words(root: ET.Element) -> list[str]:
    return [one.text or "" for one in root.iter(f"{SVG}text")]


def bars(root: ET.Element, colour: str) -> list[list[float]]:
    """Left, bottom, top, right of every bar of a colour, in a panel's own coordinates."""
    paths = "".join(one.get("d", "") for one in root.iter(f"{SVG}path") if one.get("class") == colour)
    return [[float(number) for number in re.findall(r"[\d.]+", path)[:4]] for path in paths.split("Z") if path]


def test_moments_are_counted_by_second_from_the_first_mark():
    moments = [(9.9, "requests"), (10.5, "requests"), (11.0, "lost"), (12.2, "errors"), (12.5, "lost")]
    assert timeline(moments, [("steady", 10.0), ("host 1", 11.25)], 12.3) == {
        "seconds": 2.3,
        "marks": [["steady", 0.0], ["host 1", 1.25]],
        "requests": [2, 0, 0],
        "lost": [0, 1, 1],
        "errors": [0, 0, 1],
    }


def test_every_second_with_a_loss_is_a_bar_of_its_height_and_no_other_is():
    found = bars(drawn(RESULT), "lost")
    assert len(found) == 2
    (_left, bottom, twelve, _right), (_l, _b, thirty, _r) = found
    assert bottom == picture.PANEL
    assert (picture.PANEL - thirty) / (picture.PANEL - twelve) == pytest.approx(30 / 12, abs=0.02)
    # The same axis of time: the naive half ends at 8 of 60 seconds.
    assert found[1][3] == pytest.approx(picture.LEFT + 5 / 60 * (picture.WIDTH - picture.LEFT - picture.RIGHT), abs=1.5)


def test_both_numbers_are_said_and_the_phases_named():
    said = words(drawn(RESULT))
    assert "42 of 800 requests lost, 0 connection errors" in said
    assert "0 of 6,000 requests lost, 0 connection errors" in said
    assert [one for one in said if one in picture.PHASES] == ["adopt", "prepare", "promote", "soak", "retire"]
    assert any("7 clients" in one and "drained before" in one for one in said)


def test_a_line_at_nothing_is_drawn_only_where_nothing_was_lost():
    def lines(result: dict[str, Any]) -> int:
        return sum(one.get("class") == "zero" for one in drawn(result).iter(f"{SVG}line"))

    assert lines(RESULT) == 1
    for series in ("lost", "errors"):
        bad = copy.deepcopy(RESULT)
        bad["phased"]["timeline"][series][59] = bad["phased"][series] = 1
        assert lines(bad) == 0


def test_the_very_last_loss_of_a_part_of_a_second_is_drawn_too():
    bad = copy.deepcopy(RESULT)
    bad["phased"]["timeline"]["lost"][59] = bad["phased"]["lost"] = 1
    bad["phased"]["timeline"]["seconds"] = 59.02
    left, bottom, top, right = bars(drawn(bad), "lost")[2]
    assert right > left and bottom > top
    assert "1 of 6,000 requests lost, 0 connection errors" in words(drawn(bad))


def test_errors_are_drawn_upon_the_losses_and_explained_only_where_there_are_some():
    assert not [one for one in words(drawn(RESULT)) if "per second" in one and "connection" in one]
    bad = copy.deepcopy(RESULT)
    bad["drain"] = "no"
    bad["naive"]["timeline"]["errors"][4] = bad["naive"]["errors"] = 1
    (error,) = bars(drawn(bad), "error")
    assert error[1] == bars(drawn(bad), "lost")[1][2]
    said = words(drawn(bad))
    assert "connection errors per second" in said
    assert "42 of 800 requests lost, 1 connection error" in said
    assert any("no host drained" in one for one in said)


@pytest.mark.parametrize(
    ("lost", "errors", "colour"), [(0, 0, "none"), (0, 5, "error"), (1, 0, "lost"), (1, 5, "lost")]
)
def test_only_what_cost_nothing_is_called_so_in_its_colour(lost, errors, colour):
    phased = {**RESULT["phased"], "lost": lost, "errors": errors}
    ends = [one for one in drawn({**RESULT, "phased": phased}).iter(f"{SVG}text") if "6,000" in (one.text or "")]
    assert [one.get("class") for one in ends] == [colour]


def test_one_half_alone_is_a_picture_too():
    alone = {name: value for name, value in RESULT.items() if name != "naive"}
    assert not [one for one in words(drawn(alone)) if "By hand" in one]


def test_nothing_lies_outside():
    root = drawn(RESULT)
    height = float(root.get("height", "0"))
    assert root.get("viewBox") == f"0 0 {picture.WIDTH} {height:.0f}"
    for one in root.iter(f"{SVG}text"):
        wide = len(one.text or "") * float(one.get("font-size", "0")) * 0.56
        left = float(one.get("x", "0")) - {"start": 0, "middle": wide / 2, "end": wide}[one.get("text-anchor", "start")]
        assert left >= 0 and left + wide <= picture.WIDTH, one.text


def of_a_page(root: ET.Element) -> dict[str, str]:
    return {name: (root.find(f"{SVG}{name}").text or "") for name in ("title", "desc", "style")}  # type: ignore[union-attr]


@pytest.mark.parametrize("which", ["drawn", "kept"])
def test_it_can_be_read_by_everybody(which):
    text = picture.svg(RESULT) if which == "drawn" else KEPT.read_text()
    root = ET.fromstring(text)
    said = of_a_page(root)
    assert root.get("role") == "img"
    ids = {one.get("id") for one in root.iter()}
    assert set((root.get("aria-labelledby") or "").split()) == {"title", "desc"} <= ids
    assert "logged out" in said["title"] and "requests lost" in said["desc"]
    assert "prefers-color-scheme: dark" in said["style"]
    # A ground of its own, and nothing from elsewhere: no font, no picture, no script.
    (ground,) = [one for one in root.iter(f"{SVG}rect") if "ground" in (one.get("class") or "").split()]
    assert float(ground.get("width", "0")) >= picture.WIDTH - 1
    assert not re.search(r"url\(|@import|@font-face|href|<script|<image", text)
    # Each class has a colour.
    used = {name for one in root.iter() for name in (one.get("class") or "").split()}
    assert used <= {name for name, *_rest in picture.COLOURS}


def test_readme_says_the_numbers_of_its_picture():
    readme = (CHECKOUT / "README.md").read_text()
    top = " ".join(readme.split("\n## ")[0].split())
    assert "(docs/images/lost-requests.svg)" in top
    said = of_a_page(ET.fromstring(KEPT.read_text()))
    outcomes = re.findall(r"[\d,]+ of [\d,]+ requests", said["desc"])
    assert len(outcomes) == 2 and outcomes[1].startswith("0 of ")
    for one in [*outcomes, *re.findall(r"\d+ clients", said["desc"]), *re.findall(r"\d+ hosts", said["title"])]:
        assert one in top
