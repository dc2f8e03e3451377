# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One exploration, whose result is written as JSON: `python -m ...tests.model.probe PROFILE SECONDS DEAD_ENDS`."""

from __future__ import annotations

import json
import sys

from .explore import explore, path_told
from .profiles import by_name, start


def main() -> None:
    """Explore one profile."""
    name, seconds, dead_ends = sys.argv[1:4]
    first = start(by_name(name))
    found = explore(first, float(seconds), bool(int(dead_ends)))
    text = path_told(first, found.trace, found.wrong) if found.wrong else ""
    print(json.dumps({"profile": name, **found._asdict(), "told": text}))


if __name__ == "__main__":
    main()
