# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stores that a keyring may be in, by the scheme of the URL that `app_keys_keyring` holds; a path has none (CONTRIBUTING.md says how to add one)."""

from __future__ import annotations

import importlib
import os
import re
from typing import Any, Callable, Dict

from ._keyring_file import KeyringFile
from ._keyring_store import KeyringFileError, Store

PATH = ""


# The file and the class of each: nothing of it is imported before it is used.
REMOTE = {
    "etcd": ("_store_etcd", "Etcd"),
    "git+file": ("_store_git", "Git"),
    "git+https": ("_store_git", "Git"),
    "git+ssh": ("_store_git", "Git"),
    "kubernetes": ("_store_kubernetes", "Kubernetes"),
    "s3": ("_store_s3", "S3"),
    "vault": ("_store_vault", "Vault"),
}


def _remote(place: str, loader: Any) -> Store:
    """Return the keyring in a remote store."""
    module, name = REMOTE[scheme(place)]
    common, own = (importlib.import_module(f"{__package__}.{one}") for one in ("_remote_store", module))
    made: Store = common.RemoteKeyring(place, loader, getattr(own, name))
    return made


STORES: Dict[str, Callable[[str, Any], Store]] = {PATH: KeyringFile, **dict.fromkeys(REMOTE, _remote)}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")  # RFC 3986


def scheme(given: str) -> str:
    """Return the scheme of a URL; PATH for a path."""
    found = _SCHEME.match(given)
    return found[1].lower() if found else PATH


def place(given: str, folder: str) -> str:
    """Return a URL as it is, and a path as an absolute one that begins at `folder`."""
    return os.path.abspath(os.path.join(folder, os.path.expanduser(given))) if scheme(given) == PATH else given


def store_for(given: str, loader: Any) -> Store:
    """Return the keyring in this place, with the vault secrets of `loader`; KeyringFileError where no store has its scheme."""
    found = scheme(given)
    if found not in STORES:
        # The URL itself is not shown: there may be a password in it.
        known = " or ".join(
            ["a path", *(f"a URL that begins with {name}://" for name in sorted(STORES) if name != PATH)]
        )
        raise KeyringFileError(
            f"app_keys_keyring is a URL that begins with {found}://, and there is no store of that kind: give it {known}. Nothing was changed"
        )
    return STORES[found](given, loader)
