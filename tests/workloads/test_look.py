# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may be asked for what, and what a look at a workload says: permissions, processes, strangers, a cluster that does not answer."""

from __future__ import annotations

import json
from typing import Any

import guide_role
import pytest
from ansible_collections.phased.keys.plugins.plugin_utils._workload import call
from cluster import APPS
from workload_shop import ALIEN, ALL, FOLD, KUBECTL, NEW, OLD, Shop

pytestmark = pytest.mark.slow


def test_a_visit_of_each_kind_needs_no_more_than_the_guide_permits(new_cluster, tmp_path):
    for kind in ("Deployment", "StatefulSet", "DaemonSet", "CronJob"):
        cluster = new_cluster()
        shop = Shop(cluster, tmp_path, kind)
        cluster.rules = guide_role.role()["rules"]
        shop.adopted()
        assert shop.visit("prepare")["proven"], kind
        assert call.tidy(shop.arguments(), [FOLD]) is None


@pytest.mark.parametrize("number", range(len(guide_role.role()["rules"])))
def test_what_the_guide_permits_is_all_needed(number, cluster, tmp_path):
    rules = guide_role.role()["rules"]
    kind = "CronJob" if "batch" in rules[number]["apiGroups"] else "Deployment"
    shop = Shop(cluster, tmp_path, kind)
    cluster.rules = [rule for rule in rules if rule is not rules[number]]
    shop.more = {"timeout": "1s"}
    answer = shop.visit("adopt", take_over=KUBECTL)
    assert answer["failed"] and "the permissions that the guide lists" in answer["msg"]


EXEC = {"proof": "pod_exec"}


def test_the_processes_of_pods_are_asked_and_the_keys_stay_in_there(shop):
    shop.cluster.rules = guide_role.role(exec_too=True)["rules"]
    shop.more = EXEC
    shop.adopted()
    assert shop.visit("prepare")["proven"] and shop.given() == [(OLD, NEW)]
    looked = shop.look(known=ALL)["evidence"]
    assert looked["proof"] == "pod_exec" and {one["by"] for one in looked["workers"]} == {"pod_exec"}
    assert any(one.startswith("EXEC") for one in shop.cluster.asked)


@pytest.mark.parametrize(
    ("how", "kind", "says"),
    [
        ({"entrypoint": lambda env: {**env, "SECRET_KEY": ALIEN}}, "replaced", "another SECRET_KEY than its spec"),
        ({"entrypoint": lambda env: {"HOME": "/"}}, "unasked", "no process in its container has SECRET_KEY"),
        ({"entrypoint": lambda env: {**env, "SECRET_KEY_FALLBACKS": ALIEN}}, "replaced", "SECRET_KEY_FALLBACKS"),
        ({"python": False}, "unasked", "executable file not found"),
        ({"rules": guide_role.role()["rules"]}, "unasked", "nothing can be run in it"),
    ],
)
def test_what_the_spec_gives_and_the_processes_have_not_is_no_proof(how, kind, says, shop):
    shop.adopted()
    for name, value in how.items():
        setattr(shop.cluster, name, value)
    shop.more = EXEC
    problems = [one["problem"] for one in shop.look(known=ALL)["evidence"]["workers"]]
    assert problems and all(one["kind"] == kind and says in one["text"] for one in problems), problems
    answer = shop.visit("prepare")
    assert answer["failed"] and says in answer["msg"] and ALIEN not in json.dumps(answer)
    assert shop.given() == [(OLD, "")]


def test_pods_that_nobody_answers_for_and_that_hold_a_key_are_named(shop):
    shop.adopted()
    shop.cluster.deploy("stray", [{"name": "SECRET_KEY", "value": OLD}], replicas=1)
    shop.cluster.wait(shop.cluster.settled)
    others = shop.look(known=ALL)["evidence"]["others"]
    assert [one["holds"] for one in others] == [[FOLD]] and others[0]["called"].startswith("pod stray-")


def test_no_key_is_in_any_answer(shop):
    shop.adopted()
    answers = [shop.look(known=ALL), shop.visit("prepare"), shop.look(), shop.visit("promote", check=True)]
    assert not [key for key in (OLD, NEW) if key in json.dumps(answers)]


def test_a_cluster_that_is_not_there_is_a_finding(shop):
    shop.cluster.end()
    assert "cannot be reached" in shop.look()["msg"]
    shop.workload = {**shop.workload, "context": "nowhere"}
    assert "the context nowhere cannot be found" in shop.look()["msg"]


def test_what_may_not_be_asked_is_said(shop, monkeypatch):
    from cluster_store import Refused

    def forbidden(*_args: Any) -> None:
        raise Refused(403, "Forbidden", 'pods is forbidden: User "x" cannot list resource "pods"')

    monkeypatch.setattr(shop.cluster, "call", forbidden)
    assert "the permissions that the guide lists" in shop.look()["msg"]


def test_without_the_client_it_is_said_what_is_missing(shop, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "kubernetes", None)
    assert "pip install kubernetes" in shop.look()["msg"]


def test_the_workload_that_is_not_there_is_a_finding(shop):
    shop.cluster.store.delete(shop.path)
    found = shop.look()["evidence"]
    assert found["units"][0]["load"] == "not-found" and APPS in shop.path
