# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Process 1 of the cluster's namespaces: it prepares them, starts all programs of a cluster with one node, and reaps.

    python inside.py RUN DEBIAN BIN CGROUP IMAGE...

All that it writes is below RUN. Whoever ends it ends everything, by the kernel.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from configuration import CNI, CONTAINERD, KUBELET, NODE, PORTS, node_settings, options, users

# The kubelet sets these of the machine: it gets files to write to.
SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
           "kernel/keys/root_maxbytes")  # fmt: skip
PATIENCE = 120.0


class Node:
    """The one machine of the cluster."""

    def __init__(self, run: Path, debian: Path, built: Path, cgroup: str, images: list[Path]) -> None:
        self.run, self.debian, self.built, self.cgroup, self.images = run, debian, built, cgroup, images
        sbin = (debian / "usr" / name for name in ("bin", "sbin"))
        os.environ["PATH"] = ":".join([str(built), *map(str, sbin), os.environ["PATH"], "/usr/sbin", "/sbin"])
        os.environ["TMPDIR"] = str(run / "tmp")
        # Without it the kubelet asks a cloud's metadata address for registry credentials.
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

    def start(self) -> None:
        """Start everything, in the order in which one needs the other."""
        self.prepare()
        self.write()
        for name in ("etcd", "kube-apiserver", "containerd"):
            self.program(name)
        self.until("ctr", "--address", str(self.run / "containerd.sock"), "version")
        for image in self.images:
            subprocess.run(
                ["ctr", "--address", str(self.run / "containerd.sock"), "-n", "k8s.io", "images", "import", str(image)],
                check=True,
            )
        self.until("kubectl", "--kubeconfig", str(self.run / "admin.conf"), "get", "--raw", "/readyz")
        for name in ("kube-controller-manager", "kube-scheduler", "kubelet"):
            self.program(name)

    def prepare(self) -> None:
        """Keep what the kubelet, containerd and CNI write to fixed places off the machine."""
        call("mount", "--make-rshared", "/")  # within this namespace: volumes of pods reach containerd
        call("ip", "link", "set", "lo", "up")
        for name in ("tmp", "certs", "cni", "sysctls"):
            (self.run / name).mkdir()
        for name in ("var", "run"):
            upper, work = self.run / "over" / name, self.run / "over" / f"{name}-work"
            upper.mkdir(parents=True)
            work.mkdir()
            call(
                "mount",
                "-t",
                "overlay",
                "overlay",
                "-o",
                f"lowerdir=/{name},upperdir={upper},workdir={work}",
                f"/{name}",
            )
        for name in SYSCTLS:
            mine = self.run / "sysctls" / name.replace("/", ".")
            mine.write_text(Path("/proc/sys", name).read_text())
            call("mount", "--bind", str(mine), f"/proc/sys/{name}")

    def write(self) -> None:
        """Write who may log in, and how every program is set up."""
        os.umask(0o077)
        call("openssl", "genrsa", "-out", str(self.run / "sa.key"), "2048")
        tokens = {user: secrets.token_hex(16) for user in users()}
        rows = [f'{token},{user},{user},"{users()[user]}"\n' for user, token in tokens.items()]
        (self.run / "tokens.csv").write_text("".join(rows))
        for user, token in tokens.items():
            (self.run / f"{user.rpartition(':')[2]}.conf").write_text(json.dumps(self.kubeconfig(token)))
        os.umask(0o022)
        kinds = {"@RUN@": str(self.run), "@DEBIAN@": str(self.debian)}
        text = CONTAINERD
        for word, path in kinds.items():
            text = text.replace(word, path)
        (self.run / "containerd.toml").write_text(text)
        (self.run / "cni" / "10-pods.conflist").write_text(json.dumps(CNI).replace("@RUN@", str(self.run)))
        settings = {**KUBELET, **node_settings(self.cgroup, self.run)}
        (self.run / "kubelet.json").write_text(json.dumps(settings))

    def kubeconfig(self, token: str) -> dict[str, object]:
        """Return how the API is reached with a token."""
        cluster = {
            "server": f"https://127.0.0.1:{PORTS['api']}",
            "certificate-authority": str(self.run / "certs" / "apiserver.crt"),
        }
        return {
            "apiVersion": "v1", "kind": "Config", "current-context": "own",
            "clusters": [{"name": "own", "cluster": cluster}], "users": [{"name": "own", "user": {"token": token}}],
            "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own", "namespace": "default"}}],
        }  # fmt: skip

    def program(self, name: str) -> None:
        """Start one program, with a log of its own."""
        with (self.run / f"{name}.log").open("wb") as log:
            subprocess.Popen(
                [name, *options(name, self.run)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.run
            )

    def until(self, *command: str) -> None:
        """Wait until a command ends well."""
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(command, capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{' '.join(command[:2])} never ended well")
            time.sleep(0.2)


def call(*command: str) -> None:
    """Run a command that has to end well."""
    subprocess.run(command, check=True)


if __name__ == "__main__":
    where, debian, built, cgroup, *images = sys.argv[1:]
    Node(Path(where), Path(debian), Path(built), cgroup, [Path(image) for image in images]).start()
    print(f"node {NODE} is on its way", flush=True)
    while True:
        try:
            os.wait()  # what is left to process 1: the children of shims, and programs that end
        except ChildProcessError:
            time.sleep(1)
