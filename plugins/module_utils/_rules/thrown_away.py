# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a keyring would lie where things are thrown away: in the folder of a job, in a container's own layer, in memory."""

from __future__ import annotations

from typing import Mapping, NamedTuple, Optional, Sequence, Tuple

RUNNER = "/runner"
# Where a CI has the checkout of a job, which the next job may not find again.
WORKSPACES = {
    "CI_PROJECT_DIR": "GitLab",
    "GITHUB_WORKSPACE": "GitHub Actions",
    "RUNNER_TEMP": "GitHub Actions",
    "AGENT_BUILDDIRECTORY": "Azure Pipelines",
    "WORKSPACE": "Jenkins",
    "BUILDKITE_BUILD_CHECKOUT_PATH": "Buildkite",
    "BITBUCKET_CLONE_DIR": "Bitbucket Pipelines",
    "CIRCLE_WORKING_DIRECTORY": "CircleCI",
}
IN_MEMORY = ("tmpfs", "ramfs")
LAYERS = ("overlay", "aufs", "fuse.fuse-overlayfs")
DO = (
    "keep it where every run finds it: set app_keys_keyring to a path on a mount that stays, or to the URL of a git repository, S3, a Kubernetes Secret, "
    "Vault or etcd (docs/stores.md). If that folder stays all the same, say so with app_keys_keyring_kept=true"
)


class Mount(NamedTuple):
    """A mounted file system: where, and of which kind."""

    at: str
    kind: str


class Concern(NamedTuple):
    """That the keyring would be lost, as far as can be seen; `certain` where nothing else can be."""

    text: str
    certain: bool


def concern(path: str, awx: bool, environment: Mapping[str, str], mounts: Sequence[Mount]) -> Optional[Concern]:
    """Return what is to be feared of a keyring at this path, which leads through no link; None for nothing.

    `awx`: this is a job of AWX or Automation Controller, by its variables.
    """
    where, certain = _where(path, awx, environment, mounts)
    if where is None:
        return None
    return Concern(f"the keyring would be {path}, {where}, and every later step needs it -> {DO}", certain)


def _where(path: str, awx: bool, environment: Mapping[str, str], mounts: Sequence[Mount]) -> Tuple[Optional[str], bool]:
    if _below(path, RUNNER):
        if awx:
            return "in the folder of this AWX job, which is thrown away at its end", True
        return "in the folder that a runner gives to one job", False
    for name, whose in WORKSPACES.items():
        folder = environment.get(name, "").rstrip("/")
        if folder.startswith("/") and _below(path, folder):
            return f"in the workspace of this job of {whose} ({name}), which another job may not find again", False
    mount = max((one for one in mounts if _below(path, one.at)), key=lambda one: len(one.at), default=None)
    if mount and mount.kind in IN_MEMORY:
        return f"in memory ({mount.kind} at {mount.at}), which is gone with the next start of this machine", False
    if mount and mount.kind in LAYERS:
        return "in this container's own layer, which is thrown away with the container", False
    return None, False


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def mounts(text: str) -> Sequence[Mount]:
    """Return what /proc/self/mountinfo says; of several mounts at one place the last one counts, which hides the others. (proc(5))"""
    found = {}
    for line in text.splitlines():
        fields = line.split(" ")
        if "-" in fields[6:]:
            at = fields[4].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
            found[at] = Mount(at, fields[fields.index("-", 6) + 1])
    return list(found.values())
