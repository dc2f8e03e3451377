# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which fleet can be taken over as it stands, and with which keys."""

from __future__ import annotations

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import proof, remedies
from ansible_collections.phased.keys.plugins.module_utils._host.rules.proof import Finding
from ansible_collections.phased.keys.plugins.module_utils._rules import adoption, next_step, steps
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules.survey import Looks
from builders import (
    DAY,
    FLEET,
    FP,
    NEW,
    NEXT,
    NONCE,
    OLD,
    SECRETS,
    SOAK,
    T0,
    at,
    env_file,
    fleet_of,
    idle,
    outsider,
    record,
    seen,
    states,
    survey,
    texts,
    unit,
    worker,
)

RING = at("adopted")


def host(*keys, **changes):
    return seen(RING, *(keys or (OLD,)), **{"record": None, **changes})


def nothing(**changes):
    """A fresh host: no file, no worker."""
    return idle(RING, **{"record": None, "files": [env_file(changed=None, problem="absent")], **changes})


def judge(fleet=FLEET, look=None, default=None, **odd):
    evidence = {member: host(machine=member) if default is None else default() for member in fleet}
    for member, entry in odd.items():
        evidence[member.replace("_", "-")] = entry
    return adoption.judge(
        Looks(fleet, {member: entry for member, entry in evidence.items() if entry is not None}, look or survey())
    )


def test_a_fleet_that_agrees_is_adopted_with_its_key():
    plan = judge()
    assert (plan.accepts, plan.source, plan.findings) == ([OLD], "web-1", {})
    assert (plan.signing, plan.partly_accepted, plan.gone, plan.keyring, plan.counter) == ([OLD], [], [], None, 0)


@pytest.mark.parametrize(
    "keys, expected",
    [
        ([OLD], [OLD]),
        ([OLD, NEW], [OLD, NEW]),
        ([NEW, OLD], [NEW, OLD]),
        ([OLD, NEW, NEXT], [OLD, *sorted([NEW, NEXT])]),
    ],
)
def test_the_signing_key_comes_first_and_accepted_ones_come_along(keys, expected):
    assert judge(default=lambda: host(*keys)).accepts == expected


def test_the_order_in_which_hosts_list_what_they_accept_does_not_matter():
    assert judge(default=lambda: host(OLD, NEW, NEXT), web_2=host(OLD, NEXT, NEW)).findings == {}


def test_a_fleet_without_any_key_gets_a_fresh_one():
    assert judge(default=nothing) == adoption.Adoption()


def test_a_fresh_host_among_others_takes_their_key_and_is_not_asked_for_it():
    plan = judge(web_1=nothing())
    assert (plan.accepts, plan.source, plan.findings) == ([OLD], "web-2", {})


def test_an_idle_host_with_a_file_is_as_good():
    plan = judge(default=lambda: idle(RING, record=None))
    assert (plan.accepts, plan.source, plan.findings) == ([OLD], "web-1", {})


def test_1_a_fleet_of_no_hosts_is_an_error():
    nobody = [Finding("the fleet has no hosts", "give the inventory with -i")]
    assert adoption.judge(Looks([], {}, survey())) == adoption.Adoption(findings={"(nobody)": nobody})


@pytest.mark.parametrize(
    "entry, said",
    [
        (None, "was not looked at"),
        (host(nonce="survey-0"), "what was seen of it is from another run"),
        (host(asked=1.0), "the evidence is 16m 49s old, and 5m is the limit"),
        (host(visit=77), "a visit of it is still running (pid 77)"),
    ],
)
def test_1_unknown_is_unsafe_at_adopt_too(entry, said):
    plan = judge(web_2=entry)
    assert texts(plan.findings) == [said]
    assert all(finding.advice for finding in plan.findings["web-2"])
    assert (plan.accepts, plan.source) == ((), None)


def test_1_why_a_host_was_not_looked_at_is_said_of_that_host():
    plan = judge(look=survey(web_2="no ssh to it -> see its network"), web_2=None)
    assert plan.findings == {"web-2": [Finding("no ssh to it", "see its network")]}


@pytest.mark.parametrize("state", ["proven", "visiting", "unproven"])
def test_4_a_host_that_was_rolled_with_a_keyring_is_not_adopted_into_another(state):
    (finding,) = judge(web_2=host(record=record(RING, state=state))).findings["web-2"]
    assert finding.seen == "was rolled with the keyring ring-1, last at 2023-11-14T22:13:20Z"
    assert "use that keyring" in finding.advice


# --- in the middle of somebody's rotation --------------------------------------


