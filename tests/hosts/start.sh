#!/bin/sh
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Become a host: start.sh BACKEND FOLDER MACHINE LAYERS
#
# Runs in a mount namespace of its own, so that no mount is seen outside, and every one of them goes away with the
# host's last process. FOLDER is the host's, LAYERS the read-only file systems below its disk, uppermost first.
set -eu
backend=$1 folder=$2 machine=$3 layers=$4
root=$folder/root
name=${folder##*/}

mount -t overlay -o "lowerdir=$layers,upperdir=$folder/disk,workdir=$folder/work" overlay "$root"

if [ "$backend" = nspawn ]; then
    # What nspawn notes down about its machines would stay behind when it is killed.
    mount -t tmpfs -o mode=755 tmpfs /run
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    exec systemd-nspawn --quiet --directory="$root" --machine="$machine" --hostname="$name" --register=no --keep-unit \
      --resolv-conf=off --timezone=off --link-journal=no --console=pipe --bind="$folder/../../database:/srv/shop/data" --boot
fi
if [ "$backend" = podman ]; then
    # Podman's locks, networks and notes are in the host's folder, or gone with the host.
    mount -t tmpfs -o mode=755 tmpfs /run
    mount -t tmpfs -o mode=1777 tmpfs /dev/shm
    export CONTAINERS_CONF="${0%/*}/image/containers.conf"
    exec podman --root "$folder/podman" --runroot /run/podman --tmpdir /run/libpod --cgroup-manager cgroupfs \
      run --replace --name "$machine" --hostname "$name" --network host --no-hosts --systemd always --log-driver none \
      --cgroup-parent "/phased-hosts/${machine%-*}/$name/podman" --security-opt label=disable \
      --volume "$folder/../../database:/srv/shop/data" --rootfs "$root" /sbin/init
fi
exec unshare --uts --ipc --cgroup --pid --fork --mount --propagation private sh "${0%/*}/init.sh" "$folder" "$name"
