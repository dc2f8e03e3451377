# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The application's own word: which answers count, and what follows from those that were heard."""

from __future__ import annotations

import json
from typing import Any, Dict, List, Optional

import pytest
from ansible_collections.phased.keys.plugins.module_utils._host.rules import (
    proof,
    proofs,
    remedies,
    variables,
    visit,
    word,
)
from ansible_collections.phased.keys.plugins.module_utils._rules import keyring as keyrings
from ansible_collections.phased.keys.plugins.module_utils._rules import wording
from builders import FLEET, NEW, OLD, at, fleet_of, seen, surveyed, worker

A, B = "a" * 16, "b" * 16
GOOD = {"pid": 7, "signs": A, "accepts": [A, B]}
HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "raw, ended, found",
    [
        (b"", False, None),
        (HEAD, False, None),
        (HEAD + b"\r\n{}", False, None),
        (HEAD + b"\r\n{}", True, b"{}"),
        (b"HTTP/1.0 200\r\n\r\n{}", True, b"{}"),
        (HEAD + b"Content-Length: 2\r\n\r\n{", False, None),
        (HEAD + b"content-length:2\r\nX: y\r\n\r\n{}more", False, b"{}"),
        (HEAD + b"Transfer-Encoding: identity\r\n\r\n{}", True, b"{}"),
    ],
)
def test_a_body_is_complete_by_its_length_or_with_the_connection(
    raw: bytes, ended: bool, found: Optional[bytes]
) -> None:
    assert word.body(raw, ended) == found


