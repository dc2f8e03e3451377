# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One visit of a workload, through the official client, at a cluster on loopback."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path
from typing import Any, Dict, List

import guide_role
import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules.fingerprint import fingerprint
from ansible_collections.phased.keys.plugins.plugin_utils._workload import call
from cluster import APPS, Cluster

pytestmark = pytest.mark.slow

OLD, NEW, ALIEN = (
    "old-key-abcdefghijklmnopqrstuvwxyz",
    "new-key-abcdefghijklmnopqrstuvwxyz",
    "alien-key-abcdefghijklmnopqrstuvw",
)
FOLD, FNEW = fingerprint(OLD), fingerprint(NEW)
ALL = [FOLD, FNEW]
# What each step asks: signs, accepts, may_sign, must_accept, may_accept.
STEPS = {
    "adopt": (FOLD, [FOLD], [FOLD], [FOLD], [FOLD]),
    "prepare": (FOLD, ALL, [FOLD], [FOLD], ALL),
    "promote": (FNEW, [FNEW, FOLD], ALL, ALL, ALL),
    "retire": (FNEW, [FNEW], [FNEW], [FNEW], ALL),
}
TEXT = [{"name": "SECRET_KEY", "value": OLD}, {"name": "COLOUR", "value": "blue"}]
KUBECTL = "kubectl-client-side-apply"


class Shop:
    """The application's workload, visited step by step."""

    def __init__(self, cluster: Cluster, folder: Path, kind: str = "Deployment", env: Any = None, **more: Any) -> None:
        self.cluster = cluster
        self.kubeconfig = cluster.kubeconfig(folder / "kubeconfig")
        self.workload = {
            "kind": kind,
            "name": "web",
            "namespace": cluster.namespace,
            "kubeconfig": str(self.kubeconfig),
        }
        self.path = cluster.deploy("web", TEXT if env is None else env, kind=kind, **more)
        if kind != "CronJob":
            cluster.wait(cluster.settled)
        self.more: Dict[str, Any] = {}

    def arguments(self, **more: Any) -> Dict[str, Any]:
        """What both modules are given."""
        return {
            "name": "shop", "workload": self.workload, "host": "web", "nonce": "n", "settle": "0.2s", "timeout": "15s", **self.more, **more,
        }  # fmt: skip

    def visit(self, step: str, counter: int = 0, check: bool = False, **more: Any) -> Dict[str, Any]:
        """Visit it at a step; `counter` and `ring` say of which keyring."""
        signs, accepts, may_sign, must_accept, may_accept = STEPS[step]
        number = counter or [*STEPS].index(step) + 1
        order = {
            "signs": signs, "accepts": accepts, "may_sign": may_sign, "must_accept": must_accept, "may_accept": may_accept, "known": ALL,
            "leaked": [], "incident": False,
        }  # fmt: skip
        token = {"keyring": more.pop("ring", "ring-1"), "counter": number, "nonce": f"nonce-{number}"}
        asked = {
            "order": order, "token": token, "step": step, "secrets": {FOLD: OLD, FNEW: NEW}, "vouched": True, "converge": True, **more,
        }  # fmt: skip
        return call.answer("env_keys", self.arguments(**asked), check)

    def adopted(self) -> None:
        """Take the keys over, as the first visit does."""
        answer = self.visit("adopt", take_over=KUBECTL)
        assert answer["proven"], answer.get("msg")

    def look(self, **more: Any) -> Dict[str, Any]:
        """Look at it."""
        return call.answer("active_fingerprint", self.arguments(**more), False)

    def given(self) -> List[Any]:
        """What the containers that live were given."""
        return sorted(
            {(one.env.get("SECRET_KEY"), one.env.get("SECRET_KEY_FALLBACKS")) for one in self.cluster.living()}
        )

    def env(self) -> List[Any]:
        """The entries of the template."""
        spec: Any = self.cluster.store.get(self.path)["spec"]
        spec = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
        return spec["template"]["spec"]["containers"][0]["env"]

    def secrets(self) -> List[str]:
        """The Secrets that there are."""
        return [one["metadata"]["name"] for one in self.cluster.store.items(self.cluster.path("secrets"))]

    def record(self) -> Any:
        """What the record says."""
        found = self.cluster.store.items(self.cluster.path("configmaps"))
        return json.loads(found[0]["data"]["record"]) if found else None


@pytest.fixture
def shop(cluster: Cluster, tmp_path: Path) -> Shop:
    """A Deployment whose key stands in its template as text."""
    return Shop(cluster, tmp_path)


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
    first: List[Any] = []
    thread = threading.Thread(target=lambda: first.append(shop.visit("prepare")))
    thread.start()
    shop.cluster.wait(lambda: any("PATCH" in one for one in shop.cluster.asked[-40:]) or first)
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


def test_an_old_cluster_has_cron_jobs_in_an_older_version(cluster, tmp_path):
    cluster.kinds.remove("cronjobs")
    shop = Shop(cluster, tmp_path, "CronJob")
    assert "/v1beta1/" in shop.path
    shop.adopted()
    assert shop.visit("prepare")["proven"]


def test_a_job_that_runs_keeps_what_it_was_given_and_is_named(cluster, tmp_path):
    shop = Shop(cluster, tmp_path, "CronJob")
    shop.adopted()
    job = cluster.run_job(shop.path)
    cluster.wait(lambda: shop.given() == [(OLD, "")])
    shop.more = {"timeout": "2s"}
    answer = shop.visit("prepare")
    assert (
        answer["failed"]
        and "what was changed stays" in answer["msg"]
        and f"of job/{job.rpartition('/')[2]}" in answer["msg"]
        and "started 20" in answer["msg"]
    )
    cluster.finish_job(job)
    assert shop.visit("prepare")["proven"]
    cluster.run_job(shop.path)
    cluster.wait(lambda: shop.given() == [(OLD, NEW)])


def test_a_job_that_runs_is_waited_for_without_the_lock(cluster, tmp_path):
    shop = Shop(cluster, tmp_path, "CronJob")
    shop.adopted()
    job = cluster.run_job(shop.path)
    cluster.wait(lambda: shop.given() == [(OLD, "")])
    first: List[Any] = []
    thread = threading.Thread(target=lambda: first.append(shop.visit("prepare")))
    thread.start()
    cluster.wait(lambda: shop.record()["step"] == "prepare" and shop.record()["state"] == "unproven")
    looked = shop.look(known=ALL)["evidence"]
    assert looked["visit"] is None and not first
    assert f"of job/{job.rpartition('/')[2]}" in looked["workers"][0]["called"]
    cluster.finish_job(job)
    thread.join()
    assert first[0]["proven"] and shop.record()["state"] == "proven"


def test_who_waits_for_a_job_goes_no_further_once_another_visit_has_begun(cluster, tmp_path):
    shop = Shop(cluster, tmp_path, "CronJob")
    shop.adopted()
    job = cluster.run_job(shop.path)
    cluster.wait(lambda: shop.given() == [(OLD, "")])
    first: List[Any] = []
    thread = threading.Thread(target=lambda: first.append(shop.visit("prepare")))
    thread.start()
    cluster.wait(lambda: shop.record()["step"] == "prepare" and shop.record()["state"] == "unproven")
    shop.more = {"timeout": "2s"}
    second = shop.visit("prepare", counter=9)
    assert second["failed"] and not second["did"]["restored"]
    cluster.finish_job(job)
    thread.join()
    assert first[0]["failed"] and "this one came late" in first[0]["msg"] and shop.record()["counter"] == 9


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
