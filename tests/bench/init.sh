#!/bin/sh
# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Process 1 of a host: starts its shops, and then waits, for so are those reaped that lost their parent.
for shop in "$1"/*/; do
  sh "${0%/*}/restart.sh" "$shop" || exit 1
done
: >"$1/up"
sleep 7200 &
wait
