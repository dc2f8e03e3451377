# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of what takes long a run of `.ci/run` takes: everything has its turn, chosen by the commit.

share.py of COMMIT NUMBER           prints the share of a commit, such as 3/4
share.py pick SHARE NAME...         prints those of the names that are in the share
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Share(NamedTuple):
    """Part `which` (from 1) of `number` parts."""

    which: int
    number: int

    def __str__(self) -> str:
        return f"{self.which}/{self.number}"

    def turned(self, by: int) -> Share:
        """The part that is `by` further, for a list whose longer parts are not to fall together with those of another."""
        return Share((self.which - 1 + by) % self.number + 1, self.number)


def parsed(text: str) -> Share:
    """Return the share that a text such as `3/4` names; ValueError where it names none."""
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", text)
    share = Share(int(found[1]), int(found[2])) if found else Share(0, 0)
    if not 1 <= share.which <= share.number:
        raise ValueError(f"a share is a part and a number of parts, such as 3/4, and not {text!r}")
    return share


def of_commit(commit: str, number: int) -> Share:
    """Return the share of a commit (hex digits): as good as drawn by lot, and the same whenever it is asked for."""
    return Share(int(commit[:12], 16) % number + 1, number)


def picked(items: Sequence[T], share: Share) -> list[T]:
    """Return a share of a list. Every item is in at least one share, and no share of a list with something in it is empty."""
    if len(items) < share.number:
        return [items[(share.which - 1) % len(items)]] if items else []
    return list(items[share.which - 1 :: share.number])


def main(arguments: Sequence[str]) -> int:
    if len(arguments) == 3 and arguments[0] == "of":
        print(of_commit(arguments[1], int(arguments[2])))
    elif len(arguments) > 2 and arguments[0] == "pick":
        print(*picked(arguments[2:], parsed(arguments[1])))
    else:
        print(__doc__)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
