# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# shellcheck shell=sh
#
# Runs in the root file system: puts container engines on it, which start nothing by themselves.

export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get -q update
# shellcheck disable=SC2086
apt-get -q -y --no-install-recommends install $ENGINES
rm -f /usr/sbin/policy-rc.d
: > /etc/resolv.conf
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/*.log
# The hosts have no network of their own and may not change the machine's: no bridge, and no rules of a firewall.
systemctl disable --quiet docker.socket docker.service containerd.service podman.socket podman.service podman-restart.service \
  podman-auto-update.timer podman-auto-update.service
mkdir -p /etc/docker /etc/systemd/system/docker.service.d /etc/containers
printf '{"ip-forward": false, "iptables": false, "bridge": "none", "storage-driver": "overlay2"}\n' > /etc/docker/daemon.json
cat > /etc/systemd/system/docker.service.d/phased.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --default-ulimit nofile=20000:20000
END
# Limits that are higher than the machine's own cannot be set.
cat > /etc/containers/containers.conf <<'END'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
pids_limit = 0
netns = "host"
[engine]
runtime = "runc"
END
# A host's disk is an overlay, and none can be the upper one of another.
for folder in docker containers; do
  mkdir -p "/var/lib/$folder"
  printf 'tmpfs /var/lib/%s tmpfs mode=0711 0 0\n' "$folder" >> /etc/fstab
done
