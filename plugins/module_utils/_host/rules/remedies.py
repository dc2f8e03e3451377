# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do about what was found on a host, in words: each of these is the advice of a finding."""

from __future__ import annotations

from . import process_sources

RESTING = "{renew}; or remove it, if nobody needs it"
MISSING = "correct app_keys_processes, or create it: its processes are looked for by that name"
NO_UNIT = "correct app_keys_service or app_keys_processes; on a host that is new, deploy the application first, with the role app_keys"
START = "start the application"
VISIT = "run phased.keys.rollout, which visits the host"
EMPTIED = (
    "see in its log why it starts none; if it may run without any, say so in app_keys_processes: idle: true beside its "
    f"{process_sources.one_of(list(process_sources.SOURCES))}"
)
FIX_FIRST = "fix it first: run the role app_keys on it (a deploy with --limit to it), then run again"
OUTSIDE = "name {them} in app_keys_processes and app_keys_service if part of the application, or end {them}; {restart} does not reach {them}"
REPLACED = "wait until it has been replaced, and run again; if that takes long, {look}"
STALE = "it reloaded without a new environment, or was not restarted"
ELSEWHERE = (
    "something else gives it its keys: look for the setting in its unit (systemctl cat), in the script that starts it and in the settings of "
    "what supervises it, and take it out there; or it was forked by an older process, which app_keys_processes does not name"
)
OVERRIDDEN = (
    "take the setting out there, or have app_keys_env_file read last; then systemctl daemon-reload, and restart it"
)
UNKNOWN = "find out whose {key} is, for this may be the only copy of it; put the keyring's key back there, or give {key} up with -e app_keys_replace={key}"
OVERRULED = "so its environment says, and app_keys_proof {proof} overrules no environment that can be read"
NOT_ALL_SAID = "so its environment says, which only the application's own word by every worker overrules"
SET_ELSEWHERE = (
    "if it stays so, take our settings out of what starts it (environment= of supervisord, Environment= of the unit), so that it has them "
    "from the env file alone"
)
NOT_GIVEN = (
    "see that the application gets its keys from app_keys_env_file, then restart it; one that reads that file itself is proven with "
    "app_keys_proof: process_age; a helper that needs no key is kept out by naming the workers in app_keys_processes with a pid_file or a "
    "pattern instead of their unit, or runs in a unit of its own"
)
# What is wrong with a pod or a template, and with no host.
TEMPLATES = {
    "mutable": "run phased.keys.rollout: a visit lets it refer to a Secret that nobody can change",
    "literal": "run phased.keys.rollout: a visit lets it refer to a Secret that nobody can change",
    "deleted": "run phased.keys.rollout: a visit gives it another Secret",
    "recreated": "find out who makes that Secret, for a name that comes again may give a pod another key than it shows; then run phased.keys.rollout",
    "elsewhere": "let it take the setting from a Secret, so that it can be told what it is",
    "lacking": "let its container take the setting from a Secret that is there, or run phased.keys.rollout, which does that",
    "replaced": (
        "let what starts the application there leave its settings as the spec gives them (an entrypoint that exports them anew, a wrapper that "
        "reads them from a file), and roll that out"
    ),
    "unasked": (
        "see that its image has python3, that it runs as the user whose processes are looked at, and that whoever logs in there may exec "
        "(pods/exec, as the guide lists); or set app_keys_proof: pod_spec, which reads what it was given and no more"
    ),
}
UNHEARD = ("untold", "stranger")
PROBLEMS = {
    **TEMPLATES,
    "untold": (
        "see that every worker gives that answer, with the pid that it knows itself and in its own words (docs/proof.md has endpoints), and that nobody "
        "else answers there; a helper is kept out by naming the workers in app_keys_processes with a pid_file or a pattern"
    ),
    "stranger": (
        "name it in app_keys_processes (and what restarts it in app_keys_service) if it is part of the application; if it is one of before, end it"
    ),
    "unreadable": "run with become (-b), so that the environment of the workers may be read",
    "mapped": (
        "run with become as root (-b), and name the owner of the container beside it (user: NAME in app_keys_processes): whoever owns a "
        "rootless container may not read what its processes were given, and root may"
    ),
    "overwritten": (
        "keep its environment readable: with setproctitle (gunicorn uses it where it is installed) set SPT_NOENV=1 in what starts the "
        "application, and restart it; a helper is kept out by naming the workers in app_keys_processes with a pid_file or a pattern; "
        "or have the application tell its keys itself (app_keys_proof: {http: URL}); as a last resort, which proves less, set app_keys_proof: "
        "process_age"
    ),
    "absent": NOT_GIVEN,
    "empty": "see that the application gets its keys from app_keys_env_file, then restart it",
    "misread": (
        "set app_keys_env_format to what reads that file for the application: its format is wrong, and the worker's key is nobody's; or "
        "write the key in the file in single quotes, restart it, and run again"
    ),
    "unsafe": "do what is said there, and run again",
    "not_a_list": "correct app_keys_settings.separator, or the setting",
    "undated": "run phased.keys.rollout: a visit notes the time and restarts the application, and from then on its age is proof",
    "ageless": (
        "let what starts it stay its parent (no daemon mode: Type=exec or notify for a unit, nodaemon for a supervisor), or let it be "
        "proven by its environment (app_keys_proof: environ)"
    ),
    "container": (
        "set app_keys_proof: environ, which reads a container's processes from the host, and let app_keys_restart_command create the "
        "container anew: a restart keeps what it was created with"
    ),
    "doubtful": (
        "if it is the application (the clock may have been set since), restart it, so that it writes its pid file anew; if it is another "
        "process, remove the pid file and see why the application does not run"
    ),
}
