# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fleet of thousands costs the controller: `make bench-scale`, and the small form with SMALL=1.

The time of the gate, of the visits and of the keyring has to grow in line with the hosts, and a whole rollout may take little more memory than a
playbook that does nothing. Hosts are simulated; see `simulated/simulated.py`. Times are of the processor, for others use the machine too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence

from ansible.plugins.loader import init_plugin_loader

# Before anything of a collection is imported.
init_plugin_loader()

import figures  # noqa: E402
import scale_gate  # noqa: E402
import scale_memory  # noqa: E402

CHECKOUT = Path(__file__).resolve().parents[2]
SIZES = (100, 316, 1000, 3162, 10000)
SMALL_SIZES = (100, 316, 1000, 3162)
# Others use the machine too, and a line through two sizes is soon steep.
ROUNDS = 2
# What takes milliseconds is doubled by a short spell of others' work: of two rounds the exponents were 0.90 to 1.22, of twelve 0.95 to 1.04.
SHORT_ROUNDS = 12
# Fleets below this show what every call costs, and not how it grows.
LARGE = 300
GROWTH = 1.1
MEMORY = 1.3
MEMORY_SIZES = (1000, 5000)
SMALL_MEMORY_SIZES = (60,)


def least(
    measure: Callable[[Path, int], Dict[str, float]], folder: Path, sizes: Sequence[int], rounds: int = ROUNDS
) -> Dict[int, Dict[str, float]]:
    """Return the shortest of several times for each part and size; in rounds, so that what slows the machine slows all sizes."""
    found: Dict[int, Dict[str, float]] = {}
    for number in range(rounds):
        for size in sizes:
            row = measure(folder / f"{number}-{size}", size)
            found[size] = {part: min(took, found.get(size, row)[part]) for part, took in row.items()}
    return found


def grown(name: str, rows: Mapping[int, Mapping[str, float]]) -> Dict[str, Any]:
    """Return times by size with the exponent of their sum, and print them."""
    print(f"\n{name}: seconds of the processor")
    for size, row in rows.items():
        print(f"  {size:>6} hosts  {sum(row.values()):8.3f}  ", *(f"{part} {took:.3f}" for part, took in row.items()))
    found = figures.exponent({size: sum(row.values()) for size, row in rows.items() if size >= LARGE})
    print(f"  grows with the hosts to the power of {found:.3f}; {GROWTH} is the limit")
    times = {str(size): {part: round(took, 4) for part, took in row.items()} for size, row in rows.items()}
    return {"seconds": times, "exponent": round(found, 3)}


def memory(folder: Path, sizes: Sequence[int]) -> List[Dict[str, Any]]:
    """Return the peak memory of rollouts against that of a playbook that does nothing, and print it."""
    rows = []
    for size in sizes:
        row = scale_memory.compared(folder / f"memory{size}", size)
        rows.append(row)
        print(f"\nmemory of {size} hosts, in MB")
        for kind in ("main", "tree"):
            noop, rollout = row["noop"][f"{kind}_mb"], row["rollout"][f"{kind}_mb"]
            print(
                f"  {kind}: {rollout} against {noop} that a no-op takes, {row['ratios'][f'{kind}_mb']} times; {MEMORY} is the limit"
            )
        print(f"  seconds: {row['rollout']['seconds']} against {row['noop']['seconds']}", flush=True)
    return rows


def main() -> int:
    """Measure, print, write the results, and say what is over its limit."""
    parser = argparse.ArgumentParser(description="measure how the controller's work grows with the fleet")
    parser.add_argument("--small", action="store_true", help="up to 3,162 hosts, in less than two minutes")
    parser.add_argument("--no-memory", action="store_true", help="leave the whole rollouts out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale") as name:
        folder = Path(name)
        sizes = SMALL_SIZES if given.small else SIZES
        gates = least(scale_gate.cycle, folder / "gate", sizes)
        found: Dict[str, Any] = {"gate": grown("the gate, one step", gates)}
        visits = least(scale_gate.visits, folder / "visits", sizes)
        found["visits"] = grown("the controller's part of all visits of one step", visits)
        keyrings = least(scale_gate.keyring, folder / "keyring", sizes, SHORT_ROUNDS)
        for part in ("load", "replace"):
            found[f"keyring {part}"] = grown(
                f"the keyring, {part}", {size: {part: keyrings[size][part]} for size in sizes}
            )
        memory_sizes = SMALL_MEMORY_SIZES if given.small else MEMORY_SIZES
        found["memory"] = [] if given.no_memory else memory(folder, memory_sizes)
    report = CHECKOUT / "build" / "bench" / "scale.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(found, indent=1) + "\n")
    over = [
        f"{part}: exponent {one['exponent']}"
        for part, one in found.items()
        if part != "memory" and one["exponent"] >= GROWTH
    ]
    for row in found["memory"]:
        over += [f"{row['hosts']} hosts: {kind} {ratio}" for kind, ratio in row["ratios"].items() if ratio > MEMORY]
    print(f"\n{report}", *(f"over the limit: {one}" for one in over), sep="\n")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
