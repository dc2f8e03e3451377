# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a visit of a workload writes, from whom that may be taken, what is put back, and which Secrets may go."""

from __future__ import annotations

import re

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.module_utils._host.rules.frameworks import profile
from ansible_collections.phased.keys.plugins.module_utils._rules import workload, workload_change
from cluster_objects import T0, TARGET, container, deployment, entry, pod, refers, secret, seen, text

DJANGO = profile()
A, B = "key-a-abcdefghijklmnopqrstuvwxyz", "key-b-abcdefghijklmnopqrstuvwxyz"
FA, FB = fingerprint(A), fingerprint(B)
OLD = secret("web-keys-1-aaaaaaaa", SECRET_KEY=A, SECRET_KEY_FALLBACKS="")
BOTH = secret("web-keys-2-bbbbbbbb", SECRET_KEY=B, SECRET_KEY_FALLBACKS=A)
NEW = secret("web-keys-3-cccccccc", SECRET_KEY=B, SECRET_KEY_FALLBACKS="")
NAMES = [one["metadata"]["name"] for one in (OLD, BOTH, NEW)]
LONG = workload.Target("Deployment", "w" * 253, "shop")


@pytest.mark.parametrize("target", [TARGET, LONG, LONG._replace(name="w" * 234 + "-" * 5 + "w" * 14)])
def test_names_fit_what_a_cluster_takes(target):
    for name in (
        workload_change.secret_name(target, 12, "0123456789abcdef"),
        workload_change.kept_name("my_shop", target),
    ):
        assert len(name) <= 253 and re.fullmatch(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", name)
    assert len(workload_change.label(target)) <= 63
    assert re.search(r"-keys-12-01234567$", workload_change.secret_name(target, 12, "0123456789abcdef"))


def test_each_application_and_each_workload_has_a_record_of_its_own():
    targets = [
        TARGET,
        TARGET._replace(kind="StatefulSet"),
        TARGET._replace(name="api"),
        LONG,
        LONG._replace(name="w" * 252 + "x"),
    ]
    assert len({workload_change.kept_name(name, target) for name in ("shop", "my_shop") for target in targets}) == 10


def test_a_secret_of_a_step_can_never_be_changed_and_is_found_by_its_labels():
    made = workload_change.secret(TARGET, "web-keys-1-aaaaaaaa", "my_shop", 1, "nonce", {"SECRET_KEY": A})
    assert made["immutable"] is True and made["stringData"] == {"SECRET_KEY": A}
    wanted = dict(pair.split("=") for pair in workload_change.selector(TARGET, "my_shop").split(","))
    assert wanted.items() <= made["metadata"]["labels"].items()


def shown(*containers, **spec):
    """What was seen of a Deployment with these containers."""
    one = deployment(*containers)
    one["apiVersion"] = "apps/v1"
    one["metadata"]["resourceVersion"] = "77"
    one["spec"]["template"]["spec"].update(spec)
    return seen(one, objects=[OLD, BOTH, NEW])


def ref(name, key):
    """What an entry refers to."""
    return {"secretKeyRef": {"name": name, "key": key}}


def test_our_entries_and_nothing_else_are_applied_to_the_workload_as_it_was_seen():
    there = shown(
        container(text("SECRET_KEY", A), text("X", "y"), image="app"),
        initContainers=[{**refers(NAMES[0]), "name": "migrate"}],
    )
    both = [
        *there.workload["spec"]["template"]["spec"]["initContainers"],
        *there.workload["spec"]["template"]["spec"]["containers"],
    ]
    body = workload_change.applied(TARGET, there, workload_change.referring(DJANGO, TARGET, there, both, "new"))
    assert body["metadata"] == {"name": "web", "namespace": "shop", "resourceVersion": "77"} and set(body["spec"]) == {
        "template"
    }
    fallbacks = {"name": "SECRET_KEY_FALLBACKS", "valueFrom": ref("new", "SECRET_KEY_FALLBACKS")}
    primary = {"name": "SECRET_KEY", "valueFrom": ref("new", "SECRET_KEY")}
    # A text is emptied: beside a reference there may be none.
    assert body["spec"]["template"]["spec"] == {
        "initContainers": [{"name": "migrate", "env": [primary, fallbacks]}],
        "containers": [{"name": "app", "env": [{**primary, "value": ""}, fallbacks]}],
    }


@pytest.mark.parametrize(
    ("one", "before"),
    [
        (refers(NAMES[0]), {name: (NAMES[0], name) for name in DJANGO.names}),
        (container(entry("SECRET_KEY", NAMES[0], "OTHER")), {"SECRET_KEY": (NAMES[0], "OTHER")}),
        (container(envFrom=[{"secretRef": {"name": NAMES[0]}}]), {}),
        (container(text("SECRET_KEY", A)), None),
        (container(entry("SECRET_KEY", NAMES[0]), text("SECRET_KEY_FALLBACKS", "")), None),
    ],
)
def test_what_is_put_back_is_what_was_referred_to(one, before):
    found = workload_change.as_before(DJANGO, TARGET, shown(one), [one])
    assert (None if found is None else found[0].secrets) == before


def managed(manager, *fields, setting="SECRET_KEY"):
    """What the API keeps of what a manager owns."""
    held = {f'k:{{"name":"{setting}"}}': {name: {} for name in fields}}
    spec = {"f:containers": {'k:{"name":"app"}': {"f:env": held}}}
    return {"manager": manager, "fieldsV1": {"f:spec": {"f:template": {"f:spec": spec}}}}


@pytest.mark.parametrize(
    ("fields", "others"),
    [
        ([managed("kubectl", "f:value")], ["kubectl"]),
        ([managed("helm", "f:valueFrom", setting="SECRET_KEY_FALLBACKS")], ["helm"]),
        ([managed("kubectl", "f:name", ".")], []),
        ([managed("kubectl", "f:value", setting="COLOUR")], []),
        ([managed("phased.keys", "f:valueFrom")], []),
        ([managed("a", "f:value"), managed("b", "f:valueFrom"), managed("a", "f:value")], ["a", "b"]),
        ([{"manager": "x"}], []),
    ],
)
def test_who_else_owns_the_entries(fields, others):
    there = shown(refers(NAMES[0]))
    there.workload["metadata"]["managedFields"] = fields
    assert workload_change.owners(DJANGO, TARGET, there, [refers(NAMES[0])]) == others


def test_a_conflict_names_the_managers_and_their_fields():
    causes = [
        {"message": 'conflict with "kubectl" using apps/v1', "field": ".a"},
        {"message": 'conflict with "kubectl" with subresource "x" using apps/v1', "field": ".b"},
        {"message": "something new"},
    ]
    assert workload_change.conflicting(causes) == {"kubectl": [".a", ".b"], "an unknown manager": [""]}


@pytest.mark.parametrize(
    ("what", "pods", "gone"),
    [
        ("nothing names them", [], NAMES[:2]),
        ("a pod that runs", [pod("p", refers(NAMES[0]))], NAMES[1:2]),
        ("one that is being deleted", [pod("p", refers(NAMES[1]), ends=T0)], NAMES[:1]),
        ("one that has ended, and is there: its node may have the Secret", [pod("p", refers(NAMES[0]), phase="Succeeded")], NAMES[1:2]),
        ("one of somebody else's", [pod("p", refers(NAMES[0]), owner="another")], NAMES[1:2]),
        ("one that takes it in whole", [pod("p", container(envFrom=[{"secretRef": {"name": NAMES[1]}}]))], NAMES[:1]),
    ],
)  # fmt: skip
def test_secrets_of_keys_that_have_ended_go_when_nothing_names_them(what, pods, gone):
    there = seen(deployment(refers(NAMES[2])), *pods, objects=[OLD, BOTH, NEW])
    assert workload_change.removable(DJANGO, TARGET, there, [OLD, BOTH, NEW], [FA]) == gone


def test_a_secret_that_the_template_names_stays_whatever_is_in_it():
    there = seen(deployment(refers(NAMES[0])), objects=[OLD, BOTH, NEW])
    assert workload_change.removable(DJANGO, TARGET, there, [OLD, BOTH, NEW], [FA]) == NAMES[1:2]
    assert workload_change.removable(DJANGO, TARGET, there, [OLD, BOTH, NEW], []) == []
