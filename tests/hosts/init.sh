#!/bin/sh
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Process 1 of a host of the backend `unshare`, before it becomes systemd: init.sh FOLDER NAME
set -eu
root=$1/root

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
# systemd raises limits of the whole machine as it starts, and those are not the host's own.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"

mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${number%:*}" "$root/dev/${number#*:}"
done
touch "$root/dev/console"
mount --bind "$1/console" "$root/dev/console"

mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mount --bind "$1/../../database" "$root/srv/shop/data"

drop=-sys_time,-net_admin,-sys_module,-sys_rawio,-syslog
# Docker sees to it that the loopback is up, in whatever network a container is.
[ ! -e "$root/usr/sbin/dockerd" ] || drop=-sys_time,-sys_module,-sys_rawio,-syslog

hostname "$2"
cd "$root"
pivot_root . mnt
umount -l /mnt
# The machine's clock, its network and its kernel are not the host's.
exec env -i container=phased PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  setpriv "--bounding-set=$drop" /sbin/init
