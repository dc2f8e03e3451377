# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from measured runs, without measuring."""

from __future__ import annotations

import json
from typing import Any

import figures
import machine_facts
import measuring
import page
import plan
import plot
import pytest
import variants
import yaml

VISITS = [{"name": "Survey", "serial": [], "contacts": 4}, {"name": "Prepare", "serial": [1, "25%"], "contacts": 4}]


def used(wall: float, controller: float = 1.0) -> dict[str, Any]:
    """One run."""
    return {"wall": wall, "controller": controller, "hosts": 2.0, "memory": 60.0, "contacts": 8}


def shape(hosts: int, connection: str, **runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The results of one shape."""
    middle = figures.medians(runs)
    return {
        "name": f"{hosts} hosts, {connection}, forks 50", "hosts": hosts, "forks": 50, "connection": connection, "visits": VISITS,
        "runs": runs, "medians": middle, "ratios": figures.ratios(middle), "left_out": [],
    }  # fmt: skip


RESULT = {
    "date": "2026-11-23",
    "seconds": 60,
    "machine": {"cores": 2, "memory_gib": 8, "cpu": "a processor", "kernel": "6.1", "load_before": 0.1},
    "versions": {"ansible-core": "2.19", "python": "3.11"},
    "ssh_left_out": None,
    "settle": {"hosts": 10, "without": 2.0, "with_default": 32.0},
    "spread": {
        "hosts": 4,
        "forks": 5,
        "restart": 1.0,
        "serials": [{"serial": [1, "50%"], "batches": [1, 2, 1], "seconds": 3.21}],
    },
    "shapes": [
        shape(10, "ssh", a=[used(3.0)], b=[used(30.0, 10.0)], c=[used(3.0)]),
        shape(200, "ssh", a=[used(22.0)], c=[used(20.0)]),
    ],
}


def test_medians_and_ratios_are_of_the_variants_that_were_run():
    runs = {"a": [used(1.0), used(9.0), used(2.0)], "b": [used(20.0, 10.0)], "c": []}
    middle = figures.medians(runs)
    assert middle["a"]["wall"] == 2.0
    assert "c" not in middle
    assert figures.ratios(middle) == {"a/b wall": 0.1, "a/b controller": 0.1}


@pytest.mark.parametrize(
    ("by_hand", "floor", "says"),
    [
        (used(10.0, 10.0), used(1.0), []),
        (used(6.0, 10.0), used(1.0), ["a/b in wall time is 0.167, and may be 0.15 at most"]),
        (used(10.0, 5.0), used(1.0), ["a/b in processor time of the controller is 0.200, and may be 0.15 at most"]),
        (used(10.0, 10.0), used(0.8), ["a/c in wall time is 1.250, and may be 1.15 at most"]),
    ],
)
def test_a_bound_that_does_not_hold_is_said(by_hand, floor, says):
    assert figures.broken(figures.medians({"a": [used(1.0)], "b": [by_hand], "c": [floor]}), figures.GOALS) == says


def test_a_variant_that_was_not_run_breaks_no_bound():
    assert figures.broken(figures.medians({"a": [used(1.0)], "b": [], "c": [used(1.0)]}), figures.GOALS) == []


def test_the_line_goes_through_points_that_lie_on_one_and_never_starts_below_zero():
    assert figures.line([(10, 3.0), (50, 7.0), (200, 22.0)]) == pytest.approx((2.0, 0.1))
    fixed, slope = figures.line([(10, 1.0), (50, 10.0)])
    assert fixed == 0.0 and slope > 0
    assert figures.line([(10, 5.0)]) == (0.0, 0.5)


@pytest.mark.parametrize(("power", "growth"), [(1, 1.0), (2, 2.0), (0, 0.0)])
def test_growth_is_told_by_its_exponent(power, growth):
    assert figures.exponent({size: 0.003 * size**power for size in (300, 1000, 10000)}) == pytest.approx(growth)
    # What every call costs, whatever the fleet, makes it smaller.
    assert figures.exponent({size: 5.0 + size**2 for size in (300, 1000, 10000)}) < 2.0


def test_batches_are_those_that_ansible_makes():
    assert figures.batches(24, [1, "25%"]) == [1, 6, 6, 6, 5]
    assert figures.batches(24, [1, 10]) == [1, 10, 10, 3]
    assert figures.batches(3, [1, "25%"]) == [1, 1, 1]
    assert figures.batches(24, ["100%"]) == [24]


def test_the_floor_makes_the_visits_of_the_rollout():
    survey, prepare = variants.floor_plays(VISITS, 4, variants.NOTHING["c"])
    assert "serial" not in survey and len(survey["tasks"]) == 1
    assert prepare["serial"] == [1, "25%"]
    (twice,) = variants.floor_plays([{**VISITS[0], "contacts": 8}], 4, variants.NOTHING["c_raw"])
    assert [task["ansible.builtin.raw"]["cmd"] for task in twice["tasks"]] == ["true", "true"]


def test_what_ran_on_hosts_is_told_apart_from_the_controller():
    lines = [
        {"play": "Survey", "serial": []},
        {"contact": 0, "children": 0.25},
        {"contact": 0, "children": 0.5},
        {"memory": 60.0},
    ]
    reaped = {"controller": 2.0, "sshd": 0.0, "application": 0.0}
    local = measuring.told_apart(lines, reaped, ssh=False)
    assert (local["controller"], local["hosts"], local["contacts"]) == (1.25, 0.75, 2)
    assert local["plays"] == [{"name": "Survey", "serial": [], "contacts": 2}]
    # Over ssh the workers' children are clients.
    ssh = measuring.told_apart(lines, {**reaped, "sshd": 3.0}, ssh=True)
    assert (ssh["controller"], ssh["hosts"]) == (2.0, 3.0)


def test_the_variants_take_turns():
    order = list(plan.rounds(plan.Shape(2, 1, "local", {"a": 2, "b": 1, "c": 2})))
    assert order == [(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "c")]


def test_the_full_run_has_every_shape_and_leaves_out_what_takes_too_long():
    shapes = {(shape.hosts, shape.forks, shape.connection): shape.repeats for shape in plan.full()}
    assert len(shapes) == 12
    assert all("a" in repeats for repeats in shapes.values())
    assert [place for place, repeats in shapes.items() if "b" in repeats] == [
        (50, 10, "local"),
        (50, 10, "ssh"),
        (10, 10, "local"),
        (10, 10, "ssh"),
    ]
    assert max(shape.hosts for shape in plan.full(50)) == 50


def test_a_run_that_does_not_fit_into_the_time_is_left_out():
    clock = plan.Clock(100)
    ten, hundred = plan.Shape(10, 5, "ssh", {"b": 1}), plan.Shape(100, 5, "ssh", {"b": 1})
    assert clock.fits(hundred, "b")  # nothing is known yet
    clock.took(ten, "b", 20)
    assert clock.fits(ten, "b") and not clock.fits(hundred, "b")


def test_the_page_takes_every_part_and_takes_it_again():
    made = page.parts(RESULT)
    text = page.PAGE.read_text()
    once = page.filled(text, made)
    assert page.filled(once, made) == once
    assert "| 10 hosts, ssh, forks 50 | by hand | 1 | 30.0 s |" in once
    assert "| 100 | 1 s | 12 s | between measured ones |" in once
    assert "| 1,000 | 1 s | 102 s | extrapolated |" in once
    assert '| `[1, "50%"]` | 1, 2, 1 | 3.2 s |' in once
    with pytest.raises(ValueError, match="0 places"):
        page.filled("nothing", made)


def test_the_plot_is_a_picture_with_a_bar_for_each_median():
    picture = plot.svg(RESULT["shapes"], "A & B")
    assert picture.count("<title>") == 5
    assert "A &amp; B" in picture
    assert plot.place(10.0, 2) - plot.place(1.0, 2) == pytest.approx(plot.place(100.0, 2) - plot.place(10.0, 2))


def test_the_machine_is_described_and_not_named():
    facts = json.dumps(machine_facts.facts())
    assert machine_facts.platform.node() not in facts
    assert machine_facts.cpu_model("processor : 0\nmodel name\t: A processor\n") == "A processor"


def test_the_playbook_by_hand_needs_no_collection():
    folder = variants.HERE / "byhand"
    words = {"name", "register", "until", "retries", "delay", "notify", "no_log", "changed_when", "vars", "run_once"}
    for path in ("phase.yml", "gate.yml", "handlers.yml"):
        for task in yaml.safe_load((folder / path).read_text()):
            assert all(name.startswith("ansible.builtin.") for name in set(task) - words)
