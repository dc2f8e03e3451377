# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of ansible-playbook ended with, and how a test asks for it."""

from __future__ import annotations

import re
import time
from typing import Any, Callable, Dict, List, NamedTuple, Tuple


class Run(NamedTuple):
    """What a run of ansible-playbook ended with, and all that it printed."""

    code: int
    text: str

    def recap(self, what: str) -> Dict[str, int]:
        """A number of the recap, such as `changed`, by host."""
        lines = self.text.partition("PLAY RECAP")[2].splitlines()[1:]
        found = [(line.split()[0], re.search(rf"\b{what}=(\d+)", line)) for line in lines if " ok=" in line]
        return {host: int(number[1]) for host, number in found if number}

    def ended(self, code: int) -> Run:
        """See that it ended with this code, and asked nothing of Ansible that will be gone; -1 stands for any but 0."""
        assert self.code == code or (code < 0 and self.code > 0), f"ended with {self.code}\n{self.text}"
        assert "[DEPRECATION WARNING]" not in self.text, self.text
        return self

    def says(self, *parts: str) -> Run:
        """See that one line holds all these parts, in this order."""
        assert re.search(".*".join(re.escape(part) for part in parts), self.text), f"nothing says {parts}\n{self.text}"
        return self

    def lists(self, host: str, *parts: str) -> Run:
        """See that a refusal's table lists all these parts for a host, in this order, however the lines are wrapped."""
        rows = re.search(rf"^  {host} .*(\n   .*)*", self.text, re.MULTILINE)
        assert rows, f"{host} is not listed\n{self.text}"
        assert re.search(".*".join(re.escape(part) for part in parts), unwrapped(rows[0])), (
            f"{host} is listed otherwise\n{rows[0]}"
        )
        return self


def unwrapped(rows: str) -> str:
    """Return the rows of a refusal's table as one line: of each finding what was seen, and what to do."""
    lines = rows.splitlines()
    arrow = lines[0].index(" -> ") if " -> " in lines[0] else len(lines[0])
    findings: List[Tuple[List[str], List[str]]] = []
    for line in lines:
        if line[arrow : arrow + 4] == " -> " or not findings:
            findings.append(([], []))
        findings[-1][0].append(line[:arrow].strip())
        findings[-1][1].append(line[arrow + 4 :].strip())
    return " ".join(f"{' '.join(seen)} -> {' '.join(todo)}" for seen, todo in findings)


def until(so: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until something is so, and return it."""
    end = time.monotonic() + seconds
    while not (found := so()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
    return found
