# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# shellcheck shell=sh
#
# Runs in the root file system, after the application and its libraries were copied to /srv/shop.

useradd --system --uid "$SHOP_UID" --user-group --home-dir /srv/shop --no-create-home --shell /usr/sbin/nologin shop
chown -R root:root /srv/shop
chmod -R u=rwX,go=rX /srv/shop
# pip is not needed: the libraries are plain Python, and are there already.
python3 -m venv --without-pip /srv/shop/venv
mv /srv/shop/lib/* /srv/shop/venv/lib/python3.*/site-packages/
rmdir /srv/shop/lib
# The application's user cannot write here; without this every restart would compile Django anew.
python3 -m compileall -q -j 2 /srv/shop
mkdir -p /srv/shop/data
