# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what the kept run measured into docs/benchmarks.md, between its marks, and the plot beside the run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import figures
import plot

DOCS = Path(__file__).resolve().parents[2] / "docs"
FOLDER = DOCS / "benchmarks"
PAGE = DOCS / "benchmarks.md"
EXPECTED = (10, 100, 1000)


def write() -> None:
    """Write page and plot from the kept run."""
    result = json.loads((FOLDER / "full.json").read_text())
    # In the order of the plan what must not be missed came first.
    result["shapes"].sort(key=lambda shape: (shape["hosts"], shape["connection"], shape["forks"]))
    (FOLDER / "wall.svg").write_text(plot.svg(result["shapes"], "Three phases on all hosts: wall time, logarithmic"))
    PAGE.write_text(filled(PAGE.read_text(), parts(result)))


def parts(result: Mapping[str, Any]) -> dict[str, str]:
    """Return the measured parts of the page."""
    return {
        "machine": machine(result),
        "times": times(result["shapes"]),
        "ratios": ratios(result["shapes"]),
        "expect": expect(result["shapes"]),
        "settle": settle(result["settle"]),
        "spread": spread(result["spread"]),
    }


def filled(text: str, made: Mapping[str, str]) -> str:
    """Return the page with each measured part between its marks; a part without marks is an error."""
    for name, part in made.items():
        marks = re.compile(rf"(<!-- bench: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = marks.subn(lambda match, part=part: f"{match[1]}\n{part}\n\n{match[2]}", text)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"the page has {found} places for {name!r}")
    return text


def machine(result: Mapping[str, Any]) -> str:
    """Return a sentence about the machine and the run."""
    its, versions = result["machine"], result["versions"]
    left_out = [f"{named(text)} ({shape['name']})" for shape in result["shapes"] for text in shape["left_out"]]
    text = (
        f"Measured on {result['date']} in {result['seconds'] / 60:.0f} minutes on {its['cores']} cores ({its['cpu']}), "
        f"{its['memory_gib']} GiB, Linux {its['kernel']}, with ansible-core {versions['ansible-core']} and Python {versions['python']}."
    )
    if result["ssh_left_out"]:
        text += f" Without ssh: {result['ssh_left_out']}."
    if left_out:
        text += f" There was no time for {', '.join(left_out)}."
    return text


def named(text: str) -> str:
    """Return what was left out ("run 2 of a", "every run of a, c") with the names that the page has for it."""
    run, _of, variants = text.rpartition(" of ")
    return f"{run} of {', '.join(plot.NAMES.get(variant, variant) for variant in variants.split(', '))}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def times(shapes: Sequence[Mapping[str, Any]]) -> str:
    """Return the medians of every variant and shape."""
    rows = []
    for shape in shapes:
        for variant, middle in shape["medians"].items():
            rows.append(
                [
                    shape["name"],
                    plot.NAMES[variant],
                    str(len(shape["runs"][variant])),
                    f"{middle['wall']:.1f} s",
                    f"{middle['controller']:.1f} s",
                    f"{middle['hosts']:.1f} s",
                    f"{middle['memory']:.0f} MiB",
                    str(shape["runs"][variant][0]["contacts"]),
                ]  # fmt: skip
            )
    head = [
        "",
        "",
        "runs",
        "wall time",
        "processor, controller",
        "processor, hosts",
        "peak memory",
        "contacts with hosts",
    ]
    return table(head, rows)


def ratios(shapes: Sequence[Mapping[str, Any]]) -> str:
    """Return what the rollout takes in relation to the others, and its cost for each host and phase."""

    def cell(shape: Mapping[str, Any], under: str, measure: str) -> str:
        value = shape["ratios"].get(f"a/{under} {measure}")
        return "not run" if value is None else f"{value:.2f}"

    rows = []
    for shape in shapes:
        if "a" not in shape["medians"]:
            continue
        cost = figures.per_host_and_phase(shape["medians"]["a"]["controller"], shape["hosts"])
        cells = [cell(shape, under, measure) for under in ("b", "c", "c_raw") for measure in ("wall", "controller")]
        rows.append([shape["name"], *cells, f"{cost * 1000:.0f} ms"])
    head = ["rollout in relation to"]
    for name in ("by hand", "empty module calls", "empty commands"):
        head += [f"{name}, wall", f"{name}, controller"]
    return table([*head, "controller's processor for each host and phase"], rows)


def expect(shapes: Sequence[Mapping[str, Any]]) -> str:
    """Return what 10, 100 and 1,000 hosts take over ssh with 50 forks: measured, or on the line through what was measured."""
    chosen = [s for s in shapes if s["connection"] == "ssh" and s["forks"] == 50 and "a" in s["medians"]]
    if not chosen:
        return "Nothing was measured over ssh."
    measured = {shape["hosts"]: shape["medians"]["a"] for shape in chosen}
    wall = figures.line([(hosts, middle["wall"]) for hosts, middle in measured.items()])
    controller = figures.line([(hosts, middle["controller"]) for hosts, middle in measured.items()])
    rows = []
    for hosts in EXPECTED:
        if hosts in measured:
            seconds, cpu, how = measured[hosts]["wall"], measured[hosts]["controller"], "measured"
        else:
            seconds, cpu = wall[0] + wall[1] * hosts, controller[0] + controller[1] * hosts
            how = "between measured ones" if min(measured) < hosts < max(measured) else "extrapolated"
        rows.append([f"{hosts:,}", duration(cpu), duration(seconds), how])
    fitted = (
        f"The line: {wall[0]:.1f} s and {wall[1] * 1000:.0f} ms for each host in wall time, {controller[0]:.1f} s and "
        f"{controller[1] * 1000:.0f} ms for each host of the controller's processor, through {', '.join(map(str, measured))} hosts."
    )
    head = ["hosts", "controller's processor", "wall time, hosts on the controller's cores", ""]
    return table(head, rows) + "\n\n" + fitted


def settle(found: Mapping[str, Any]) -> str:
    """Return a sentence about the pause between two looks."""
    more = found["with_default"] - found["without"]
    return (
        f"A rollout of {found['hosts']} hosts took {found['without']:.1f} s without it and {found['with_default']:.1f} s with the default: "
        f"{more:.1f} s more."
    )


def spread(found: Mapping[str, Any]) -> str:
    """Return for how long hosts signed with different keys."""
    rows = []
    for one in found["serials"]:
        sizes = ", ".join(map(str, one["batches"]))
        rows.append([f"`{json.dumps(one['serial'])}`", sizes, f"{one['seconds']:.1f} s"])
    head = ["`app_keys_serial`", "batches", "hosts sign with different keys for"]
    said = f"{found['hosts']} hosts whose restart takes {found['restart']:.0f} s, {found['forks']} forks, connection local:"
    return said + "\n\n" + table(head, rows)


def duration(seconds: float) -> str:
    """Return a duration as a person says it."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
