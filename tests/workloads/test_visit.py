# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One visit of a workload, through the official client, at a cluster on loopback."""

from __future__ import annotations

import re
import threading
import time
from typing import Any, Dict, List

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.plugin_utils._workload import call
from workload_shop import ALIEN, ALL, FOLD, KUBECTL, NEW, OLD, STEPS, TEXT, Shop

pytestmark = pytest.mark.slow


def test_the_keys_of_a_workload_go_through_all_steps(shop):
    colour = TEXT[1]
    shop.adopted()
    assert shop.given() == [(OLD, "")]
    for step, given in (("prepare", (OLD, NEW)), ("promote", (NEW, OLD)), ("retire", (NEW, ""))):
        answer = shop.visit(step)
        assert (answer["proven"], answer["changed"], answer["did"]["restarted"]) == (True, True, True), answer.get(
            "msg"
        )
        assert shop.given() == [given]
        assert shop.record()["state"] == "proven" and shop.record()["step"] == step
    assert colour in shop.env()
    assert all(re.fullmatch(r"web-keys-[1-4]-[0-9a-f]{8}", name) for name in shop.secrets())
    assert len(shop.secrets()) == 4 and all(
        one["immutable"] for one in shop.cluster.store.items(shop.cluster.path("secrets"))
    )


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_other_kinds_of_workloads_roll_too(kind, cluster, tmp_path):
    shop = Shop(cluster, tmp_path, kind)
    shop.adopted()
    assert shop.visit("prepare")["proven"] and shop.given() == [(OLD, NEW)]


def test_a_visit_that_finds_all_in_order_writes_nothing_but_its_record(shop):
    shop.adopted()
    before = shop.cluster.store.get(shop.path)["metadata"]["generation"]
    answer = shop.visit("adopt", counter=9)
    assert (answer["proven"], answer["changed"]) == (True, False)
    assert shop.cluster.store.get(shop.path)["metadata"]["generation"] == before and shop.record()["counter"] == 9


def test_check_mode_says_what_would_be_done_and_asks_only(shop):
    shop.adopted()
    shop.cluster.asked.clear()
    answer = shop.visit("prepare", check=True)
    assert (answer["changed"], answer["needed"], answer["did"]["written"]) == (True, True, ["deployment/web (app)"])
    assert {one.split()[0] for one in shop.cluster.asked} == {"GET"}


def test_it_waits_for_pods_that_are_being_deleted(new_cluster, tmp_path):
    shop = Shop(new_cluster(grace=3.0), tmp_path)
    shop.adopted()
    begun = time.monotonic()
    assert shop.visit("prepare")["proven"]
    assert time.monotonic() - begun > 3.0 and shop.given() == [(OLD, NEW)]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"counter": 1}, "is only at step 1"),
        ({"ring": "another"}, "another keyring"),
        ({"counter": 2, "ring": "x"}, "another keyring"),
    ],
)
def test_a_late_visit_or_one_of_another_keyring_changes_nothing(more, says, shop):
    shop.adopted()
    assert shop.visit("prepare")["proven"]
    shop.cluster.asked.clear()
    answer = shop.visit("promote", **more)
    assert answer["failed"] and says in answer["msg"] and "host" not in answer["msg"]
    assert not [one for one in shop.cluster.asked if not one.startswith("GET") and "/leases" not in one]


def test_a_workload_without_a_record_gets_no_key_until_somebody_has_vouched(shop):
    answer = shop.visit("adopt", vouched=False, take_over=KUBECTL)
    assert answer["joining"] and not answer["proven"] and not shop.secrets()


def test_entries_that_somebody_else_owns_are_refused_by_name_and_taken_over_once(shop):
    answer = shop.visit("adopt")
    assert answer["failed"] and f"app_keys_take_over={KUBECTL}" in answer["msg"] and not shop.secrets()
    assert shop.visit("adopt", take_over="helm")["failed"]
    shop.adopted()
    shop.cluster.store.edit(shop.path, lambda one: _container(one)["env"].__setitem__(0, TEXT[0]), KUBECTL)
    shop.cluster.wait(shop.cluster.settled)
    again = shop.visit("prepare", take_over=KUBECTL)
    assert again["failed"] and "written the keys" in again["msg"] and shop.given() == [(OLD, "")]


def _container(workload: Any) -> Any:
    return workload["spec"]["template"]["spec"]["containers"][0]


