# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A keyring in a store that nobody knows: refused by its kind, whoever asks for it, before anything is read, sent or written."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from typing import Any, Callable

import pytest
from ansible_collections.phased.keys.plugins.plugin_utils import _stores as stores
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_file import KeyringFile
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_store import Store
from ansible_collections.phased.keys.plugins.plugin_utils._remote_store import Remote, RemoteKeyring
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

    exists = load = for_visits = ready = create = replace = seen = swap = _refuse


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
    assert Store.__abstractmethods__ == {
        "__init__",
        "exists",
        "load",
        "for_visits",
        "ready",
        "create",
        "replace",
        "seen",
        "swap",
    }
    assert KeyringFile.__abstractmethods__ == RemoteKeyring.__abstractmethods__ == frozenset()
    assert Remote.__abstractmethods__ == {"__init__", "read", "write"}
    for module, name in stores.REMOTE.values():
        own = getattr(importlib.import_module(f"{stores.__package__}.{module}"), name)
        assert issubclass(own, Remote) and own.__abstractmethods__ == frozenset()


def test_a_keyring_in_a_file_needs_nothing_of_other_stores() -> None:
    """Whoever keeps it there imports none of them."""
    code = f"import sys, {stores.__name__}; print([name for name in sys.modules if '_store_' in name or '_remote_store' in name or name == 'boto3'])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


class _Loader:
    _vault = type("Vault", (), {"secrets": ()})()


def test_a_keyring_in_the_folder_of_a_job_is_not_begun(new_fleet: After) -> None:
    fleet = new_fleet(("web1",))
    fleet.restart()
    before = fleet.unchanged()
    job = ("-e", "awx_job_id=7", "-e", "app_keys_keyring=/runner/project/.keyrings/phased-keys-test.yml")
    fleet.run("adopt", *job).ended(2).says(
        "in the folder of this AWX job, which is thrown away at its end", "app_keys_keyring_kept=true"
    )
    assert fleet.unchanged() == before
    workspace = {"CI_PROJECT_DIR": str(fleet.folder)}
    fleet.run("adopt", "--check", **workspace).ended(0).says("in the workspace of this job of GitLab")
    said = fleet.run("adopt", "--check", "-e", "app_keys_keyring_kept=true", **workspace).ended(0).text
    assert "workspace of this job" not in said