@pytest.mark.parametrize(
    "raw, ended, why",
    [
        (b"", True, "closed the connection without an answer"),
        (HEAD, True, "ends before it has begun"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", False, "is not HTTP"),
        (b"HTTP/2 200\r\n\r\n", False, "is not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", False, "is not HTTP"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://10.0.0.1/\r\n\r\n", False, "redirects to another place (status 301)"),
        (b"HTTP/1.1 404 Not Found\r\n\r\nhunter2", True, "answers with status 404"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True, "answers with status 204"),
        (HEAD + b"Content-Length: 3\r\n\r\n{}", True, "ends before it is complete"),
        (HEAD + b"Content-Length: -3\r\n\r\n{}", True, "a length that is no number"),
        (HEAD + b"Content-Length: 65537\r\n\r\n{}", False, "longer than 64 KiB"),
        (HEAD + b"\r\n" + b"x" * 65536, False, "longer than 64 KiB"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", True, "in pieces"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_said_and_never_shown(raw: bytes, ended: bool, why: str) -> None:
    with pytest.raises(word.WordError) as error:
        word.body(raw, ended)
    assert why in str(error.value) and "hunter2" not in str(error.value) and "10.0.0.1" not in str(error.value)


def test_an_answer() -> None:
    said = json.dumps({**GOOD, "accepts": [B, A, B], "more": ["x"]}).encode()
    assert word.answer(said) == word.Answer(7, A, (B, A))


@pytest.mark.parametrize(
    "said",
    [
        b"", b"[]", b"7", b"{", b"\xff{}", b"[" * 60000, b'{"pid": 7}', b"NaN",
        *[json.dumps({**GOOD, **wrong}).encode() for wrong in (
            {"pid": 0}, {"pid": -7}, {"pid": "7"}, {"pid": True}, {"pid": 7.0}, {"pid": 2**22 + 1}, {"pid": None},
            {"signs": "A" * 16}, {"signs": None}, {"signs": "a" * 17}, {"signs": "a" * 16 + "\n"}, {"signs": [A]}, {"signs": "c" * 16},
            {"accepts": A}, {"accepts": None}, {"accepts": []}, {"accepts": [B]}, {"accepts": [A, 5]}, {"accepts": [A, ""]}, {"accepts": [A] * 257},
        )],
    ],
)  # fmt: skip
def test_what_is_no_answer(said: bytes) -> None:
    with pytest.raises(word.WordError):
        word.answer(said)


def told(numbers: Dict[int, int], *answers: Any) -> word.Told:
    found = word.Told(numbers)
    for pid, signs, *accepts in answers:
        found.hear(word.Answer(pid, signs, (signs, *accepts)))
    return found


class TestWhoWasHeard:
    POOL = {10: 1, 11: 10, 12: 10}  # a main process with two workers
    SAME = {10: 10, 11: 11, 12: 12}

    def test_workers_have_to_tell_and_their_main_process_goes_by_them(self) -> None:
        asked = word.voices(self.POOL)
        assert asked == [11, 12]
        found = word.by_word(told(self.SAME, (11, A), (12, A)), self.POOL, asked)
        assert {pid: entry["signs"] for pid, entry in found.items()} == {10: A, 11: A, 12: A}

    @pytest.mark.parametrize("answers", [[(11, A)], [(11, A), (12, B)], [(11, A), (12, A, B)], []])
    def test_not_where_they_differ_or_one_is_silent(self, answers: List[Any]) -> None:
        heard = told(self.SAME, *answers)
        assert sorted(word.by_word(heard, self.POOL, [11, 12])) == [pid for pid, *_keys in answers]

    def test_one_alone_has_to_tell_itself(self) -> None:
        assert word.voices({10: 1}) == [10]
        assert word.by_word(told({10: 10}), {10: 1}, [10]) == {}

    def test_the_pid_of_a_container_is_the_one_in_there(self) -> None:
        heard = told({5000: 7, 5001: 8}, (7, A), (5001, B))
        assert heard.missing([5000, 5001]) == [5001] and heard.strangers == {5001}

    def test_a_pid_that_two_containers_have_is_nobodys(self) -> None:
        heard = told({5000: 7, 6000: 7, 5001: 8}, (7, A))
        assert heard.of(5000) is None and heard.of(6000) is None
        assert heard.missing([5000, 6000, 5001]) == [5001]
        assert "not proven, 0 of 2 workers" in heard.silence(
            5000, [5000, 6000]
        ) and "another container" in heard.silence(5000, [])

    def test_who_says_two_things_says_nothing(self) -> None:
        heard = told(self.SAME, (11, A, B), (11, A, B), (11, A))
        assert heard.of(11) is None and heard.silence(11, [11]) == "tells two kinds of keys in one look"

    def test_a_loop_of_parents_ends(self) -> None:
        loop = {10: 11, 11: 10, 12: 10}
        assert word.by_word(told({10: 10, 11: 11, 12: 12}, (12, A)), loop, [12]).keys() == {10, 11, 12}

    def test_silence_says_how_many_and_what_came(self) -> None:
        heard = told(self.SAME, (11, A), (4242, A))
        heard.trouble = "it answers with status 404"
        assert heard.silence(12, [11, 12]) == (
            "did not tell its keys: not proven, 1 of 2 workers answered in time. An answer names pid 4242, which is not among app_keys_processes. "
            "What came last: it answers with status 404"
        )


@pytest.mark.parametrize(
    "value, place",
    [
        ("http://127.0.0.1:8000/phased-keys", ("127.0.0.1", 8000, "/phased-keys")),
        ("http://127.8.9.1", ("127.8.9.1", 80, "/")),
        ("http://localhost:1/a?b=c", ("localhost", 1, "/a?b=c")),
        ("http://[::1]:65535/", ("::1", 65535, "/")),
    ],
)
def test_a_url_of_this_host(value: str, place: Any) -> None:
    assert variables.read({"app_keys_proof": {"http": value}})["proof"] == {"http": value}
    assert proofs.place(value) == place


@pytest.mark.parametrize(
    "value",
    [
        *[{"http": url} for url in (
            "https://127.0.0.1/", "http://10.0.0.1/", "http://example.org/", "http://127.0.0.1.example.org/", "http://127.0.0.1:0/", "http://127.0.0.1:65536/",
            "http://localhost@10.0.0.1/", "http://127.0.0.1:80@10.0.0.1/", "http://user:pw@127.0.0.1/", "http://[::2]/", "http://127.1/", "http://2130706433/",
            "http://127.0.0.1/a b", "http://127.0.0.1/a\r\nX: y", "http://127.0.0.1/\n", "http://127.0.0.1/#x", "http://localhostx/", "HTTP://127.0.0.1/",
            "", None,
            5,
        )],
        {"http": "http://127.0.0.1/", "host": "a\r\nb"}, {"http": "http://127.0.0.1/", "host": ""}, {"http": "http://127.0.0.1/", "other": "x"},
        {"http": "http://127.0.0.1/", "unix": "/x"},
        {"unix": "run/x"}, {"unix": ""}, {"unix": "/" + "x" * 107}, {"unix": "/x\0"}, {"unix": "/x", "page": "x"}, {"unix": "/x", "page": "/a b"}, {"unix": 5},
        {"command": ""}, {"command": []}, {"command": ["a", 5]}, {"command": "a\0"}, {"command": {"a": "b"}},
        {"environ": "x"}, {"process_age": True}, {}, "http", "unix", ["environ"],
    ],
)  # fmt: skip
def test_what_is_no_way_to_ask_the_application_is_refused_before_any_host_is(value: Any) -> None:
    with pytest.raises(variables.VariableError, match="^app_keys_proof is "):
        variables.read({"app_keys_proof": value})


@pytest.mark.parametrize(
    "value", [{"unix": "/run/shop.sock"}, {"unix": "/run/shop.sock", "page": "/k?x", "host": "shop.example.org"}, {"command": "a b"}, {"command": ["a", "b"]}]
)  # fmt: skip
def test_what_is_one(value: Any) -> None:
    assert variables.read({"app_keys_proof": value})["proof"] == value


# --- what the gate and a visit make of it ---------------------------------------------


def by(kind: str, **more: Any) -> Dict[str, Any]:
    keyring = at("prepare")
    return seen(keyring, OLD, NEW, proof=kind, workers=[{**worker(11, OLD, NEW), "by": kind, **more}])


def test_the_gate_names_the_kind_of_proof_where_it_is_an_unusual_one() -> None:
    keyring = at("prepare")
    usual = wording.counted(surveyed(keyring, FLEET, fleet_of(keyring)))
    assert "proven" not in usual
    evidence = fleet_of(keyring, web_1=by("http"), web_2=by("process_age"))
    survey = surveyed(keyring, FLEET, evidence)
    assert survey.count.complete
    assert wording.counted(survey).endswith(
        "in every worker; proven 1 by the application's own word (http), 1 by age alone (process_age)"
    )


def test_16_an_environment_that_is_overruled_is_said_in_the_status_and_where_a_step_closes() -> None:
    keyring = at("prepare")
    evidence = fleet_of(keyring, web_1=by("http", overrules=True))
    survey = surveyed(keyring, FLEET, evidence)
    assert survey.count.complete
    for text in ("\n".join(wording.beside(survey.evidence)), wording.status(survey)):
        assert "proven by the application's own word alone" in text
        assert "pid 11: the environment says otherwise than" in text and "web-2  pid" not in text


def test_16_an_environment_counts_where_not_every_worker_gave_its_word() -> None:
    keyring = at("prepare")
    look = seen(keyring, OLD, NEW, proof="http", workers=[{**worker(11, OLD), "by": "environ"}])
    (found,) = proof.worker_findings(keyrings.order(keyring), look, "restart shop.service")
    assert "which only the application's own word by every worker overrules" in found.seen


def test_a_refusal_names_the_kind_of_proof_by_which_a_worker_is_wrong() -> None:
    keyring = at("prepare")
    for kind, named in (("http", ", by the application's own word (http)"), ("environ", "")):
        look = seen(keyring, OLD, NEW, proof=kind, workers=[{**worker(11, OLD), "by": kind}])
        (found,) = proof.worker_findings(keyrings.order(keyring), look, "restart shop.service")
        assert f"does not accept {NEW}{named}" in found.seen and ("own word" in found.seen) == bool(named)


@pytest.mark.parametrize("kind", remedies.UNHEARD)
def test_a_host_whose_workers_are_not_heard_is_not_changed_but_where_a_key_is_taken_back(kind: str) -> None:
    keyring = at("promote")
    silent = {**worker(11, OLD), "signs": None, "accepts": [], "problem": {"kind": kind, "text": "did not tell"}}
    look = seen(keyring, OLD, NEW, proof="http", workers=[silent])
    order = keyrings.order(keyring)
    assert "Nothing was changed" in (visit.plan(order, look, True).refuse or "")
    plan = visit.plan(order._replace(incident=True), look, True)
    assert (plan.refuse, plan.restart) == (None, True)