def test_a_secret_that_is_taken_in_whole_is_left_and_overridden(cluster, tmp_path):
    cluster.secret("theirs", SECRET_KEY=OLD, OTHER="x")
    shop = Shop(cluster, tmp_path, env=[], env_from=[{"secretRef": {"name": "theirs"}}])
    assert shop.look(known=[FOLD])["evidence"]["workers"][0]["problem"]["kind"] == "mutable"
    assert shop.visit("adopt")["proven"]
    assert shop.look(known=[FOLD])["signs"] == FOLD
    assert shop.visit("prepare")["proven"] and shop.given() == [(OLD, NEW)]
    assert "theirs" in shop.secrets()


def test_a_key_that_the_keyring_does_not_know_is_never_overwritten(cluster, tmp_path):
    shop = Shop(cluster, tmp_path, env=[{"name": "SECRET_KEY", "value": ALIEN}])
    answer = shop.visit("adopt", take_over=KUBECTL)
    assert answer["failed"] and fingerprint(ALIEN) in answer["msg"] and not shop.secrets()
    assert shop.visit("adopt", take_over=KUBECTL, replace=[fingerprint(ALIEN)])["proven"]


def test_pods_that_cannot_be_ready_bring_the_old_template_back(shop):
    shop.adopted()
    shop.more = {"timeout": "2s"}
    shop.cluster.crashing = True
    threading.Timer(4.0, lambda: setattr(shop.cluster, "crashing", False)).start()
    answer = shop.visit("prepare")
    assert answer["failed"] and "deployment/web is reloading" in answer["msg"] and answer["did"]["restored"], answer[
        "msg"
    ]
    shop.cluster.wait(lambda: shop.given() == [(OLD, "")])
    assert "kubectl -n shop describe deployment/web" in answer["msg"] and not answer["did"]["down"]


def test_old_only_never_comes_back_once_anyone_may_sign_with_the_new_key(shop):
    shop.adopted()
    assert shop.visit("prepare")["proven"] and shop.visit("promote")["proven"]
    shop.more, shop.cluster.crashing = {"timeout": "2s"}, True
    answer = shop.visit("adopt", counter=9, order=_order("retire"))
    assert answer["failed"] and "new template stays" in answer["msg"] and not answer["did"]["restored"]


def _order(step: str) -> Dict[str, Any]:
    signs, accepts, *_rest = STEPS[step]
    return {
        "signs": signs, "accepts": accepts, "may_sign": [signs], "must_accept": accepts, "may_accept": accepts, "known": ALL, "leaked": [],
        "incident": False,
    }  # fmt: skip


def test_a_pod_of_before_that_still_runs_keeps_the_next_step_waiting(new_cluster, tmp_path):
    shop = Shop(new_cluster(grace=8.0), tmp_path)
    shop.more = {"timeout": "30s"}
    shop.adopted()
    shop.more = {"timeout": "2s"}
    answer = shop.visit("prepare")
    assert answer["failed"] and "terminating) started" in answer["msg"].replace(",", ""), answer["msg"]


def test_secrets_of_ended_keys_go_as_soon_as_the_objects_of_their_pods_have_gone(new_cluster, tmp_path):
    shop = Shop(new_cluster(linger=3.0), tmp_path)
    shop.adopted()
    assert all(shop.visit(step)["proven"] for step in ("prepare", "promote", "retire"))
    assert any(pod["metadata"].get("deletionTimestamp") for pod in shop.cluster.pods())
    assert call.tidy(shop.arguments(), [FOLD]) is None
    (kept,) = shop.secrets()
    assert "-keys-4-" in kept


def test_scaling_in_the_middle_is_seen_through(shop):
    shop.adopted()
    threading.Timer(0.7, lambda: shop.cluster.scale(shop.path, 5)).start()
    assert shop.visit("prepare")["proven"]
    shop.cluster.wait(shop.cluster.settled)
    assert shop.given() == [(OLD, NEW)]


def test_a_visit_under_way_is_seen_and_the_next_one_waits_for_its_end(shop):
    shop.adopted()
    before = len(shop.cluster.asked)
    first: List[Any] = []
    thread = threading.Thread(target=lambda: first.append(shop.visit("prepare")))
    thread.start()
    shop.cluster.wait(lambda: any("PATCH" in one for one in shop.cluster.asked[before:]) or first)
    second = shop.visit("promote")
    thread.join()
    assert first[0]["proven"] and second["proven"] and shop.given() == [(NEW, OLD)]


