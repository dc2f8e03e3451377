# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What everything that serves was given, again and again: whether each accepts what each other one signs, at any moment."""

from __future__ import annotations

import threading
from typing import Callable, List, Mapping, NamedTuple, Optional, Set


class Serving(NamedTuple):
    """Something that serves: where, and what it was given."""

    where: str
    signs: Optional[str]
    accepts: Set[str]


def serving(where: str, env: Mapping[str, Optional[str]]) -> Serving:
    """Read Django's settings as the application would."""
    signs = env.get("SECRET_KEY")
    others = {key for key in (env.get("SECRET_KEY_FALLBACKS") or "").split(",") if key}
    return Serving(where, signs, others | ({signs} if signs else set()))


def refusals(seen: List[Serving]) -> List[str]:
    """Say who signs what somebody else does not accept, both serving at one moment."""
    return [
        f"{one.where} signs what {other.where} refuses"
        for one in seen
        for other in seen
        if one.signs is not None and one.signs not in other.accepts
    ]


class Watch:
    """Samples in the background, from when it is entered until it is left."""

    def __init__(self, look: Callable[[], List[Serving]], every: float = 0.05) -> None:
        self.look, self.every = look, every
        self.samples = 0
        self.violations: List[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self.every):
            self.samples += 1
            self.violations += refusals(self.look())
