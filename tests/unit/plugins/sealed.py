# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keyring's file as an action opens it, and one in the middle of a rollout."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import builders
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret
from ansible_collections.phased.keys.plugins.plugin_utils._keyring_file import KeyringFile

PASSWORD = "open sesame"


def vault_loader(password: str = PASSWORD) -> DataLoader:
    """Return a loader with one vault secret."""
    loader = DataLoader()
    loader.set_vault_secrets([("default", VaultSecret(password.encode()))])
    return loader


def opened(path: Path) -> KeyringFile:
    """Return the keyring's file at `path`, with the one vault secret that opens it."""
    return KeyringFile(str(path), vault_loader())


class Sealed:
    """A keyring of two hosts that were just promoted."""

    def __init__(self, folder: Path) -> None:
        self.keyring_path = folder / ".keyrings" / "shop.yml"
        self.keyring_file().create(builders.at("promoted", ("web1", "web2")))

    def keyring_file(self) -> KeyringFile:
        """The keyring's file, as an action opens it."""
        return opened(self.keyring_path)

    def keyring(self) -> Dict[str, Any]:
        """Return the keyring, opened."""
        return self.keyring_file().load()
