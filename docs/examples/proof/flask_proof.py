# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# flask_proof.tell_keys(app). Then app_keys_proof: {http: "http://127.0.0.1:8000/phased-keys"}
import hashlib
import hmac
import os

from flask import abort, request


def fingerprint(key):
    key = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    return hmac.new(key, b"phased.keys/fingerprint/v1", hashlib.sha256).hexdigest()[:16]


def tell_keys(app):
    @app.get("/phased-keys")
    def phased_keys():
        if request.remote_addr not in ("127.0.0.1", "::1", "", None) or "X-Forwarded-For" in request.headers:
            abort(404)
        # What the sessions are really signed with and read by: the last of these signs. (itsdangerous.Signer)
        keys = app.session_interface.get_signing_serializer(app).secret_keys
        accepts = [fingerprint(key) for key in reversed(keys)]
        return {"pid": os.getpid(), "signs": accepts[0], "accepts": accepts}
