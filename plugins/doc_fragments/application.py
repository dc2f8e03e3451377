# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that say what an application on a host is; each comes from a variable where it is not given."""

from __future__ import annotations


class ModuleDocFragment:
    """The documentation of those options."""

    DOCUMENTATION = r"""
options:
  name:
    description:
      - Name of the application, which also names its record on the host.
      - Default is the variable C(app_keys_name).
    type: str
  framework:
    description:
      - Profile of the application. Default is the variable C(app_keys_framework), and else V(django).
    type: str
  settings:
    description:
      - What differs from the profile, with the fields C(primary), C(fallbacks), C(separator), C(signs), C(key), C(decode),
        C(soak) and C(at_rest).
      - Default is the variable C(app_keys_settings).
    type: dict
  env_file:
    description:
      - Path of the env file on the host, or several. Default is the variable C(app_keys_env_file).
    type: list
    elements: path
  env_format:
    description:
      - How the reader of that file quotes. Default is the variable C(app_keys_env_format), and else V(systemd).
    type: str
    choices: [systemd, dotenv, python-dotenv, node-dotenv, ruby-dotenv, phpdotenv, node-env-file, docker, compose, shell]
  service:
    description:
      - Units that take the keys when they are restarted. Default is the variable C(app_keys_service).
    type: list
    elements: str
  service_scope:
    description:
      - Whose units they are, of the V(system) or of the V(user) that Ansible becomes on the host, whose service manager has to run.
      - A user cannot write C(/var/lib), so O(state_dir) has to be given with V(user).
      - Default is the variable C(app_keys_service_scope), and else V(system).
    type: str
    choices: [system, user]
  restart_command:
    description:
      - The same where there is no service manager. A text goes to C(/bin/sh), a list is executed as it is.
      - What it starts in the background should send its output somewhere; else it goes to a file without a name, for as long as it runs.
      - Default is the variable C(app_keys_restart_command).
    type: raw
  processes:
    description:
      - Where the workers are, as a mapping or a list of mappings. Each is one of C(unit) (its whole control group), C(pid_file)
        (that process and its descendants), C(pattern) (a regular expression over the first 4096 bytes of command lines),
        C(container) (what runs in the container with this name) and C(compose) (the containers of a compose project, with C(services)
        those of some services of it).
      - C(engine) beside a container or a project says which of C(podman) and C(docker) has it, and C(user) that it is a user's own
        (rootless), where the engine is asked as that user.
      - A pid file that others than root may write names only processes of theirs. A pattern trusts what processes call themselves,
        which any user of the host may choose.
      - Their main processes have to last; how many workers one has is its own business, as long as one that had any at its last
        proof has some. C(idle=true) beside one of these says that its main process may run without.
      - Default is the variable C(app_keys_processes), and else the units of O(service).
    type: raw
  workload:
    description:
      - The member is a workload of a cluster and no host, as a mapping of C(kind) (C(Deployment), C(StatefulSet), C(DaemonSet) or
        C(CronJob)), C(name) and C(namespace), and where needed C(context), C(kubeconfig) and C(containers).
      - The controller then asks the cluster's API, with the Python package kubernetes, and nothing runs on a host.
      - Default is the variable C(app_keys_workload).
    type: dict
  proof:
    description:
      - How a worker is read. V(environ) reads what the process was given. V(process_age) is weaker and for applications that
        read their file themselves, when every worker, and whatever it was forked from, started after a visit saw the file as it is.
      - A container, and a process that was forked by one that is gone, is not proven by its age. An environment that can be read
        and holds one of the settings counts with V(process_age) too.
      - C({http URL}) at a loopback address, C({unix SOCKET}) and C({command COMMAND}) are mappings, and stronger, the application's own
        word, when each of its workers tells its pid and the fingerprints of its keys. C(host) beside the first two is what the header
        C(Host) says, and C(page) beside a socket is the path of the page.
      - V(pod_spec) is for workloads alone, and what is used for them (what the specs of its pods give). V(pod_exec) asks each container besides,
        by exec and its C(python3), whether its processes have that.
      - Default is the variable C(app_keys_proof), and else V(environ).
    type: raw
  timeout:
    description:
      - How long one host may take from restart to proof, as a duration such as V(60s).
      - Default is the variable C(app_keys_timeout), and else V(60s); of a workload its progress deadline and grace period.
    type: str
  settle:
    description:
      - How far apart two looks are in which the workers must be the same, as a duration.
      - Default is the variable C(app_keys_settle), and else V(2s).
    type: str
  state_dir:
    description:
      - Folder of the host's record. Default is the variable C(app_keys_state_dir), and else V(/var/lib/phased.keys).
      - It stays the same for as long as the fleet lives. Hosts that share a machine have one each.
    type: path
  nonce:
    description:
      - Nonce of the survey, which the evidence echoes.
    type: str
    default: ""
"""
