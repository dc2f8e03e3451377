# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The URL of a keyring in a store, taken apart. No secret stands in one: it would be in the inventory, in logs and in lists of processes."""

from __future__ import annotations

import re
from typing import List, NamedTuple, Optional

from .._host.rules.errors import PhasedKeysError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(/.*)?\Z", re.DOTALL)  # RFC 3986
_PART = re.compile(r"[A-Za-z0-9._@+=-]+\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


class StoreUrlError(PhasedKeysError):
    """A URL that cannot be used. The text does not show it, for there may be a secret in it."""


class Url(NamedTuple):
    """A URL: its scheme, a user without a password, hosts with their ports as they stand there, and the parts of its path."""

    scheme: str
    user: Optional[str]
    hosts: List[str]
    path: str

    @property
    def parts(self) -> List[str]:
        """The parts of the path between its slashes."""
        return [part for part in self.path.split("/") if part]


def read(url: str) -> Url:
    """Take a URL apart; StoreUrlError for one with a secret in it, or with what no store reads."""
    found = _URL.match(url)
    if not found:
        raise StoreUrlError("app_keys_keyring is no URL that can be read")
    scheme, authority, path = found[1].lower(), found[2], found[3] or ""
    user, at, hosts = authority.rpartition("@")
    if ":" in user or (at and "%3a" in user.lower()):
        raise StoreUrlError(
            f"app_keys_keyring is a {scheme}:// URL with a password or a token in it, which would be shown in logs and lists of processes: take it "
            "out (and change it, if others could read it), and give it as that store's own tools take it (docs/stores.md)"
        )
    if "?" in url or "#" in url:
        raise StoreUrlError(
            f"app_keys_keyring is a {scheme}:// URL with a ? or a # in it, and nothing is read from there: take it out, and what belongs to the "
            "store itself give as that store's own tools take it (docs/stores.md)"
        )
    if at and not _USER.match(user):
        raise StoreUrlError(f"app_keys_keyring is a {scheme}:// URL whose user cannot be used")
    several = hosts.split(",") if hosts else []
    if not all(map(_HOST.match, several)):
        raise StoreUrlError(
            f"app_keys_keyring is a {scheme}:// URL whose host cannot be used: it is a name or an address, with a port where it is not the usual one"
        )
    usable = all(
        _PART.match(part) and part not in (".", "..") and not part.startswith("-") for part in path.split("/") if part
    )
    if not usable:
        raise StoreUrlError(
            f"app_keys_keyring is a {scheme}:// URL whose path has a part that cannot be used: parts are made of letters, digits and ._@+=-, and none "
            "begins with - or is . or .."
        )
    return Url(scheme, user or None, several, path)
