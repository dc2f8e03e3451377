# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads by what the API shows: which pods count, what their evidence is, and what a visit refuses before it begins."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile
from ansible_collections.phased.keys.plugins.module_utils._rules import workload, workload_look
from cluster_objects import (
    T0,
    TARGET,
    container,
    deployment,
    entry,
    pod,
    refers,
    replica_set,
    secret,
    seen,
    stamp,
    state,
    text,
)

DJANGO = profile()
A, B = "key-a-abcdefghijklmnopqrstuvwxyz", "key-b-abcdefghijklmnopqrstuvwxyz"
FA, FB = fingerprint(A), fingerprint(B)
OLD = secret("web-keys-1-aaaaaaaa", SECRET_KEY=A, SECRET_KEY_FALLBACKS="")
NEW = secret("web-keys-2-bbbbbbbb", SECRET_KEY=B, SECRET_KEY_FALLBACKS=A)
OWN, GIVEN_OLD = refers("web-keys-2-bbbbbbbb"), refers("web-keys-1-aaaaaaaa")
WAITS = {"states": [state(what="waiting", reason="CreateContainerConfigError")]}
BOTH = (OLD, NEW)


def look(shown, known=(FA, FB), target=TARGET):
    """The evidence of what was shown."""
    return workload_look.evidence(target, DJANGO, shown, workload_look.Kept(None, "record"), known, "n")


def called(evidence):
    """What the workers are called, and what they sign with or why not."""
    return [(one["called"], one["signs"] or one["problem"]["kind"]) for one in evidence["workers"]]


@pytest.mark.parametrize(
    ("what", "one", "counts"),
    [
        ("a pod that serves", pod("p", OWN), FB),
        ("one with the old Secret", pod("p", GIVEN_OLD), FA),
        ("one that is being deleted", pod("p", GIVEN_OLD, ends=T0 + 130), FA),
        ("one that has succeeded", pod("p", GIVEN_OLD, phase="Succeeded"), None),
        ("one that has failed", pod("p", GIVEN_OLD, phase="Failed"), None),
        ("one without a node, which will start with it", pod("p", GIVEN_OLD, phase="Pending", states=[], node=""), FA),
        ("one that is being created", pod("p", GIVEN_OLD, states=[state(what="waiting", reason="ContainerCreating")]), FA),
        ("one that cannot start, since its Secret is gone", pod("p", refers("web-keys-0-cccccccc"), **WAITS), None),
        ("one without a node whose Secret is gone", pod("p", refers("gone"), phase="Pending", states=[], node=""), None),
        ("one that runs, whose Secret is gone: one of ours", pod("p", refers("web-keys-0-cccccccc")), "deleted"),
        ("one that runs, whose Secret is gone: somebody's", pod("p", refers("gone")), "lacking"),
        ("one that nobody has reported on", pod("p", refers("gone"), states=[]), "lacking"),
        ("one that crashes", pod("p", GIVEN_OLD, states=[state(what="waiting", restarts=4, reason="CrashLoopBackOff")]), FA),
        ("one whose container is started anew", pod("p", GIVEN_OLD, states=[state(what="terminated", exitCode=0)]), FA),
        ("a terminated one of a pod that is being deleted", pod(
            "p", GIVEN_OLD, states=[state(what="terminated", exitCode=0)], ends=T0 + 130), None),
        ("one of a Job that has ended", pod("p", GIVEN_OLD, states=[state(what="terminated")], restartPolicy="Never"), None),
        ("one that was started before its Secret was made", pod("p", OWN, states=[state(at=T0 - 5)]), "recreated"),
        ("one with a text", pod("p", container(text("SECRET_KEY", A))), "literal"),
        ("one with a text that nobody knows", pod("p", container(text("SECRET_KEY", "unknown" * 5))), fingerprint("unknown" * 5)),
        ("one that has none of our settings, in the container that should", pod("p", container(text("X", "y"))), "lacking"),
        ("another container without our settings", pod("p", container(text("X", "y"), name="proxy")), None),
    ],
)  # fmt: skip
def test_which_pods_are_workers(what, one, counts):
    found = look(seen(deployment(OWN), one, objects=BOTH))
    assert [holder for _called, holder in called(found)] == ([counts] if counts else [])
    assert not found["others"]


def test_a_container_that_prepares_a_pod_holds_the_key_as_long_as_it_runs():
    first = {"initContainers": [{**GIVEN_OLD, "name": "migrate"}]}
    running = pod("p", OWN, **first)
    running["status"]["initContainerStatuses"] = [state("migrate")]
    ended = copy.deepcopy(running)
    ended["status"]["initContainerStatuses"] = [state("migrate", "terminated", exitCode=0)]
    assert called(look(seen(deployment(OWN), running, objects=BOTH))) == [("pod p (migrate)", FA), ("pod p (app)", FB)]
    assert called(look(seen(deployment(OWN), ended, objects=BOTH))) == [("pod p (app)", FB)]


def test_a_worker_is_called_what_it_is():
    found = look(seen(deployment(OWN), pod("web-1", OWN, ends=T0 + 130), objects=BOTH))
    assert called(found) == [("pod web-1 (app, terminating)", FB)]


@pytest.mark.parametrize(
    ("owner", "spec", "other"),
    [
        ("", GIVEN_OLD, True),
        ("uid-of-another", GIVEN_OLD, True),
        ("uid-of-another", container(entry("SECRET_KEY", "somebody's")), False),
        ("uid-of-another", container(text("X", "y")), False),
    ],
)
def test_pods_that_belong_to_no_member_and_hold_a_key_of_the_ring_are_named(owner, spec, other):
    theirs = secret("somebody's", SECRET_KEY="a key of another application")
    found = look(seen(deployment(OWN), pod("p", spec, owner=owner), objects=[*BOTH, theirs]))
    assert [(one["called"], one["holds"]) for one in found["others"]] == [("pod p (app)", [FA])] * other
    assert not found["workers"]


