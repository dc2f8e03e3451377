# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's picture: lost requests per second, naive above phased, on the same axes, as an SVG. Plain functions.

It is readable on light and on dark pages, and without colours: it has a ground of its own, and says in words what it
shows. Fonts are those of the reader.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 960, 58, 24
TOP, PANEL, HEAD, GAP = (
    92,
    120,
    34,
    22,
)  # the first panel's top; a panel's height, the room for its heading, and below it
ABOVE = 1.25  # above the highest bar there is room for the names of the bands
LETTER = 6.4  # the width of a letter of the small texts, generously

# What a phase does, in few words; a phase's place in the row is its colour.
PHASES = {
    "adopt": "nothing changes",
    "prepare": "all learn the new key",
    "promote": "all sign with it",
    "soak": "the old expires",
    "retire": "the old is dropped",
}
WHY = [  # beside the bars of the rotation by hand, whose bands are its hosts
    "1, 2, 3 ...: the hosts, restarted with the new key one after the other.",
    "Until the last one has it, they refuse what the others have signed.",
]
TITLES = {"naive": "By hand, host by host", "phased": "phased.keys"}

# Class, property, light, dark.
COLOURS = [
    ("ground", "fill", "#ffffff", "#0d1117"),
    ("frame", "stroke", "#d0d7de", "#30363d"),
    ("ink", "fill", "#1f2328", "#f0f6fc"),
    ("dim", "fill", "#59636e", "#9198a1"),
    ("grid", "stroke", "#d8dee4", "#2a313a"),
    ("lost", "fill", "#cf222e", "#f85149"),
    ("error", "fill", "#9a6700", "#d29922"),
    ("none", "fill", "#1a7f37", "#3fb950"),
    ("zero", "stroke", "#1a7f37", "#3fb950"),
    ("band0", "fill", "#f3f5f7", "#151b23"),
    ("band1", "fill", "#ddf1ff", "#0f2740"),
    ("band2", "fill", "#efe6ff", "#261d42"),
    ("band3", "fill", "#fff3cc", "#2e2611"),
    ("band4", "fill", "#d9f5df", "#12291b"),
]


class Band(NamedTuple):
    """A stretch of time with a name, in seconds."""

    name: str
    words: str
    colour: str
    first: float
    last: float


class Scale(NamedTuple):
    """Both axes, the same for every panel."""

    seconds: float
    most: float

    def x(self, second: float) -> float:
        return LEFT + second / self.seconds * (WIDTH - LEFT - RIGHT)

    def y(self, count: float) -> float:
        """Below the upper edge of a panel."""
        return PANEL - count / self.most * PANEL


def svg(result: Mapping[str, Any]) -> str:
    """Return the picture of a result of the demo: one panel for each half that is in it."""
    halves = [name for name in TITLES if name in result]
    lines = [result[name]["timeline"] for name in halves]
    scale = Scale(
        max(line["seconds"] for line in lines),
        round_up(
            ABOVE * max(lost + more for line in lines for lost, more in zip(line["lost"], line["errors"], strict=True))
        ),
    )
    has_errors = any(any(line["errors"]) for line in lines)
    height = TOP + len(halves) * (HEAD + PANEL + GAP) + 34
    parts = []
    for number, name in enumerate(halves):
        top = TOP + HEAD + number * (HEAD + PANEL + GAP)
        parts.append(f'<g transform="translate(0 {top})">{panel(name, result[name], scale)}</g>')
    bottom = height - 34 - GAP
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'role="img" aria-labelledby="title desc" font-family="system-ui, -apple-system, \'Segoe UI\', sans-serif" '
            'font-size="12">',
            f'<title id="title">{escape(title(result))}</title>',
            f'<desc id="desc">{escape(description(result))}</desc>',
            f"<style>{style()}</style>",
            f'<rect class="ground frame" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>',
            text(LEFT - 34, 34, title(result), "ink", size=20, weight=600),
            text(LEFT - 34, 57, setting(result), "dim", size=13),
            *legend(has_errors),
            *parts,
            *seconds_axis(scale, bottom),
            "</svg>\n",
        ]
    )


def title(result: Mapping[str, Any]) -> str:
    return f"A signing key is rolled over {result['hosts']} hosts in use: who is logged out?"


def setting(result: Mapping[str, Any]) -> str:
    """What both halves have in common."""
    drained = "every host drained before its restart" if result["drain"] == "yes" else "no host drained"
    return f"Same fleet, same load: {result['clients']} clients, whose requests go to the hosts in turn; {drained}."


def description(result: Mapping[str, Any]) -> str:
    """The picture in words."""
    halves = [
        f"{TITLES[name]}: {outcome(result[name])}, {errors(result[name])}, in {result[name]['timeline']['seconds']:.0f} seconds."
        for name in TITLES
        if name in result
    ]
    return " ".join(["Lost requests per second, one panel above the other on the same axes.", setting(result), *halves])


def outcome(half: Mapping[str, Any]) -> str:
    return f"{half['lost']:,} of {half['requests']:,} requests lost"


def errors(half: Mapping[str, Any]) -> str:
    return f"{half['errors']:,} connection error{'' if half['errors'] == 1 else 's'}"


