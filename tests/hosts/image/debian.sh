# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# shellcheck shell=sh
#
# Runs in the new root file system, once: make a host of it that is nobody yet and asks nobody for anything.

# Each host gets an identity of its own; a key in a cache that all hosts share would be no identity.
rm -f /etc/hostname /etc/ssh/ssh_host_*
: > /etc/machine-id
# Nothing leaves the machine, name queries included.
: > /etc/resolv.conf
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/log/*.log

# What a host without hardware, without a terminal and without a network of its own has no use for.
systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  systemd-tmpfiles-clean.timer console-getty.service getty.target systemd-udevd.service systemd-timesyncd.service \
  systemd-networkd.service systemd-resolved.service systemd-sysctl.service systemd-modules-load.service
systemctl enable --quiet ssh.service

mkdir -p /etc/systemd/journald.conf.d /etc/ssh/sshd_config.d /etc/tmpfiles.d
printf '[Journal]\nStorage=volatile\n' > /etc/systemd/journald.conf.d/phased.conf
# A host takes logins as soon as sshd listens, so that nobody has to guess when it is up.
ln -sf /dev/null /etc/tmpfiles.d/systemd-nologin.conf
cat > /etc/ssh/sshd_config.d/phased.conf <<'END'
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
# Ansible opens many sessions at once; none of them may be refused at random.
MaxStartups 200
MaxSessions 200
END

# The plain user that Ansible logs in as; what needs root goes through sudo.
useradd --create-home --shell /bin/bash ops
printf 'ops ALL=(ALL) NOPASSWD: ALL\n' > /etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
