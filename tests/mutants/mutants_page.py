# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages that a run writes: the scores, and the survivors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from judge import BOUNDS, MOST_EQUIVALENT, NO_TESTS, Mutant, Row

HEAD = """\
<!--
SPDX-FileCopyrightText: The phased.keys contributors
SPDX-License-Identifier: GPL-3.0-or-later
-->

# Mutants

Written by `make mutants {how}` at commit {commit}. [mutmut](https://mutmut.readthedocs.io/) changes the code in one place (a mutant),
the fast tests that reach the changed function run, and at least one has to fail. What survives is something that no fast test would notice.

- Mutated are all functions of `plugins/module_utils`, `plugins/plugin_utils` and `plugins/action`, by mutmut's operators (comparisons, `and` and `or`,
  numbers, words, arguments left out or `None`, assignments and more) and by those of `tests/mutants/operators.py` (a call, a refusal or a `with` dropped,
  a condition negated, one of two conditions dropped, `min` for `max`, `any` for `all`, a filter left out). Not mutated: sentences, code outside of
  functions, functions with a decorator.
- The fast tests are those of `tests/unit/rules`, of `tests/unit/host` and {some} files more; they run in {seconds:.0f} s. What only whole playbooks run
  has no fast test, and is counted as not caught: most of `plugins/action` and `plugins/plugin_utils`.
- "ended" are mutants whose tests ran far too long, or died. They count as caught.
- "equivalent" are mutants that do the same as the code, each listed with its reason in `tests/mutants/equivalent.yml`: {equivalent} of {all}, and at
  most {most:g} % may be.
- Tested were {tested} of {all} mutants{sampled}.
- At least {bounds} have to be caught; a run below that fails.

| where | mutants | tested | failed | ended | survived | no fast test | equivalent | caught |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""


def page(
    rows: Sequence[Row],
    *,
    commit: str,
    how: str,
    seed: str | None,
    minutes: float,
    equivalent: int,
    tests: int,
    seconds: float,
) -> str:
    """Return docs/mutants.md. `seed` and `minutes` are those of a sample, `seed` None where all were tested; `tests` are the further files of tests."""
    folders = [row for row in rows if not row.where.endswith(".py")]
    bounds = " and ".join(f"{bound:g} % in `{where}`" for where, bound in BOUNDS.items())
    text = HEAD.format(
        how=how, commit=commit, some=tests, seconds=seconds, equivalent=equivalent, most=MOST_EQUIVALENT, bounds=bounds,
        all=sum(row.mutants for row in folders), tested=sum(row.tested for row in folders),
        sampled=f": a sample of each file, by the seed `{seed}`, as far as it came in {minutes:g} minutes" if seed else "",
    )  # fmt: skip
    for row in rows:
        name = f"`{row.where}`" if row.where.endswith(".py") else f"**{row.where}**"
        numbers = " | ".join(str(number) for number in row[1:])
        text += f"| {name} | {numbers} | {row.score:.1f} % |\n"
    return text


def told(survivors: Sequence[Mutant], codes: Mapping[str, int]) -> str:
    """Return the list of survivors, file by file."""
    lines = []
    for file in dict.fromkeys(mutant.file for mutant in survivors):
        ones = [mutant for mutant in survivors if mutant.file == file]
        lines.append(f"######## {file}: {len(ones)}\n")
        for mutant in ones:
            reached = "no fast test reaches it" if codes[mutant.name] in NO_TESTS else "survived"
            number = f", number {mutant.nth}" if mutant.nth > 1 else ""
            lines.append(f"{mutant.function}: {reached}{number}\n")
            lines += [f"  - {line}\n" for line in mutant.was.splitlines()]
            lines += [f"  + {line}\n" for line in mutant.becomes.splitlines()]
    return "".join(lines)
