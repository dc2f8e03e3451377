# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plot of a kept run: bars on a logarithmic scale, as an SVG that a person can read too. Plain functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

COLOURS = {"a": "#0b6e4f", "b": "#b23a48", "c": "#7a8b99", "c_raw": "#b8c4cc", "d": "#e0a030"}
NAMES = {
    "a": "phased.keys.rollout",
    "b": "by hand",
    "c": "as many empty module calls",
    "c_raw": "as many empty commands",
    "d": "one ping",
}
WIDTH, LEFT, RIGHT = 900, 190, 70
BAR, GAP, TOP = 13, 14, 70


def svg(shapes: Sequence[Mapping[str, Any]], title: str) -> str:
    """Return the plot of the medians in wall time."""
    longest = max(one["wall"] for shape in shapes for one in shape["medians"].values())
    decades = math.ceil(math.log10(longest))
    lines: list[str] = []
    y = TOP
    for shape in shapes:
        bars = [variant for variant in COLOURS if variant in shape["medians"]]
        lines.append(text(LEFT - 10, y + BAR * len(bars) / 2 + 4, shape["name"], "end"))
        for variant in bars:
            seconds = shape["medians"][variant]["wall"]
            end = place(seconds, decades)
            lines.append(
                f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR - 2}" fill="{COLOURS[variant]}">'
                f"<title>{escape(NAMES[variant])}: {seconds:.1f} s</title></rect>"
            )
            lines.append(text(end + 4, y + BAR - 4, f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"))
            y += BAR
        y += GAP
    height = y + 20
    grid = []
    for decade in range(decades + 1):
        x = place(10**decade, decades)
        grid.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{y}" stroke="#d5dadd"/>')
        grid.append(text(x, y + 14, f"{10**decade} s", "middle"))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="10" y="22" font-size="15">{escape(title)}</text>',
            *legend(),
            *grid,
            *lines,
            "</svg>\n",
        ]
    )


def place(seconds: float, decades: int) -> float:
    """Return where a time ends on the scale, which begins at a tenth of a second."""
    part = (math.log10(max(seconds, 0.1)) + 1) / (decades + 1)
    return LEFT + part * (WIDTH - LEFT - RIGHT)


def legend() -> list[str]:
    """Return a coloured square and a name for each variant."""
    found = []
    x = 10.0
    for variant, name in NAMES.items():
        found.append(f'<rect x="{x}" y="34" width="10" height="10" fill="{COLOURS[variant]}"/>')
        found.append(text(x + 14, 43, name))
        x += 40 + 6.2 * len(name)
    return found


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Return a text at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222">{escape(words)}</text>'
