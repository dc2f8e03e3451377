# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a keyring would be lost: refused where that is certain, warned of where it is likely."""

from __future__ import annotations

from typing import Dict, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._rules import thrown_away

DISK = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw"
LAYER = "600 500 0:50 / / rw,relatime - overlay overlay rw,lowerdir=/a"
MEMORY = "23 22 0:20 / /tmp rw shared:2 - tmpfs tmpfs rw"
VOLUME = "601 600 8:1 /v /keys rw - ext4 /dev/sda1 rw"
SPACES = "602 600 0:40 / /mnt/a\\040b rw master:1 - nfs4 host:/ rw"
HIDDEN = "603 600 0:41 / /tmp rw - ext4 /dev/sdb rw"


@pytest.mark.parametrize(
    "path, awx, environment, mounts, said, certain",
    [
        ("/srv/.keyrings/shop.yml", False, {}, [DISK, MEMORY], None, False),
        ("/runner/project/.keyrings/shop.yml", True, {}, [LAYER], "of this AWX job", True),
        ("/runner/inventory/.keyrings/shop.yml", False, {}, [LAYER], "gives to one job", False),
        ("/runners/shop.yml", True, {}, [DISK], None, False),
        ("/keys/shop.yml", True, {}, [LAYER, VOLUME], None, False),
        ("/keysshop.yml", True, {}, [LAYER, VOLUME], "container's own layer", False),
        ("/srv/shop.yml", False, {}, [LAYER, VOLUME], "container's own layer", False),
        ("/tmp/shop.yml", False, {}, [DISK, MEMORY], "in memory (tmpfs at /tmp)", False),
        ("/tmp/shop.yml", False, {}, [DISK, MEMORY, HIDDEN], None, False),
        ("/mnt/a b/shop.yml", False, {}, [LAYER, SPACES], None, False),
        ("/builds/ops/.keyrings/shop.yml", False, {"CI_PROJECT_DIR": "/builds/ops"}, [DISK], "of GitLab (CI_PROJECT_DIR)", False),
        ("/builds/ops2/shop.yml", False, {"CI_PROJECT_DIR": "/builds/ops"}, [DISK], None, False),
        ("/builds/ops2/shop.yml", False, {"CI_PROJECT_DIR": "", "WORKSPACE": "ops"}, [DISK], None, False),
        ("/home/runner/w/a/a/shop.yml", False, {"GITHUB_WORKSPACE": "/home/runner/w/a/a/"}, [DISK], "GitHub Actions", False),
        ("/srv/shop.yml", False, {}, ["", "nonsense", "1 2 3"], None, False),
    ],
)  # fmt: skip
def test_where_a_keyring_would_be_lost(
    path: str, awx: bool, environment: Dict[str, str], mounts: list, said: Optional[str], certain: bool
) -> None:
    found = thrown_away.concern(path, awx, environment, thrown_away.mounts("\n".join(mounts)))
    if said is None:
        assert found is None
    else:
        assert said in found.text and path in found.text and "app_keys_keyring_kept=true" in found.text
        assert found.certain == certain