def test_hosts_that_refuse_what_others_sign_are_named_one_by_one():
    plan = judge(web_2=host(NEW))
    assert set(plan.findings) == set(FLEET)
    (file, *_workers) = plan.findings["web-2"]
    assert file.seen == f"/etc/shop.env signs with {NEW} and does not accept {OLD}, with which web-1 signs"
    assert file.advice == f"let it accept {OLD} too, restart it, then run phased.keys.adopt again"
    assert (plan.accepts, plan.source) == ((), None)


def test_a_refused_key_is_named_with_a_host_that_signs_with_it_and_not_with_the_first_one():
    plan = judge(web_1=host(OLD, NEW), web_2=host(NEW, OLD))
    assert list(plan.findings) == ["web-3"]
    assert {text.partition(", with which ")[2] for text in texts(plan.findings, "web-3")} == {"web-2 signs"}


@pytest.mark.parametrize(
    "entry",
    [
        host(OLD, files=[env_file(NEW)]),
        host(OLD, files=[env_file(NEW, OLD)]),
        host(OLD, workers=[worker(1, OLD), worker(2, NEW)]),
        host(OLD, workers=[worker(1, OLD), worker(2, NEW, OLD)]),
    ],
)
def test_a_host_whose_workers_and_file_do_not_accept_each_other_is_refused(entry):
    assert texts(judge(("web-1",), web_1=entry).findings, "web-1")


@pytest.mark.parametrize(
    "odd, signs, partly_accepted",
    [
        # Taught to some hosts, or let go of on some: every host is to accept it, and it soaks.
        ({"web_2": host(OLD, NEW)}, OLD, [NEW]),
        ({"web_1": host(OLD, NEW), "web_2": host(OLD, NEW)}, OLD, [NEW]),
    ],
)
def test_a_key_that_some_hosts_accept_besides_is_taught_to_all(odd, signs, partly_accepted):
    plan = judge(**odd)
    assert (plan.findings, plan.accepts, plan.partly_accepted) == ({}, [signs, NEW], partly_accepted)


def both(signs, accepts, changed=1.0, **changes):
    return host(signs, accepts, files=[env_file(signs, accepts, changed=changed)], **changes)


@pytest.mark.parametrize(
    "hosts, signs",
    [
        ([both(NEW, OLD), both(OLD, NEW), both(OLD, NEW)], OLD),
        ([both(NEW, OLD), both(NEW, OLD), both(OLD, NEW)], NEW),
        ([both(NEW, OLD, changed=2.0), both(OLD, NEW)], NEW),
        ([both(NEW, OLD), both(OLD, NEW, changed=2.0)], OLD),
    ],
)
def test_hosts_that_sign_with_different_keys_that_all_accept_go_where_most_are_or_the_newest_file(hosts, signs):
    fleet = FLEET[: len(hosts)]
    plan = judge(fleet, **{member.replace("-", "_"): entry for member, entry in zip(fleet, hosts)})
    assert (plan.findings, plan.accepts[0], plan.signing) == ({}, signs, sorted([OLD, NEW]))
    assert "some hosts sign with" in adoption.taken_over(plan)


def test_where_nothing_else_tells_the_newest_file_does_and_not_that_of_the_other_key():
    """On each host the file was written anew, and the workers run on with the key of before."""
    plan = judge(default=lambda: both(NEW, OLD, workers=[worker(1, OLD, NEW)]))
    assert (plan.findings, plan.accepts) == ({}, [NEW, OLD])
    plan = judge(("web-1", "web-2"), web_1=both(NEW, OLD), web_2=both(OLD, NEW))
    assert plan.accepts[0] == min(OLD, NEW), "two runs that see the same decide the same"


@pytest.mark.parametrize(
    "changes, said",
    [
        ({}, ""),
        ({"signing": [OLD]}, ""),
        ({"signing": [OLD, NEW, NEXT]}, f"some hosts sign with {NEW}, {NEXT}, and will sign with {OLD}"),
        ({"partly_accepted": [NEW, NEXT]}, f"some hosts do not accept {NEW}, {NEXT} yet, and will"),
        ({"gone": [NEW]}, f"some hosts still accept {NEW}, and will not any more"),
        (
            {"signing": [NEW, OLD], "partly_accepted": [NEXT], "gone": [FP[4]]},
            f"some hosts sign with {NEW}, and will sign with {OLD}; some hosts do not accept {NEXT} yet, and will; "
            f"some hosts still accept {FP[4]}, and will not any more",
        ),
    ],
)
def test_it_is_said_in_what_state_a_fleet_is_taken_over(changes, said):
    assert adoption.taken_over(adoption.Adoption(accepts=[OLD], **changes)) == said


