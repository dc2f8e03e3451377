# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model of the rules, run: `make model` and `make model-full`.

Every profile is explored, every mutation has to be noticed, and random walks over everything together follow. What is
*not* explored, since it is known and accepted, or reported and not mended yet:

- two copies of a keyring that race while the first member is down, and one of them takes a rollout back;
- a copy that vouches for a host that joins, while the step that another operator has opened has reached no host yet;
- an env file that another tool writes between a look at the host and the step that is opened by it: evidence is up to
  five minutes old, and an accident in that time nobody can avert;
- a host that signs with another key in the very moment in which what is at rest begins to be encrypted anew;
- a worker that goes wrong for a while and is right again, of which neither file nor record tell;
- two clocks that jump the same way, the controller's and a host's;
- a host that joins with the record of another host, from an image of that one.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Dict, List, Tuple

from . import walks
from .mutants import explored
from .mutations import MUTATIONS, REDUNDANT, Mutation
from .profiles import FULL, PROFILES

REPORT = Path(__file__).resolve().parents[2] / "build/model/report.md"
# Seconds of the processor: far more than any of them takes.
LIMIT = 280.0
Caught = Tuple[Mutation, List[Dict[str, Any]]]


def noticed(mutation: Mutation) -> Caught:
    """Run the profiles of a mutation until one notices it."""
    tried = []
    for profile in mutation.profiles:
        tried.append(explored(profile, LIMIT, mutation))
        if tried[-1]["wrong"]:
            break
    return mutation, tried


def main() -> int:
    """Explore, mutate, walk; print what was seen, and write the report."""
    parser = argparse.ArgumentParser(description="explore the rules")
    parser.add_argument("--full", action="store_true", help="larger profiles, with three hosts")
    parser.add_argument("--only", help="only profiles and mutations whose names hold this text")
    given = parser.parse_args()
    began = time.monotonic()
    profiles = [one for one in [*PROFILES, *(FULL if given.full else [])] if not given.only or given.only in one.name]
    mutations = [one for one in MUTATIONS if not given.only or given.only in one.name]
    lines = [
        "# What the model saw",
        "",
        "| profile | states | transitions | seconds of a processor | |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    bad: List[str] = []
    total = [0, 0]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(lambda one: explored(one.name, LIMIT), profiles):
            verdict = found["wrong"] or ("all of it, nothing wrong" if found["complete"] else "cut off: too slow")
            total = [total[0] + found["states"], total[1] + found["transitions"]]
            row = (
                f"{found['profile']} | {found['states']} | {found['transitions']} | {found['seconds']:.1f} | {verdict}"
            )
            print(row.replace(" | ", "  "), flush=True)
            lines.append(f"| {row} |")
            if found["wrong"] or not found["complete"]:
                bad += [f"profile {found['profile']}: {verdict}", found["told"]]
        print(f"{total[0]} states and {total[1]} transitions in {len(profiles)} profiles", flush=True)
        lines += ["", f"{total[0]} states and {total[1]} transitions.", "", "# Mutations", ""]
        caught = 0
        for mutation, tried in pool.map(noticed, mutations):
            last = tried[-1]
            well = bool(last["wrong"]) and not last["broke"]
            caught += well
            if not well:
                bad.append(f"mutation not caught: {mutation.name}{': ' + last['told'] if last['broke'] else ''}")
            print(
                f"{'caught' if well else 'MISSED'}  {mutation.name}  ({last['profile']}, {last['states']} states)",
                flush=True,
            )
            lines += _mutation(mutation, last)
    lines += ["# Random walks", "", _walked(200 if given.full else 60, bad), ""] if not given.only else []
    summary = f"{caught} of {len(mutations)} mutations caught, in {time.monotonic() - began:.0f} s altogether"
    print(summary)
    lines += ["", "# Guards behind which another one stands", ""]
    lines += [f"- {guard}: {why}." for guard, why in REDUNDANT]
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text("\n".join([*lines, summary, ""]))
    print(*bad, sep="\n")
    return 1 if bad else 0


def _walked(number: int, bad: List[str]) -> str:
    """Take random walks."""
    try:
        seen = walks.walks(number)
    except AssertionError as wrong:
        bad += ["a random walk ended badly", str(wrong)]
        return "A walk ended badly."
    text = f"{seen['walks']} random walks of {seen['steps']} steps, 2 to 5 hosts: nothing wrong"
    print(text, flush=True)
    return text


def _mutation(mutation: Mutation, last: Dict[str, Any]) -> List[str]:
    """Return a mutation as it stands in the report."""
    lines = [f"## {mutation.name}", ""]
    for name, old, new in mutation.edits:
        lines += [f"`{name}`:", "", "```diff", *(f"-{line}" for line in old.splitlines())]
        lines += [*(f"+{line}" for line in new.splitlines()), "```", ""]
    return [
        *lines,
        f"Profile {last['profile']}: {last['wrong'] or 'NOT CAUGHT'}",
        "",
        "```text",
        last["told"],
        "```",
        "",
    ]


if __name__ == "__main__":
    sys.exit(main())
