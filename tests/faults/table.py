# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all faults, as docs/faults.md has it: written from what a run of the suite has seen, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEAD = """\
<!--
SPDX-FileCopyrightText: The phased.keys contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->

# Faults

Written by `make faults TABLE=docs/faults.md`. One fleet of three real hosts (Debian, systemd, sshd, a Django application with two workers) is
broken again and again, while clients with signed sessions and links hop between its hosts. What one fault leaves behind is what the next one begins with.

After each fault every host has the same keys in its env file and in all of its processes, its record says `proven`, the keyring has lost no key, and no
visit has left a file. Ten times a second every worker is held against every other: the key that one signs with has to be accepted by the other. A
connection may fail only while its host does not serve.

What it does not show: a real loss of power (the kernel's cache of the disk survives a killed process 1), a host whose own clock is wrong in the kernel
(the module's Python is told another time, files and processes keep the right one), and hosts behind a network of their own.

"Runs" is how many more runs it took until the step was closed, after what is in the column before.

| fault | phase | promised | happened | runs | tried | proof that it struck |
| --- | --- | --- | --- | --- | --- | --- |
"""


def table(results: Sequence[Mapping[str, Any]], left_out: Sequence[tuple[str, str]], share: str = "1/1") -> str:
    """Return the page. `left_out` are faults that did not pass or did not strike, with the reason; `share` is what was run."""
    names = list(dict.fromkeys(result["fault"] for result in results))
    rows = []
    for name in names:
        ours = [result for result in results if result["fault"] == name]
        cells = [
            name, ", ".join(result["phase"] for result in ours), ours[0]["promised"], _joined(ours, "happened"),
            _numbers([result["runs"] for result in ours]), str(sum(result["tries"] for result in ours)),
            "; ".join(dict.fromkeys(proof for result in ours for proof in result["proof"])),
        ]  # fmt: skip
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n")
    part = "" if share == "1/1" else f"\nThis run took share {share} of the cases.\n"
    return HEAD + "".join(rows) + part + _totals(results, left_out)


def _totals(results: Sequence[Mapping[str, Any]], left_out: Sequence[tuple[str, str]]) -> str:
    requests, errors = (sum(result[name] for result in results) for name in ("requests", "errors"))
    lines = [
        "\n## Totals\n\n",
        f"- faults: {len({result['fault'] for result in results})}, struck {sum(result['tries'] for result in results)} times "
        f"in {len(results)} cases\n",
        f"- sessions and links lost: **{sum(result['lost'] for result in results)}** in {requests} requests\n",
        f"- keys lost: **{sum(result['keys_lost'] for result in results)}**\n",
        f"- hosts left between two states: **{sum(result['between'] for result in results)}**\n",
        f"- connections that failed while their host did not serve: {errors}; while it served: **0**\n",
    ]
    if left_out:
        lines.append("\n## Did not pass in this run, and is in none of these numbers\n\n")
        lines += [f"- {name}: {reason}\n" for name, reason in left_out]
    return "".join(lines)


def _joined(results: Sequence[Mapping[str, Any]], name: str) -> str:
    return "; ".join(dict.fromkeys(str(result[name]) for result in results))


def _numbers(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"
