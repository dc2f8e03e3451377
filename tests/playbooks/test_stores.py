# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring in a store that nobody knows: refused by its kind, whoever asks for it, before anything is read, sent or written."""

from __future__ import annotations

from typing import Any, Callable

import pytest
from ansible_collections.phased.keys.plugins.plugin_utils import _stores as stores
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_file import KeyringFile
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_store import Store
from light_fleet import Fleet

# Beside the main job, and long: `make slow`.
pytestmark = pytest.mark.slow

After = Callable[..., Fleet]
URL = "nowhere://ops:hunter2@keys.example.org/shop"
REFUSED = "app_keys_keyring is a URL that begins with nowhere://, and there is no store of that kind: give it a path"


@pytest.mark.parametrize("name", ["status", "prepare", "adopt", "deploy", "visit"])
def test_a_url_of_no_store_is_refused_and_no_folder_is_made_for_it(after: After, name: str) -> None:
    fleet = after("adopt", ("web1",))
    before = fleet.unchanged()
    given = ("-e", f"app_keys_keyring={URL}")
    run = getattr(fleet, name)(*given) if name in ("deploy", "visit") else fleet.run(name, *given)
    run.ended(2).says(REFUSED)
    assert "hunter2" not in run.text
    assert fleet.unchanged() == before
    assert not list(fleet.folder.rglob("nowhere:*"))


class Elsewhere(Store):
    """A store that only says where it was asked."""

    def __init__(self, place: str, loader: Any) -> None:
        self.path, self.loader = place, loader

    def _refuse(self, *_given: Any, **_more: Any) -> Any:
        raise AssertionError("a test that only asks which store it is uses none")

    exists = load = for_visits = ready = create = replace = _refuse


def test_one_entry_is_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "STORES", {stores.PATH: KeyringFile, "nowhere": Elsewhere})
    found = stores.store_for(stores.place("NoWhere://keys/shop", "/inventory"), "loader")
    assert isinstance(found, Elsewhere)
    assert (found.path, found.loader) == ("NoWhere://keys/shop", "loader")
    assert isinstance(stores.store_for("/keys/shop.yml", _Loader()), KeyringFile)
    with pytest.raises(stores.KeyringFileError, match="give it a path or a URL that begins with nowhere://"):
        stores.store_for("anywhere://keys/shop", "loader")


def test_a_store_that_lacks_an_operation_cannot_be_used() -> None:
    """What the actions ask of a keyring, each of it."""
    assert Store.__abstractmethods__ == {"__init__", "exists", "load", "for_visits", "ready", "create", "replace"}
    assert [name for name, one in stores.STORES.items() if one.__abstractmethods__] == []


class _Loader:
    _vault = type("Vault", (), {"secrets": ()})()
