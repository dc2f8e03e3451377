# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring moves to another place, and gets another vault secret, in every store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import builders
import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible_collections.phased.keys.plugins.plugin_utils import _moving as moving
from ansible_collections.phased.keys.plugins.plugin_utils import _stores as stores
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_store import (
    KeyringFileError,
    NotWrittenError,
)
from sealed import PASSWORD
from sealed import vault_loader as loader
from store_kinds import Kind

# Four kinds of store, each broken in every way: two minutes that `make test` has not.

# Four kinds of store, each broken in every way: two minutes that `make test` has not.
pytestmark = pytest.mark.slow


def test_a_keyring_moves_there_and_back_cut_off_after_every_step(
    kind: Kind, first: Dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "kept" / "shop.yml"

    def go(whence: Any, where: Any) -> None:
        steps = 0
        while True:
            # A run of its own for each step.
            for _said in moving.moved(whence(), where(), "shop"):
                steps += 1
                break
            else:
                break
            assert [usable(whence()), usable(where())].count(True) == (0 if steps == 2 else 1)
        assert steps == 3

    def in_store() -> Any:
        return kind.keyring(loader())

    def in_file() -> Any:
        return stores.store_for(str(path), loader())

    go(in_store, in_file)
    assert builders.at("prepared", ("web1", "web2"))["keys"] == in_file().load("shop")["keys"]
    with pytest.raises(KeyringFileError, match="the keyring has moved to .*kept/shop.yml: set app_keys_keyring"):
        in_store().load("shop")
    written = in_file().replace(in_file().load("shop"))
    go(in_file, in_store)
    there = in_store().load("shop")
    assert (there["revision"], there["keys"]) == (written["revision"], written["keys"])
    assert in_store().replace(there)["revision"] == written["revision"] + 1


def usable(file: Any) -> bool:
    """Whether a run takes what lies there for a keyring."""
    try:
        return bool(file.load("shop"))
    except KeyringFileError:
        return False


def test_a_keyring_gets_another_vault_secret(kind: Kind, first: Dict[str, Any], tmp_path: Path) -> None:
    both = DataLoader()
    secrets = [("default", VaultSecret(PASSWORD.encode())), ("new", VaultSecret(b"another"))]
    both.set_vault_secrets(secrets)
    path = str(tmp_path / "shop.yml")
    stores.store_for(path, loader()).create(builders.at("prepared"))
    for place in (kind.place, path):
        file = stores.store_for(place, both)
        with pytest.raises(
            NotWrittenError, match="app_keys_rekey_to is other, and no vault secret of that label was given"
        ):
            moving.rekeyed(file, "other", secrets)
        before = file.load()
        assert moving.rekeyed(file, "new", secrets) and not moving.rekeyed(file, "new", secrets)
        new = DataLoader()
        new.set_vault_secrets(secrets[1:])
        after = stores.store_for(place, new).load()
        assert {**after, "writes": 0} == {**before, "writes": 0}
        with pytest.raises(KeyringFileError, match="is opened by none of the vault secrets"):
            stores.store_for(place, loader()).load()