def test_what_a_takeover_lists_stands_in_one_order():
    keys = [FP[number] for number in (7, 6, 5, 4, 3)]
    plan = judge(web_1=host(OLD, *keys))
    assert (plan.accepts, plan.partly_accepted) == ([OLD, *sorted(keys)], sorted(keys))
    everywhere = [both(key, OLD) for key in (OLD, *keys)]
    for entry in everywhere:
        for holder in [*entry["files"], *entry["workers"]]:
            holder["accepts"] = [OLD, *keys]
    fleet = [f"web-{number}" for number in range(len(everywhere))]
    assert adoption.judge(Looks(fleet, dict(zip(fleet, everywhere)), survey())).signing == sorted([OLD, *keys])


def test_keys_that_no_single_host_holds_cannot_be_read():
    plan = judge(web_1=host(OLD, NEW), web_2=host(OLD, NEXT))
    assert set(plan.findings) == set(FLEET)
    assert "give one host all of" in plan.findings["web-1"][0].advice
    assert texts(plan.findings, "web-1") == [f"signs with {OLD} and accepts {NEW}"]
    assert texts(plan.findings, "web-3") == [f"signs with {OLD}"]


def start(plan, secrets):
    return steps.Start(
        secrets=[secrets[key] for key in plan.accepts], origin="adopted", gone=[secrets[key] for key in plan.gone],
        signing=plan.signing, partly_accepted=plan.partly_accepted, leaked=plan.leaked, counter=plan.counter + 1,
    )  # fmt: skip


def taken_over(plan):
    secrets = dict(zip(FP, SECRETS))
    form = {"framework": "django", "settings": {}}
    return steps.adopt(
        "shop", plan.keyring or "ring-1", "n9", start(plan, secrets), FLEET, form, SOAK, {"how": "trust"}, T0
    )


def test_while_a_takeover_is_open_all_that_was_found_is_safe_and_afterwards_only_what_is_wanted():
    keyring = taken_over(judge(web_1=both(NEW, OLD), web_2=both(OLD, NEW), web_3=host(OLD, NEW, NEXT)))
    order = keyrings.order(keyring)
    assert (order.signs, set(order.accepts)) == (OLD, {OLD, NEW, NEXT})
    for signs, accepts in ((NEW, [NEW, OLD]), (OLD, [OLD, NEW]), (OLD, [OLD, NEW, NEXT])):
        assert order.admits(signs, accepts)
    assert not order.admits(OLD, [OLD])
    order = keyrings.order(steps.close_step(keyring, T0 + 60))
    assert not order.admits(NEW, [NEW, OLD, NEXT])
    assert not order.admits(OLD, [OLD, NEW])
    assert keyrings.check(keyring) == keyring


# --- a keyring that was lost ---------------------------------------------------


def lost(name, *keys, **changes):
    """A host as the step of a lost keyring left it."""
    return seen(at(name), *keys, **changes)


def recover(**hosts):
    fleet = [member.replace("_", "-") for member in hosts]
    return adoption.judge(Looks(fleet, dict(zip(fleet, hosts.values())), survey()), recover=True)


def test_7_a_lost_keyring_is_rebuilt_from_what_the_hosts_hold_a_step_later():
    plan = recover(web_1=lost("promoted"), web_2=lost("promoted"))
    assert (plan.keyring, plan.counter, plan.accepts) == ("ring-1", 3 + adoption.UNSEEN, [NEW, OLD])
    keyring = taken_over(plan)
    assert (keyring["id"], keyring["step"]["counter"]) == ("ring-1", 6)
    assert states(keyring) == {NEW: "primary", OLD: "retiring"}


@pytest.mark.parametrize(
    "one, two, accepts, gone",
    [
        (lost("prepare"), lost("adopted"), [OLD, NEW], []),
        (lost("promote"), lost("prepared"), [NEW, OLD], []),
        (lost("retire"), lost("promoted"), [NEW], [OLD]),
    ],
)
def test_7_in_the_middle_of_a_step_the_fleet_goes_on_with_what_the_last_step_proved(one, two, accepts, gone):
    for plan in (recover(web_1=one, web_2=two), recover(web_1=two, web_2=one)):
        assert (plan.findings, plan.accepts, plan.gone) == ({}, accepts, gone)


