# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# First in MIDDLEWARE: "django_proof.TellKeys". Then app_keys_proof: {http: "http://127.0.0.1:8000/phased-keys"}
import hashlib
import hmac
import os

from django.core.signing import Signer
from django.http import JsonResponse


def fingerprint(key):
    key = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    return hmac.new(key, b"phased.keys/fingerprint/v1", hashlib.sha256).hexdigest()[:16]


class TellKeys:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        local = request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1", "", None)
        if request.path_info != "/phased-keys" or not local or "HTTP_X_FORWARDED_FOR" in request.META:
            return self.get_response(request)
        signer = Signer()  # as Django itself would sign now
        accepts = [fingerprint(key) for key in [signer.key, *signer.fallback_keys]]
        return JsonResponse({"pid": os.getpid(), "signs": accepts[0], "accepts": accepts})
