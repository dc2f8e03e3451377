#!/bin/sh
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Runs a command with FOLDER as the only place of the machine's disk that it can write to: a mutant that runs as
# root may remove what it likes. Needs a mount namespace of its own, which `unshare` has made.
# usage: namespace.sh FOLDER COMMAND...
set -eu
folder=$1
shift
mount --bind "$folder" "$folder"
mount -o remount,bind,ro /
cd "$folder"
exec "$@"
