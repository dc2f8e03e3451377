# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which services a visit restarts, and which it leaves alone."""

from __future__ import annotations

from typing import Any, List

from ansible_collections.phased.keys.plugins.module_utils._host import files, units
from ansible_collections.phased.keys.plugins.module_utils._host.rules.visit import MAY_BE_DOWN
from visited import NEW, OLD, PREPARE, SECRET, Host


class Services:
    """systemctl as a visit asks for it; two services, and the application below one of them."""

    def __init__(self, host: Host, monkeypatch: Any) -> None:
        self.host, self.active, self.restarted = host, {"shop.service": "active", "queue.service": "active"}, []
        host.variables.update(service=["shop", "queue.service"], restart_command=None)
        monkeypatch.setattr(units, "show", self.show)
        monkeypatch.setattr(units, "restart", self.restart)

    def show(self, names: Any, **_options: Any) -> List[units.Unit]:
        full = [units.full_name(name) for name in names]
        return [units.Unit(name, "loaded", self.active[name], "state", "", 0) for name in full]

    def restart(self, names: Any, timeout: float, *, scope: str) -> None:
        assert 0 < timeout <= 3 and scope == "system"
        self.restarted.append(list(names))
        self.host.start()


def test_2_all_services_are_restarted_at_once(host: Host, monkeypatch: Any) -> None:
    services = Services(host, monkeypatch)
    host.proven(OLD)
    assert host.visit(PREPARE)["proven"] and services.restarted == [["shop", "queue.service"]]


def test_9_a_service_that_is_stopped_is_not_started(host: Host, monkeypatch: Any) -> None:
    services = Services(host, monkeypatch)
    services.active["queue.service"] = "inactive"
    host.proven(OLD)
    answer = host.visit(PREPARE)
    assert answer["proven"] and services.restarted == [["shop"]]


def test_9_a_service_that_does_not_come_up_is_not_proven(host: Host, monkeypatch: Any) -> None:
    services = Services(host, monkeypatch)
    host.proven(OLD)
    host.variables["timeout"] = "0.4s"
    real = services.restart

    def restart(*arguments: Any, **options: Any) -> None:
        services.active["queue.service"] = "failed"
        real(*arguments, **options)

    monkeypatch.setattr(units, "restart", restart)
    answer = host.visit(PREPARE)
    assert "queue.service is failed (state). What to do: look at: systemctl status queue.service" in answer["msg"]
    assert f"queue.service is failed (state): {MAY_BE_DOWN}" in answer["msg"] and answer["did"]["down"]


def test_9_a_service_that_a_socket_starts_meanwhile_is_restarted(host: Host, monkeypatch: Any) -> None:
    services = Services(host, monkeypatch)
    services.active.update(dict.fromkeys(services.active, "inactive"))
    host.write(OLD)
    real = files.Place.replace

    def replaced(place: files.Place, *arguments: Any, **options: Any) -> None:
        if place.path == str(host.env) and SECRET[NEW] in arguments[0]:
            services.active["shop.service"] = "active"
            host.start()
        real(place, *arguments, **options)

    monkeypatch.setattr(files.Place, "replace", replaced)
    answer = host.visit(PREPARE)
    assert answer["proven"] and services.restarted == [["shop"]]
    assert answer["did"]["took"] > 0 and len(answer["evidence"]["workers"]) == 3
