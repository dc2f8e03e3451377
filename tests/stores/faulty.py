# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A store on the way to which things go wrong."""

from __future__ import annotations

import contextlib
from typing import Any, List, Optional

from ansible_collections.phased.keys.plugins.plugin_utils._remote_store import (
    Other,
    Remote,
    RemoteKeyring,
    Text,
    Unclear,
)
from sealed import vault_loader as loader
from store_kinds import Kind

# Four kinds of store, each broken in every way: two minutes that `make test` has not.


class Faulty(Remote):
    """A store on the way to which things go wrong: `plan` says what happens to the first write, the second and so on; then all is well.

    no request    it never arrives
    no answer     it is carried out, and nobody is told
    late          it is carried out just before the next try is
    last          it is carried out just after the next try was
    A callable is called, and nothing arrives.
    """

    def __init__(self, real: Remote, *plan: Any) -> None:
        self.real, self.plan, self.tries = real, list(plan), 0
        self.largest = real.largest
        self.waiting: List[Any] = []

    def read(self) -> Optional[Text]:
        return self.real.read()

    def write(self, text: bytes, version: Optional[str]) -> str:
        self.tries += 1
        what = self.plan.pop(0) if self.plan else "well"
        self.arrive("late")
        try:
            if callable(what):
                what()
            elif what == "no answer":
                self.quietly(text, version)
            elif what in ("late", "last"):
                self.waiting.append((what, text, version))
            elif what != "no request":
                return self.real.write(text, version)
        finally:
            self.arrive("last", but=what)
        raise Unclear("timed out")

    def arrive(self, when: str, but: Any = None) -> None:
        """Carry out what is under way."""
        if but == when:
            return
        due = [one for one in self.waiting if one[0] == when]
        self.waiting = [one for one in self.waiting if one[0] != when]
        for _when, text, version in due:
            self.quietly(text, version)

    def quietly(self, text: bytes, version: Optional[str]) -> None:
        """Carry out a request of which nobody hears."""
        with contextlib.suppress(Other):
            self.real.write(text, version)


def faulty(kind: Kind, *plan: Any) -> RemoteKeyring:
    """Return the keyring with such a store."""
    file = kind.keyring(loader())
    file.remote = Faulty(file.remote, *plan)
    return file