def test_a_lock_of_a_visit_that_is_gone_ends_by_itself(shop):
    shop.adopted()
    lease = shop.cluster.store.items(shop.cluster.path("leases", group="/apis/coordination.k8s.io/v1"))[0]
    place = shop.cluster.path("leases", lease["metadata"]["name"], "/apis/coordination.k8s.io/v1")
    held = {"holderIdentity": "elsewhere/77/abcd", "leaseDurationSeconds": 600, "renewTime": _ago(60)}
    shop.cluster.store.edit(place, lambda one: one["spec"].update(held))
    shop.more = {"timeout": "1s"}
    answer = shop.visit("prepare")
    assert answer["failed"] and "another visit is still running" in answer["msg"]
    assert shop.look()["evidence"]["visit"] == 77
    shop.cluster.store.edit(place, lambda one: one["spec"].update(renewTime=_ago(700)))
    shop.more = {"timeout": "15s"}
    assert shop.visit("prepare")["proven"]


def _ago(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - seconds))


def test_a_visit_whose_record_another_one_has_written_goes_no_further(shop, monkeypatch):
    from ansible_collections.phased.keys.plugins.plugin_utils._workload import visit

    shop.adopted()
    whole = visit._Visit.secret

    def later(self: Any) -> str:
        place = shop.cluster.path(
            "configmaps", shop.cluster.store.items(shop.cluster.path("configmaps"))[0]["metadata"]["name"]
        )
        shop.cluster.store.edit(place, lambda one: one["data"].update(note="of another visit"))
        return str(whole(self))

    monkeypatch.setattr(visit._Visit, "secret", later)
    answer = shop.visit("prepare")
    assert answer["failed"] and "this one came late" in answer["msg"] and shop.given() == [(OLD, "")]


def test_an_undone_rollout_is_found_and_put_right(shop):
    shop.adopted()
    before = shop.env()
    assert shop.visit("prepare")["proven"]
    shop.cluster.store.edit(shop.path, lambda one: _container(one).update(env=before), "kubectl-rollout")
    shop.cluster.wait(lambda: shop.cluster.settled() and shop.given() == [(OLD, "")])
    assert {one["signs"] for one in shop.look(known=ALL)["evidence"]["workers"]} == {FOLD}
    answer = shop.visit("prepare")
    assert answer["failed"] and "app_keys_take_over=kubectl-rollout" in answer["msg"]
    assert shop.visit("prepare", take_over="kubectl-rollout")["proven"] and shop.given() == [(OLD, NEW)]


def test_a_secret_that_is_gone_gets_a_new_name(shop):
    shop.adopted()
    name = next(one for one in shop.secrets() if "-keys-1-" in one)
    shop.cluster.store.delete(shop.cluster.path("secrets", name))
    looked = shop.look(known=ALL)["evidence"]
    assert {one["problem"]["kind"] for one in looked["workers"]} == {"deleted"}
    assert shop.visit("adopt", counter=5)["proven"] and name not in shop.secrets()


def test_a_secret_made_again_under_its_name_is_not_believed(shop):
    shop.adopted()
    time.sleep(1.1)
    name = shop.secrets()[0]
    shop.cluster.store.delete(shop.cluster.path("secrets", name))
    shop.cluster.secret(name, immutable=True, SECRET_KEY=OLD, SECRET_KEY_FALLBACKS="")
    looked = shop.look(known=ALL)["evidence"]
    assert {one["problem"]["kind"] for one in looked["workers"]} == {"recreated"}


def test_nobody_wanted_is_written_and_proven_by_the_template(shop):
    shop.adopted()
    shop.cluster.scale(shop.path, 0)
    shop.cluster.wait(lambda: not shop.cluster.pods())
    assert shop.visit("prepare")["proven"] and shop.look(known=ALL)["idle"]
    shop.cluster.scale(shop.path, 1)
    shop.cluster.wait(lambda: shop.given() == [(OLD, NEW)])


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("Deployment", {"paused": True}, "is paused"),
        ("StatefulSet", {"updateStrategy": {"type": "OnDelete"}}, "OnDelete"),
        ("DaemonSet", {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}}, "partition 1"),
    ],
)
def test_what_would_never_end_is_refused_before_anything_is_written(kind, change, says, cluster, tmp_path):
    shop = Shop(cluster, tmp_path, kind)
    shop.adopted()
    cluster.store.edit(shop.path, lambda one: one["spec"].update(change), "somebody")
    answer = shop.visit("prepare")
    assert (
        answer["failed"]
        and says in answer["msg"]
        and "Nothing was changed" in answer["msg"]
        and len(shop.secrets()) == 1
    )
