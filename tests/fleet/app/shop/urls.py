# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop's pages; the first part of a path says which kind of session it has."""

from django.urls import path

from shop import views

urlpatterns = [
    path("healthz", views.healthz),
    path("<slug:kind>/login", views.log_in),
    path("<slug:kind>/logout", views.log_out),
    path("<slug:kind>/me", views.me),
    path("reset/make", views.make_reset_link),
    path("reset/check/<str:uid>/<str:token>", views.check_reset_link),
]
