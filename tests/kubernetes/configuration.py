# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How each program of the cluster is set up: everything on loopback of a network namespace of its own, state below one folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from images import PAUSE

# An address as a node's name is the node's address: exec, logs and probes stay in the namespace.
NODE = "127.0.0.1"
# Below those that the kernel hands out, which would now and then be taken.
PORTS = {
    "etcd": 26379,
    "peers": 26380,
    "api": 26443,
    "controllers": 26257,
    "scheduler": 26259,
    "kubelet": 26250,
    "health": 26248,
}
SUBNET = "10.88.77.0/24"


def users() -> dict[str, str]:
    """Return who may log in by a token, with the group that makes them what they are."""
    return {
        "admin": "system:masters",
        "system:kube-scheduler": "",
        "system:kube-controller-manager": "",
        f"system:node:{NODE}": "system:nodes",
    }


CONTAINERD = """\
version = 2
root = "@RUN@/containerd/root"
state = "@RUN@/containerd/state"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "@RUN@/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "@PAUSE@"
  # Where CAP_SYS_RESOURCE is missing nothing may ask for an oom_score_adj below containerd's own.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "@DEBIAN@/usr/lib/cni"
    conf_dir = "@RUN@/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        BinaryName = "@DEBIAN@/usr/sbin/runc"
""".replace("@PAUSE@", PAUSE)

CNI: dict[str, Any] = {
    "cniVersion": "0.4.0", "name": "pods", "plugins": [{
        "type": "ptp", "ipMasq": False,
        "ipam": {"type": "host-local", "dataDir": "@RUN@/addresses", "ranges": [[{"subnet": SUBNET}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }],
}  # fmt: skip

KUBELET: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "address": "127.0.0.1",
    "port": PORTS["kubelet"],
    "readOnlyPort": 0,
    "healthzBindAddress": "127.0.0.1",
    "healthzPort": PORTS["health"],
    # It listens on a loopback of its own only.
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "enforceNodeAllocatable": [],
    "failSwapOn": False,
    "oomScoreAdj": 0,  # the default, -999, needs CAP_SYS_RESOURCE
    "protectKernelDefaults": False,
    "makeIPTablesUtilChains": False,  # there is no iptables, nor kube-proxy
    "clusterDNS": ["10.96.0.10"],  # nobody answers there; it spares each pod a warning
    "clusterDomain": "cluster.local",
    "nodeStatusUpdateFrequency": "2s",  # Ready is told 10 s late with the default
    "imageGCHighThresholdPercent": 100,
    "evictionHard": {
        "nodefs.available": "0%",
        "imagefs.available": "0%",
        "nodefs.inodesFree": "0%",
        "memory.available": "50Mi",
    },
}


def node_settings(cgroup: str, run: Path) -> dict[str, Any]:
    """Return what of the kubelet's settings is this cluster's own."""
    return {"cgroupRoot": cgroup, "volumePluginDir": str(run / "plugins")}


def options(name: str, run: Path) -> list[str]:
    """Return what a program is started with."""
    etcd, peers = (f"http://127.0.0.1:{PORTS[name]}" for name in ("etcd", "peers"))
    known = {
        "etcd": {
            "data-dir": run / "etcd", "listen-client-urls": etcd, "advertise-client-urls": etcd, "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers, "initial-cluster": f"default={peers}", "unsafe-no-fsync": "true",
            "log-level": "error", "logger": "zap",
        },
        "kube-apiserver": {
            "etcd-servers": etcd, "bind-address": "127.0.0.1", "secure-port": PORTS["api"], "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none", "cert-dir": run / "certs", "token-auth-file": run / "tokens.csv",
            "authorization-mode": "Node,RBAC", "enable-admission-plugins": "NodeRestriction",
            "service-account-issuer": "https://kubernetes.default.svc", "service-account-signing-key-file": run / "sa.key",
            "service-account-key-file": run / "sa.key", "service-cluster-ip-range": "10.96.0.0/24", "allow-privileged": "true",
        },
        "containerd": {"config": run / "containerd.toml"},
        "kube-controller-manager": {
            "kubeconfig": run / "kube-controller-manager.conf", "bind-address": "127.0.0.1", "secure-port": PORTS["controllers"],
            "port": 0, "leader-elect": "false", "use-service-account-credentials": "true",
            "service-account-private-key-file": run / "sa.key", "root-ca-file": run / "certs" / "apiserver.crt",
        },
        "kube-scheduler": {
            "kubeconfig": run / "kube-scheduler.conf", "bind-address": "127.0.0.1", "secure-port": PORTS["scheduler"], "port": 0,
            "leader-elect": "false",
        },
        "kubelet": {
            "config": run / "kubelet.json", "kubeconfig": run / f"{NODE}.conf", "root-dir": run / "kubelet",
            "cert-dir": run / "kubelet" / "pki", "hostname-override": NODE, "container-runtime": "remote",
            "container-runtime-endpoint": f"unix://{run / 'containerd.sock'}",
        },
    }  # fmt: skip
    return [f"--{option}={value}" for option, value in known[name].items()]
