# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Visits of workloads whose Jobs run on: what was given to one stays in it until it ends."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, List, Tuple

import pytest
from cluster import Cluster
from workload_shop import ALL, NEW, OLD, Shop

pytestmark = pytest.mark.slow


def running(cluster: Cluster, folder: Path) -> Tuple[Shop, str]:
    """Return a CronJob of which a Job runs with the old key, and the path of that."""
    shop = Shop(cluster, folder, "CronJob")
    shop.adopted()
    job = cluster.run_job(shop.path)
    cluster.wait(lambda: shop.given() == [(OLD, "")])
    return shop, job


def waiting(shop: Shop) -> Tuple[List[Any], threading.Thread]:
    """Begin a visit, and return when it waits for the Job: where its answer will be, and what it runs in."""
    first: List[Any] = []
    thread = threading.Thread(target=lambda: first.append(shop.visit("prepare")))
    thread.start()
    shop.cluster.wait(lambda: shop.record()["step"] == "prepare" and shop.record()["state"] == "unproven")
    return first, thread


def test_an_old_cluster_has_cron_jobs_in_an_older_version(cluster, tmp_path):
    cluster.kinds.remove("cronjobs")
    shop = Shop(cluster, tmp_path, "CronJob")
    assert "/v1beta1/" in shop.path
    shop.adopted()
    assert shop.visit("prepare")["proven"]


def test_a_job_that_runs_keeps_what_it_was_given_and_is_named(cluster, tmp_path):
    shop, job = running(cluster, tmp_path)
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
    shop, job = running(cluster, tmp_path)
    first, thread = waiting(shop)
    looked = shop.look(known=ALL)["evidence"]
    assert looked["visit"] is None and not first
    assert f"of job/{job.rpartition('/')[2]}" in looked["workers"][0]["called"]
    cluster.finish_job(job)
    thread.join()
    assert first[0]["proven"] and shop.record()["state"] == "proven"


def test_who_waits_for_a_job_goes_no_further_once_another_visit_has_begun(cluster, tmp_path):
    shop, job = running(cluster, tmp_path)
    first, thread = waiting(shop)
    shop.more = {"timeout": "2s"}
    second = shop.visit("prepare", counter=9)
    assert second["failed"] and not second["did"]["restored"]
    cluster.finish_job(job)
    thread.join()
    assert first[0]["failed"] and "this one came late" in first[0]["msg"] and shop.record()["counter"] == 9
