# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guards of the rules, each with what the rules are without it, and the profiles of which one must notice.

A mutation is a list of (file, old text, new text). An old text that is not there exactly once is an error: somebody changed
the guard, and has to say here what the rules are without it now. Where two guards stand behind each other, both go.
"""

from __future__ import annotations

from typing import NamedTuple, Tuple

Edit = Tuple[str, str, str]


class Mutation(NamedTuple):
    """A guard, how it is taken away, and where that shows."""

    name: str
    edits: Tuple[Edit, ...]
    profiles: Tuple[str, ...]


def _m(name: str, profiles: str, *edits: Edit) -> Mutation:
    return Mutation(name, edits, tuple(profiles.split(", ")))


EVIDENCE, PROOF, VISIT, ORDER, KEYRING, STEPS = (
    "evidence.py",
    "proof.py",
    "visit.py",
    "order.py",
    "keyring.py",
    "steps.py",
)
SURVEY, WORKLOAD, AT_REST, SPREAD = "survey.py", "workload.py", "at_rest.py", "spread.py"
NEXT, GATE, SOAK, HISTORY, ADOPTION, MEMBERS = (
    "next_step.py",
    "gate.py",
    "soak.py",
    "history.py",
    "adoption.py",
    "membership.py",
)

MUTATIONS = [
    # --- evidence ---
    _m("evidence of another survey counts", "facts",
       (SURVEY, 'if not conditions.nonce or evidence["nonce"] != conditions.nonce:', "if False:")),
    _m("old evidence counts", "rewrites", (SURVEY, "if not 0 <= age <= conditions.max_age:", "if False:")),
    _m("a host with a visit in flight is taken as it is", "deploys",
       (SURVEY, 'if evidence["visit"] is not None:', "if False:")),
    _m("a member without evidence is left out", "outages",
       (SURVEY, "if found and member in self.roster.waived and member not in self.evidence:\n                aside.append(member)",
        "if found and member not in self.evidence:")),
    _m("a member that vanished from the inventory is forgotten", "leavers",
       (SURVEY, 'return sorted(set(self.fleet) | set(self.keyring["members"]))', "return sorted(set(self.fleet))")),
    _m("a record later than the keyring is no matter", "copied",
       (PROOF, 'if record["counter"] < step["counter"] or', "if True or")),
    _m("a record of another keyring is no matter", "strangers",
       (PROOF, 'if record["keyring"] != keyring["id"]:', "if False:"), (VISIT, 'if record["keyring"] != token.keyring:', "if False:")),
    _m("a host need not have been visited at the step", "rollback",
       (PROOF, 'if record["counter"] != step["counter"]:', "if False:")),
    _m("a visit need not have ended in a proof", "crashes",
       (PROOF, 'if record["state"] != "proven":', "if False:")),
    _m("one good worker is enough", "strays",
       (PROOF, 'for worker in evidence["workers"] if workers is None else workers:', 'for worker in evidence["workers"][-1:]:')),
    _m("what the file says is no matter", "files",
       (PROOF, 'if asked.wants(file["signs"], file["accepts"]):', "if True:")),
    _m("processes outside are no matter", "outsiders",
       (PROOF, 'for other in evidence["others"] if', "for other in () if")),
    _m("workers that come and go are enough", "restarts",
       (PROOF, 'if not evidence["workers"] or evidence["settled"]:', "if True:")),
    _m("a batch begins whatever was lost", "restarts",
       (EVIDENCE, "found = list(dropped_out.get(member, ())) or survey.unknown", "found = survey.unknown"),
       (EVIDENCE, 'found = judge(survey.keyring, asked, outsiders.without(seen), set())', "found = []")),
    _m("a batch begins beside a host that is not safe beside it", "harm",
       (EVIDENCE, "[] if mending or member in batch else inadmissible(asked, seen)", "[]"),
       (EVIDENCE, "return not (member in evidence and inadmissible(asked, evidence[member])), member != first",
        "return True, member != first")),
    _m("hosts that are not safe are not mended first", "harm",
       (EVIDENCE, "return not (member in evidence and inadmissible(asked, evidence[member])), member != first",
        "return True, member != first")),
    _m("the first batch is as large as any", "race",
       (EVIDENCE, 'return list(serial) if str(serial[0]) == "1" else [1, *serial]', "return list(serial)")),
    _m("a waiver stands in for evidence that is there", "set aside",
       (SURVEY, "if found and member in self.roster.waived and member not in self.evidence:",
        "found = found or judge(self.keyring, self.order, self.evidence[member], claimed)\n            if found and member in self.roster.waived:"),
       (MEMBERS, 'ended = [waiver["member"] for waiver in keyring["waivers"] if waiver["member"] in answering]', "ended = []")),
    _m("a waiver goes on when the host answers again", "waived twice",
       (MEMBERS, 'ended = [waiver["member"] for waiver in keyring["waivers"] if waiver["member"] in answering]', "ended = []")),
    _m("pods that are being deleted are no matter", "pods",
       (WORKLOAD, 'return (pod.get("status") or {}).get("phase") not in FINISHED',
        'return (pod.get("status") or {}).get("phase") not in FINISHED and not pod["metadata"].get("deletionTimestamp")')),
    # --- visits ---
    _m("the fence lets a lower counter pass", "late", (VISIT, 'if record["counter"] > token.counter:', "if False:")),
    _m("the fence lets another nonce pass", "race",
       (VISIT, 'if record["counter"] == token.counter and record["nonce"] != token.nonce:', "if False:")),
    _m("the fence lets another keyring pass", "strangers", (VISIT, 'if record["keyring"] != token.keyring:', "if False:")),
    _m("keys that the keyring does not know are overwritten", "aliens",
       (VISIT, "if key not in order.known and key not in replace:", "if False:")),
    _m("fewer main processes than before are enough", "restarts", (VISIT, "if pools.fewer(before, look):", "if False:")),
    _m("a host joins though others say that the keyring is late", "copied", (MEMBERS, "        if found:\n", "        if False:\n")),
    _m("a host joins though nobody vouches", "copied",
       (MEMBERS, "return Voucher(not begun and", "return Voucher(True or")),
    # --- orders ---
    _m("any settings may stay that sign with a key that signed once", "images",
       (ORDER, "return signs in self.may_sign and", "return signs in self.known and")),
    _m("settings may stay that do not accept what others sign with", "joiners",
       (ORDER, "set(self.must_accept) <= set(accepts) <= set(self.may_accept)", "set(accepts) <= set(self.may_accept)")),
    _m("settings may stay that accept what is gone", "images",
       (ORDER, "set(self.must_accept) <= set(accepts) <= set(self.may_accept)", "set(self.must_accept) <= set(accepts)")),
    _m("a failed visit puts anything back", "harm",
       (ORDER, "return self.admits(signs, accepts) and not", "return not")),
    _m("a failed visit brings a leaked key back", "leak",
       (ORDER, "return self.admits(signs, accepts) and not brought_back & set(self.leaked)", "return self.admits(signs, accepts)")),
    # --- the order of steps ---
    _m("a step opens before the fleet was counted", "steps", (GATE, "    if not count.complete:\n", "    if False:\n")),
    _m("a step closes before the fleet was counted", "broken",
       (GATE, "    if count.complete:\n        crossed = ", "    if True:\n        crossed = ")),
    _m("a key comes in while another is on its way", "steps",
       (NEXT, 'if keyrings.in_state(keyring, "staged"):\n        return "a key is staged already', 'if False:\n        return "a key is staged already'),
       (KEYRING, "if len(found) > 1:", "if False:")),
    _m("a leaked key is promoted", "leak",
       (NEXT, 'if "compromised" in staged[0]["marks"]:', "if False:"),
       (STEPS, 'if not staged or "compromised" in staged[0]["marks"]:', "if not staged:"),
       (NEXT, "    if leaked_staged(keyring):\n        return None\n", "")),
    _m("a rollback goes back to a leaked key", "leak and back", (NEXT, 'if "compromised" in before["marks"]:', "if False:")),
    _m("a rollback goes back to what retire lets go of", "rollback", (NEXT, 'if before["state"] != "retiring":', "if False:")),
    _m("a re-run begins another rollout", "plain",
       (NEXT, 'return Decision("skip", "")  # retire says how far it is', 'return Decision("open", "", "prepare")')),
    _m("a run that is asked for a new rollout begins it in the wake of another", "plain",
       (NEXT, 'if keyrings.is_open(keyring) or keyrings.in_state(keyring, "staged", "dropping"):\n        return False', "if True:\n        return True")),
    _m("promote moves the key when it closes", "rollback",
       (GATE, 'if keyring["step"]["name"] not in ("promote", "rollback"):', "if True:"),
       (STEPS, 'return _sign_with(keyring, staged[0], given)', 'staged[0]["soak"] = dict(given.soak or {})\n    return [staged[0]]'),
       (KEYRING, 'signs = primary(keyring)["fingerprint"]\n    accepts = [signs] + _names(in_state(keyring, "staged", "retiring"))',
        'early = step["name"] == "promote" and is_open(keyring)\n    signs = step["key"] if early else primary(keyring)["fingerprint"]\n'
        '    accepts = [signs] + [key for key in _names(in_state(keyring, "primary", "staged", "retiring")) if key != signs]'),
       (STEPS, 'step["closed"] = step["closed"] or stamp(now)',
        'moving = [key for key in keyrings.in_state(keyring, "staged") if step["name"] == "promote" and not step["closed"]]\n'
        '    for key in moving:\n        _sign_with(keyring, key, _Opening(now, 0, None, key["soak"], None, None, 0.0, None))\n'
        '    step["closed"] = step["closed"] or stamp(now)')),
    _m("retire moves the key when it closes", "rollback",
       (STEPS, '_move(key, "dropping", given.now)', 'key["going"] = True'),
       (KEYRING, 'accepts = [signs] + _names(in_state(keyring, "staged", "retiring"))',
        'accepts = [signs] + [key["fingerprint"] for key in in_state(keyring, "staged", "retiring") if not key.get("going")]'),
       (STEPS, 'for key in keyrings.in_state(keyring, "dropping"):',
        'for key in keyring["keys"]:\n        if key.pop("going", False) and key["state"] in ("staged", "retiring"):\n'
        '            _move(key, "dropping", now)\n    for key in keyrings.in_state(keyring, "dropping"):')),
    _m("what is on its way counts as accepted everywhere", "takeover",
       (KEYRING, 'must_accept -= set(step["partly_accepted"])', "must_accept = set(accepts)")),
    # --- soaks ---
    _m("no soak by the controller's clock", "host clocks",
       (SOAK, "return begun + length if length else begun - 1", "return begun - 1")),
    _m("no soak by the host's clock", "clocks", (SOAK, "if left <= 0:", "if True:")),
    _m("a file that another tool wrote does not break the clock", "rewrites",
       (HISTORY, 'if file["identity"] == written.get(file["path"]):', "if True:")),
    _m("the soak goes on where a rollback had stopped it", "overlap",
       (STEPS, 'before["times"].pop("soaking", None)', "pass"), (STEPS, 'key["times"].pop("soaking", None)', "pass"),
       (SOAK, "if left <= 0:", "if True:")),
    _m("the soak begins when promote opens", "clocks",
       (STEPS, 'before["times"].pop("soaking", None)', 'before["times"]["soaking"] = stamp(given.now)'),
       (SOAK, "if left <= 0:", "if True:")),
    # --- at rest, and who learns late ---
    _m("retire does not wait for the re-encryption", "at rest",
       (AT_REST, 'if not stored(keyring) or "reencrypted" in keyrings.primary(keyring):', "if True:")),
    _m("a re-encryption counts for every later key", "at rest",
       (AT_REST, '"reencrypted" in keyrings.primary(keyring):', 'any("reencrypted" in key for key in keyring["keys"]):'),
       (STEPS, 'one.pop("reencrypted", None)', "pass")),
    _m("a re-encryption counts after a rollback", "at rest and back",
       (STEPS, 'one.pop("reencrypted", None)', "pass"), (AT_REST, "    if ago >= since:", "    if True:")),
    _m("a host that signed with the old key since is no matter", "at rest rewritten",
       (AT_REST, "    if ago >= since:", "    if True:")),
    _m("a leaked key does not wait for the re-encryption", "at rest leaked",
       (AT_REST, 'return keyrings.in_state(keyring, "retiring")',
        'return [key for key in keyrings.in_state(keyring, "retiring") if "compromised" not in key["marks"]]')),
    _m("no spread by the controller's clock", "spread and host clocks",
       (SPREAD, 'return epoch(key["times"]["spreading"]) + float(key["spread"]["seconds"])', 'return epoch(key["times"]["spreading"])')),
    _m("no spread by the host's clock", "spread and clocks", (SPREAD, "if missing <= 0:", "if True:")),
    # --- members ---
    _m("secrets are destroyed while a waiver is open", "set aside", (STEPS, "    if not waived:\n", "    if True:\n")),
    _m("a waived member counts as proven", "waivers, set aside", (STEPS, "        if name not in waived:\n", "        if True:\n")),
    _m("promote skips members that are cut off", "steps away",
       (STEPS, "    if not next_step.opens_unproven(keyring, step):\n        return None\n", ""),
       (GATE, "    if not count.complete:\n", "    if False:\n")),
    _m("a waiver has no end", "set aside",
       (MEMBERS, 'return [waiver for waiver in keyring["waivers"] if epoch(waiver["until"]) > now]', 'return list(keyring["waivers"])')),
    _m("a host in the inventory is released", "leavers", (MEMBERS, "        if name in fleet:\n", "        if False:\n")),
    # --- adoption ---
    _m("adopt takes a fleet that has a keyring", "recovery", (ADOPTION, "if record is None or recover:", "if True:")),
    _m("adopt takes hosts of which nothing is known", "recovery",
       (ADOPTION, "found = looks.unusable(member)", "found = []")),
    _m("adopt takes hosts that refuse what others sign", "takeover", (ADOPTION, "for key in sorted(signing - set(holder[\"accepts\"])):", "for key in ():")),
    _m("recovery leaves no room for steps that no host has seen", "recovery", (ADOPTION, "UNSEEN = 2", "UNSEEN = 0")),
    _m("recovery forgets which key has leaked", "found again",
       (ADOPTION, 'leaked=sorted({key for record in records for key in record.get("leaked", [])})', "leaked=[]")),
    _m("recovery begins at a step that hosts have seen", "recovery",
       (ADOPTION, 'counter=max(record["counter"] for record in records) + UNSEEN', "counter=0")),
]  # fmt: skip

# Guards behind which another one stands in every state that was explored: what holds without them, and why they stay.
REDUNDANT = (
    ("a rollback skippable_since only members that were proven since the new key came (steps._skippable_since)",
     "every member that serves accepts both keys when promote opens, since the whole fleet was counted; so whoever is skippable does"),
    ("a key that was itself rolled back is never gone back to (next_step.why_no_rollback)",
     "`after` names the key that signed at promote, and that one cannot have been taken back while the new one signs"),
    ("late records stop the opening of a rollback (evidence.outdated_keyring)",
     "the step that would open has the counter of theirs and another nonce, or a lower counter, and not_visitable says so"),
    ("nothing is encrypted anew before the whole fleet was counted (gate.reencrypting)",
     "what other hosts store meanwhile with another key fails the proof, or their records tell that they signed with it after it began"),
    ("recovery lets go of what the lost keyring was letting go of (adoption._gone)",
     "without it the key is accepted everywhere again, soaks, and is let go of a second time: later, and as safe"),
)  # fmt: skip
