# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Beside manage.py, with DJANGO_SETTINGS_MODULE in the application's environment. Then
# app_keys_cross_proof: {sign: [/srv/shop/venv/bin/python, /srv/shop/django_cross.py, sign], verify: [..., verify]}
import sys

from django.core.signing import BadSignature, Signer

signer = Signer(salt="phased.keys/probe")  # of its own salt, so that it is good for nothing else; and without age
if sys.argv[1] == "sign":
    sys.stdout.write(signer.sign("probe") + "\n")
else:
    try:
        signer.unsign(sys.stdin.readline().strip())
        sys.stdout.write("verified\n")
    except BadSignature:
        sys.stdout.write("refused\n")