def test_two_members_of_one_namespace_see_a_pod_as_the_same_worker():
    one = pod("p", OWN, states=[state(restarts=1)])
    mine = look(seen(deployment(OWN), one, objects=BOTH))
    others = look(
        seen({**deployment(OWN), "metadata": {"name": "api", "uid": "uid-api"}}, one, between=[], objects=BOTH)
    )
    assert [(mine["machine"], one["pid"], one["ticks"]) for one in mine["workers"]] == [
        (others["machine"], one["pid"], one["ticks"]) for one in others["others"]
    ]


@pytest.mark.parametrize(
    ("what", "one", "sets", "active"),
    [
        ("a roll that is done", deployment(OWN), None, "active"),
        ("one that the controller has not seen", deployment(OWN, observedGeneration=2), None, "reloading"),
        ("one with old pods left", deployment(OWN, replicas=2, updatedReplicas=1), None, "reloading"),
        ("one with a pod too many", deployment(OWN, replicas=2, unavailableReplicas=0) | {}, None, "active"),
        ("one that nothing serves of", deployment(OWN, availableReplicas=0), None, "activating"),
        (
            "a set of before that wants pods still",
            deployment(OWN),
            [replica_set(), replica_set("uid-old", 1)],
            "reloading",
        ),
    ],
)
def test_how_far_a_roll_is(what, one, sets, active):
    found = look(seen(one, pod("p", OWN), between=sets, objects=BOTH))
    assert found["units"][0]["active"] == active


def test_nobody_wanted_is_idle_and_is_proven_by_its_template():
    found = look(seen(deployment(OWN, replicas=0), objects=BOTH))
    unit = found["units"][0]
    assert (unit["active"], unit["on_demand"], found["workers"]) == ("inactive", True, [])
    assert [(file["path"], file["signs"], file["accepts"]) for file in found["files"]] == [
        ("deployment/web (app)", FB, [FB, FA])
    ]


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (None, "deployment/web is not there"),
        (deployment(container(text("X", "y"))), "has no container with SECRET_KEY"),
    ],
)
def test_a_template_that_gives_no_key_is_never_proven(one, says):
    found = look(seen(one, objects=BOTH))
    assert found["files"][0]["problem"]["kind"] == "absent" and says in found["files"][0]["problem"]["text"]


def test_the_template_s_identity_is_that_of_its_secret():
    again = secret("web-keys-2-bbbbbbbb", SECRET_KEY=B, SECRET_KEY_FALLBACKS=A)
    again["metadata"]["uid"] = "another"
    identities = [
        look(seen(deployment(OWN), objects=[one]))["files"][0]["identity"]["inode"] for one in (NEW, NEW, again)
    ]
    assert identities[0] == identities[1] != identities[2]


def test_a_pod_that_was_started_anew_between_two_looks_has_not_settled():
    shown = [look(seen(deployment(OWN), pod("p", OWN, states=[state(restarts=n)]), objects=BOTH)) for n in (0, 1)]
    assert workload_look.compared(shown[0], shown[0])["settled"]
    assert not workload_look.compared(*shown)["settled"]


def test_pods_that_come_in_between_are_the_workload_s_own_business():
    shown = [look(seen(deployment(OWN), *[pod(f"p{n}", OWN) for n in range(many)], objects=BOTH)) for many in (2, 3)]
    both = workload_look.compared(*shown)
    assert both["settled"] and both["lasting"] == 2


STATEFUL = workload.Target("StatefulSet", "web", "shop")
RAISED = workload.Target("Deployment", "web", "shop", ("cache",))


def changed(**spec):
    """The Deployment with something else in its spec."""
    one = deployment(OWN)
    one["spec"].update(spec)
    return one


def meta(**more):
    """The Deployment with something else in its metadata."""
    one = deployment(OWN)
    one["metadata"].update(more)
    return one


@pytest.mark.parametrize(
    ("target", "one", "says"),
    [
        (TARGET, deployment(OWN), None),
        (TARGET, None, "is not there: correct app_keys_workload"),
        (TARGET, changed(paused=True), "is paused: a roll would never end"),
        (STATEFUL, changed(updateStrategy={"type": "OnDelete"}), "OnDelete"),
        (STATEFUL, changed(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}), "partition 2"),
        (STATEFUL, changed(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}), None),
        (workload.Target("DaemonSet", "web", "shop"), changed(updateStrategy={"type": "OnDelete"}), "OnDelete"),
        (TARGET, meta(deletionTimestamp=stamp(T0)), "is being deleted"),
        (TARGET, meta(ownerReferences=[{"kind": "Rollout", "name": "r", "uid": "u", "controller": True}]), "made by Rollout r"),
        (TARGET, deployment(container(text("X", "y"))), "no container of deployment/web has our settings"),
        (RAISED, deployment(OWN), "has no container cache"),
    ],
)  # fmt: skip
def test_what_a_visit_refuses_before_it_begins(target, one, says):
    shown = seen(one, objects=BOTH)
    refused = workload.refused(target, shown, lambda spec: workload_look.holds(DJANGO, shown, spec))
    assert refused is None if says is None else says in refused


@pytest.mark.parametrize(("ends", "lost"), [(T0 + 99, False), (T0 + 30, True)])
def test_a_pod_that_does_not_end_may_be_on_a_node_that_is_lost(ends, lost):
    shown = seen(deployment(OWN), pod("p", GIVEN_OLD, ends=ends), objects=BOTH, now=T0 + 100)
    refused = workload.refused(TARGET, shown, lambda spec: True)
    assert ("node node-1 may be lost" in refused) if lost else refused is None