def panel(name: str, half: Mapping[str, Any], scale: Scale) -> str:
    """Return one panel, whose upper edge is at 0."""
    line = half["timeline"]
    parts = [shade(band, scale) for band in bands(name, line)]
    for count in (0, scale.most / 2, scale.most):
        y = scale.y(count)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(text(LEFT - 8, y + 4, f"{count:g}", "dim", "end"))
    nothing = [0] * len(line["lost"])
    parts.append(bars("lost", line["lost"], nothing, line["seconds"], scale))
    if any(line["errors"]):
        parts.append(bars("error", line["errors"], line["lost"], line["seconds"], scale))
    if not any(line["lost"]) and not any(line["errors"]):
        ends = f'x1="{scale.x(0):.1f}" y1="{PANEL}" x2="{scale.x(line["seconds"]):.1f}" y2="{PANEL}"'
        parts.append(f'<line class="zero" {ends} stroke-width="4"/>')
    if name == "naive" and scale.x(line["seconds"]) + len(WHY[0]) * LETTER < WIDTH - RIGHT:
        parts += [text(scale.x(line["seconds"]) + 14, 26 + 18 * row, words, "dim") for row, words in enumerate(WHY)]
    colour = "lost" if half["lost"] else "error" if half["errors"] else "none"
    parts.append(text(LEFT, -11, TITLES[name], "ink", size=16, weight=600))
    parts.append(text(WIDTH - RIGHT, -11, f"{outcome(half)}, {errors(half)}", colour, "end", size=16, weight=600))
    return "\n".join(part for part in parts if part)


def shade(band: Band, scale: Scale) -> str:
    """Return a band, with as many of its words as find room in it."""
    left, right = scale.x(band.first), scale.x(band.last)
    middle, room = (left + right) / 2, (right - left) / LETTER
    found = [f'<rect class="{band.colour}" x="{left:.1f}" y="0" width="{right - left:.1f}" height="{PANEL}"/>']
    if len(band.name) <= room:
        found.append(text(middle, 16, band.name, "ink", "middle", weight=600))
    if band.words and len(band.words) <= room:
        found.append(text(middle, 31, band.words, "dim", "middle", size=11))
    return "\n".join(found)


def bands(name: str, line: Mapping[str, Any]) -> list[Band]:
    """Return what is shaded: the phases of ours, the hosts of a rotation by hand."""
    ends = [moment for _name, moment in line["marks"][1:]] + [line["seconds"]]
    found: list[Band] = []
    for (mark, first), last in zip(line["marks"], ends, strict=True):
        mark = "retire" if mark == "retired" else mark  # the last host of retire is on its way
        if found and found[-1].name == mark:
            found[-1] = found[-1]._replace(last=last)
        elif name == "phased" and mark in PHASES:
            found.append(Band(mark, PHASES[mark], f"band{list(PHASES).index(mark)}", first, last))
        elif mark.startswith("host "):
            found.append(Band(mark.split()[1], "", f"band{len(found) % 2}", first, last))
    return found


def bars(colour: str, counts: Sequence[int], below: Sequence[int], seconds: float, scale: Scale) -> str:
    """Return one path with a bar for each second that has something, on top of what is below it."""
    path = []
    for second, (count, under) in enumerate(zip(counts, below, strict=True)):
        if count:
            left, right = scale.x(second), scale.x(min(second + 1, seconds))
            high, low = scale.y(under + count), scale.y(under)
            path.append(f"M{left:.1f} {low:.1f}V{high:.1f}H{max(right - 1, left + 1):.1f}V{low:.1f}Z")
    return f'<path class="{colour}" d="{"".join(path)}"/>' if path else ""


def legend(has_errors: bool) -> list[str]:
    """Say what a bar is."""
    words = [("lost", "requests per second whose session was gone or whose link was refused")]
    if has_errors:
        words.append(("error", "connection errors per second"))
    x, found = LEFT - 34.0, []
    for colour, what in words:
        found.append(f'<rect class="{colour}" x="{x:.1f}" y="70" width="11" height="11" rx="2"/>')
        found.append(text(x + 17, 80, what, "dim", size=13))
        x += 17 + len(what) * 7 + 24
    return found


def seconds_axis(scale: Scale, top: float) -> list[str]:
    """The axis of time below the last panel."""
    step = next(step for step in (5, 10, 20, 60, 120, 300, 600, 3600) if scale.seconds / step <= 12)
    found = [
        text(scale.x(second), top + 17, str(second), "dim", "middle")
        for second in range(0, int(scale.seconds) + 1, step)
    ]
    found.append(text(WIDTH / 2, top + 36, "seconds since the load began", "dim", "middle"))
    return [*found, text(WIDTH - RIGHT, top + 36, "a real run of make demo", "dim", "end")]


def round_up(count: float) -> float:
    """Return a round number that is not smaller, and at least 4: half of it is written at the axis too."""
    least = max(count, 4)
    unit = 10.0 ** math.floor(math.log10(least))
    return next(unit * times for times in (1, 2, 4, 5, 6, 8, 10) if unit * times >= least)


def style() -> str:
    """Colours for light pages and for dark ones."""

    def rules(which: int) -> str:
        return "".join(f".{name}{{{kind}:{(light, dark)[which]}}}" for name, kind, light, dark in COLOURS)

    return f"{rules(0)}@media (prefers-color-scheme: dark){{{rules(1)}}}"


def text(
    x: float, y: float, words: str, colour: str, anchor: str = "start", *, size: int = 12, weight: int = 400
) -> str:
    """Return a text at a place."""
    return (
        f'<text class="{colour}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}">{escape(words)}</text>'
    )
