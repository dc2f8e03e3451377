#!/bin/sh
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Restart a shop: `restart.sh FOLDER`. It is a process that sleeps, given what the env file says, so that a restart costs next
# to nothing; a file `slow` in the folder makes it take so many seconds. Nothing outlives the bench for long.
cd "$1" || exit 1
if [ -s pid ]; then
  read -r old <pid
  kill "$old" 2>/dev/null
  rm pid
fi
[ ! -e slow ] || sleep "$(cat slow)"
set -a
# shellcheck source=/dev/null
. ./env
# The pid is written by the process itself, after execve: whoever reads it finds the new environment in /proc.
setsid sh -c 'echo $$ >pid; exec sleep 7200' </dev/null >/dev/null 2>&1 &
until [ -s pid ]; do sleep 0.002; done