@pytest.mark.parametrize(
    "one, two, accepts, gone",
    [
        # What somebody taught one host by hand is not what the last step let go of: it was a promote.
        (lost("promoted"), lost("promoted", NEW, OLD, NEXT), [NEW, *sorted([OLD, NEXT])], []),
        # Retire was cut off before its first host was proven: nobody knows that it may let go.
        (lost("retire", record=record(at("retire"), state="visiting")), lost("promoted"), [NEW, OLD], []),
        (lost("retire"), lost("promoted", NEW, OLD, NEXT), [NEW], sorted([OLD, NEXT])),
        # A host that came in between has nothing, and no record.
        (lost("promoted"), nothing(), [NEW, OLD], []),
        (nothing(), lost("promoted"), [NEW, OLD], []),
    ],
)
def test_7_only_what_a_proven_host_has_let_go_of_is_gone(one, two, accepts, gone):
    plan = recover(web_1=one, web_2=two)
    assert (plan.findings, plan.accepts, plan.gone) == ({}, accepts, gone)


def test_7_the_file_of_the_host_that_the_last_step_proved_tells_and_not_its_workers():
    """Its workers were started with an older one since; and the others have not been promoted."""
    last = lost("promoted", files=[env_file(NEW, OLD)], workers=[worker(1, OLD, NEW)])
    plan = recover(web_1=lost("prepared"), web_2=lost("prepared"), web_3=last)
    assert (plan.findings, plan.accepts) == ({}, [NEW, OLD])


def test_7_what_one_proven_host_of_the_last_step_signs_with_counts_more_than_what_most_do():
    behind = [lost("prepared") for _host in range(3)]
    others = {f"web_{number}": entry for number, entry in enumerate([lost("prepared", NEW, OLD), *behind], 2)}
    plan = recover(web_1=lost("promoted"), **others)
    assert (plan.findings, plan.accepts) == ({}, [NEW, OLD])
    assert plan.counter == 3 + adoption.UNSEEN, "and it goes on after the last step that any host has seen"


def test_7_a_record_of_an_earlier_release_tells_of_no_leaked_key():
    kept = record(at("promoted"))
    del kept["leaked"]
    assert recover(web_1=lost("promoted", record=kept)).leaked == []


def test_7_a_key_that_was_being_let_go_of_is_not_taught_again():
    keyring = taken_over(recover(web_1=lost("retire"), web_2=lost("promoted")))
    order = keyrings.order(keyring)
    assert (order.accepts, order.may_accept) == ([NEW], sorted([NEW, OLD]))
    assert states(steps.close_step(keyring, T0 + 60)) == {OLD: "retired", NEW: "primary"}


def test_7_what_had_leaked_is_still_marked():
    keyring = taken_over(recover(web_1=lost("promoted", record=record(at("promoted"), leaked=[OLD]))))
    assert keyrings.find(keyring, OLD)["marks"] == ["compromised"]
    assert keyrings.find(keyring, NEW)["marks"] == []


def test_5_a_keyring_that_was_recovered_is_not_rolled_at_once():
    keyring = steps.close_step(taken_over(recover(web_1=lost("retired"))._replace(counter=9)), T0)
    keyring["keys"][-1]["origin"] = "recovered"
    assert next_step.decide(keyring, "prepare", "rollout", T0 + 60).action == "skip"
    assert next_step.decide(keyring, "prepare", "rollout", T0 + 2 * DAY).action == "open"


def test_7_hosts_of_two_keyrings_are_not_made_one():
    other = lost("promoted", record={**record(at("promoted")), "keyring": "ring-2"})
    found = recover(web_1=lost("promoted"), web_2=other, web_3=nothing()).findings
    todo = "hosts of several fleets cannot be one: choose those of one keyring with app_keys_hosts"
    assert {finding.advice for findings in found.values() for finding in findings} == {todo}
    assert {member: texts(found, member) for member in found} == {
        "web-1": ["was rolled with the keyring ring-1"], "web-2": ["was rolled with the keyring ring-2"],
    }  # fmt: skip


def test_7_without_any_record_there_is_nothing_to_recover():
    (finding,) = recover(web_1=lost("promoted", record=None)).findings["web-1"]
    assert finding == Finding("has no record of any keyring", "run phased.keys.adopt without app_keys_recover")


def test_7_a_lost_keyring_is_not_replaced_unasked():
    (finding,) = judge(web_2=host(record=record(RING))).findings["web-2"]
    assert "if it is lost, give -e app_keys_recover=true" in finding.advice


def test_a_worker_whose_age_no_visit_could_date_yet_is_taken_over_by_what_its_file_says():
    found = judge(web_2=host(workers=[worker(9, problem="undated")]))
    assert not found.findings
    assert found.accepts == judge().accepts


