# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clients ask. Every answer says which key its worker signs with, by fingerprint."""

import hashlib
import hmac
import os

from django.conf import settings
from django.contrib.auth import authenticate, get_user_model, login, logout
from django.contrib.auth.tokens import default_token_generator
from django.http import JsonResponse
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

FINGERPRINT = hmac.new(settings.SECRET_KEY.encode(), b"phased.keys/fingerprint/v1", hashlib.sha256).hexdigest()[:16]


def answer(**content):
    return JsonResponse({**content, "key": FINGERPRINT})


def healthz(request):
    return answer(ok=True, pid=os.getpid())


def log_in(request, kind):
    user = authenticate(request, username=request.POST.get("name"), password=request.POST.get("password"))
    if user is None:
        return JsonResponse({"user": ""}, status=403)
    login(request, user)
    return answer(user=user.get_username())


def log_out(request, kind):
    logout(request)
    return answer(user="")


def me(request, kind):
    return answer(user=request.user.get_username())


def make_reset_link(request):
    user = get_user_model().objects.get(username=request.POST.get("name"))
    uid = urlsafe_base64_encode(str(user.pk).encode())
    return answer(link=f"/reset/check/{uid}/{default_token_generator.make_token(user)}")


def check_reset_link(request, uid, token):
    user = get_user_model().objects.filter(pk=urlsafe_base64_decode(uid).decode()).first()
    return answer(valid=default_token_generator.check_token(user, token))
