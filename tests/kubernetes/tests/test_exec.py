# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pod_exec` over the real stream of a real cluster: what the processes of pods have, and an entrypoint that gives them something else."""

from __future__ import annotations

import json

from real_cluster import Namespace, until
from rolled_shop import Shop

EXPORTS = "export SECRET_KEY=another-key-of-the-entrypoint-0123456789; exec python3 -m gunicorn --bind 0.0.0.0:8000 --no-control-socket shop.wsgi"


def test_an_entrypoint_that_exports_another_key_is_found_in_its_processes(namespace: Namespace, tmp_path) -> None:
    fleet = Shop(namespace, tmp_path / "fleet", exec_too=True, replicas=1)
    fleet.vars["app_keys_proof"] = "pod_exec"
    try:
        fleet.adopted()
        fleet.done("prepare", "app_keys_new=true")
        command = {"op": "add", "path": "/spec/template/spec/containers/0/command", "value": ["sh", "-c", EXPORTS]}
        namespace.kubectl("patch", "deployment/web", "--type=json", f"--patch={json.dumps([command])}")
        until(namespace.settled, 120, namespace.told)
        refused = fleet.run("promote", KUBECONFIG="/nowhere").ended(-1)
        refused.lists("web", "has another SECRET_KEY than its spec gives it")
    finally:
        fleet.end()