@pytest.mark.parametrize("kind", ["unreadable", "overwritten", "absent", "empty", "not_a_list", "stale"])
def test_2_a_worker_whose_keys_cannot_be_seen_keeps_its_host_from_being_adopted(kind):
    assert texts(judge(web_2=host(workers=[worker(9, problem=kind)])).findings) == [
        f"pid 9 (gunicorn: worker): the text for {kind}"
    ]


@pytest.mark.parametrize("kind", ["absent", "empty", "not_a_list", "twice", "not_literal", "broken"])
def test_a_running_host_whose_file_cannot_be_read_is_not_adopted(kind):
    todo = remedies.PROBLEMS.get(kind, "fix it, and run again")
    found = judge(web_2=host(files=[env_file(problem=kind)])).findings["web-2"]
    assert found == [Finding(f"/etc/shop.env: the text for {kind}", todo)]


@pytest.mark.parametrize("kind", ["empty", "not_a_list", "twice"])
def test_a_fresh_host_with_a_file_that_cannot_be_read_is_not_adopted(kind):
    assert texts(judge(web_2=nothing(files=[env_file(problem=kind)])).findings) == [
        f"/etc/shop.env: the text for {kind}"
    ]


def test_2_a_process_that_nobody_named_keeps_its_host_from_being_adopted():
    findings = judge(web_2=host(others=[outsider()])).findings
    assert findings["web-2"] == proof.outsiders(host(), [outsider()], "a restart")
    assert "(celery worker) holds" in texts(findings)[0]


def test_2_members_on_one_machine_do_not_accuse_each_other():
    one = host(workers=[worker(1, OLD)], others=[outsider(2)])
    two = host(workers=[worker(2, OLD)], others=[outsider(1)])
    assert judge(web_1=one, web_2=two).findings == {}
    assert list(judge(web_1=one, web_2={**two, "machine": "boot-9/1"}).findings) == ["web-1", "web-2"]


@pytest.mark.parametrize(
    "changes",
    [
        {"settled": False},
        {"units": [unit("activating", sub="auto-restart")]},
        {"units": [unit("inactive", load="not-found")], "workers": []},
    ],
)
def test_9_a_host_that_does_not_run_steadily_is_not_adopted(changes):
    assert list(judge(web_2=host(**changes)).findings) == ["web-2"]


@pytest.mark.parametrize(
    "checks, bad",
    [
        ({member: {"ok": True, "text": ""} for member in FLEET}, []),
        ({"web-1": {"ok": True, "text": ""}, "web-3": {"ok": True, "text": ""}}, ["web-2"]),
        (
            {"web-1": {"ok": True, "text": ""}, "web-2": None, "web-3": {"ok": False, "text": "exit 1"}},
            ["web-2", "web-3"],
        ),
        ({}, list(FLEET)),
    ],
)
def test_2_the_application_check_has_to_pass_on_every_member(checks, bad):
    assert list(adoption.check_findings(FLEET, checks)) == bad


def test_2_a_failed_application_check_says_what_it_said():
    (finding,) = adoption.check_findings(
        ["web-1"], {"web-1": {"ok": False, "text": "SECRET_KEY_FALLBACKS is not read"}}
    )["web-1"]
    todo = "correct the application's settings, or app_keys_app_check"
    assert finding == Finding("the application check failed: SECRET_KEY_FALLBACKS is not read", todo)


def test_2_without_an_application_check_its_ways_are_said():
    assert all(word in adoption.CHECK for word in ("app_keys_app_check", "python", "manage", "trust"))


def test_the_fleet_of_these_tests_is_whole():
    assert set(fleet_of(RING)) == set(FLEET)
    assert seen(RING)["nonce"] == NONCE


# --- a recovery that was cut off ------------------------------------------------


def begun(origin):
    start = steps.Start(SECRETS[1:3], origin)
    return steps.adopt(
        "shop", "r", "n", start, FLEET, {"framework": "django", "settings": {}}, SOAK, {"how": "trust"}, T0
    )


def test_the_same_command_goes_on_with_a_recovery_that_was_cut_off_and_with_no_other_keyring():
    keyring = begun("recovered")
    assert adoption.recovering(keyring)
    assert not adoption.recovering(steps.close_step(keyring, T0 + DAY)), "it is done"
    assert not adoption.recovering(begun("adopted"))
    closed = steps.close_step(keyring, T0 + DAY)
    assert not adoption.recovering(steps.open_step(closed, "prepare", T0 + DAY, "n2", SECRETS[4])), (
        "it was rolled since"
    )
