# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A visit never rewrites a file that somebody has given a key of his own while the visit waited (rule 6)."""

from __future__ import annotations

import pathlib
from typing import Any, Dict

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host import visit
from ansible_collections.phased.keys.plugins.module_utils._host.problems import Unusable
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile

OLD, NEW, ALIEN = "old-key-abcdefghijklmnop", "new-key-abcdefghijklmnop", "alien-key-abcdefghijklm"


def under_way(path: pathlib.Path) -> visit._Visit:
    """A visit that has looked, and is about to write."""
    app: Dict[str, Any] = {
        "profile": profile("django"), "env_format": "systemd", "env_mode": None, "env_owner": None, "env_group": None,
        "env_file": [str(path)],
    }  # fmt: skip
    found = object.__new__(visit._Visit)
    found.app = app
    found.known = [fingerprint(OLD), fingerprint(NEW)]
    found.did = {"written": []}
    return found


def test_6_a_known_key_is_replaced(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "env"
    path.write_text(f"A=1\nSECRET_KEY={OLD}\n")
    under_way(path).write({str(path): {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": OLD}})
    assert path.read_text() == f"A=1\nSECRET_KEY={NEW}\nSECRET_KEY_FALLBACKS={OLD}\n"


@pytest.mark.parametrize("held", [f"SECRET_KEY={ALIEN}\n", f"SECRET_KEY={OLD}\nSECRET_KEY_FALLBACKS={ALIEN}\n"])
def test_6_an_unknown_key_is_named_and_left_alone(tmp_path: pathlib.Path, held: str) -> None:
    path = tmp_path / "env"
    path.write_text(held)
    with pytest.raises(Unusable, match=fingerprint(ALIEN)) as error:
        under_way(path).write({str(path): {"SECRET_KEY": NEW, "SECRET_KEY_FALLBACKS": OLD}})
    assert path.read_text() == held
    assert ALIEN not in str(error.value)
