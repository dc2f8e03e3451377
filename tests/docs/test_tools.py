# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guides say of other tools is tried with them: Molecule, ansible-runner, ansible-navigator and ansible-builder."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Dict, Iterator, Sequence

import doc_blocks
import pytest
import yaml
from light_fleet import Fleet

CHECKOUT = Path(__file__).resolve().parents[2]
GUIDES = CHECKOUT / "docs" / "docsite" / "rst"
# Both virtual environments: that of the collection first, whose ansible-playbook finds this checkout.
TOOLS = f"{Path(sys.executable).parent}{os.pathsep}{CHECKOUT / '.venv-docs' / 'bin'}"
LIMIT = 300


def run(command: Sequence[str], folder: Path, environment: Dict[str, str]) -> str:
    """Run a command as the guide has it; return what it said."""
    path = f"{TOOLS}{os.pathsep}{environment.get('PATH', os.environ['PATH'])}"
    return doc_blocks.ran(command, folder, {**environment, "PATH": path}, LIMIT)


def command_of(guide: str, tool: str) -> str:
    """Return the one command of a guide that runs a tool."""
    lines = [line for block in doc_blocks.blocks(GUIDES / guide) for line in block.text.splitlines()]
    (found,) = [line for line in lines if line.startswith(tool + " ")]
    return found


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Two light hosts with a key that nobody has adopted yet."""
    Fleet.bytecode = tmp_path / "bytecode"
    made = Fleet(tmp_path / "fleet", ("web1", "web2"))
    made.write_env()
    made.restart()
    made.write_inventory()
    yield made
    made.end()


def test_the_scenario_runs_as_it_is_copied(tmp_path: Path, fleet: Fleet) -> None:
    shutil.copytree(CHECKOUT / "docs" / "examples" / "molecule", tmp_path / "molecule" / "rolled")
    said = run(command_of("molecule.rst", "molecule").split(), tmp_path, fleet.environment(ANSIBLE_CONFIG=""))
    assert "2 of 2 hosts have let go of" in said.replace("│", "")


def test_what_is_marked_as_the_readers_is_named_in_the_guide() -> None:
    files = sorted((CHECKOUT / "docs" / "examples" / "molecule").iterdir())
    theirs = {path.name for path in files if "\n# YOURS" in path.read_text()}
    assert theirs == {"create.yml", "destroy.yml", "inventory.yml"}
    assert all(f"``{name}``" in (GUIDES / "molecule.rst").read_text() for name in theirs)


def test_ansible_runner(tmp_path: Path, fleet: Fleet) -> None:
    fleet.run("adopt").ended(0)
    private = tmp_path / "private"
    for name in ("inventory", "env", "project"):
        (private / name).mkdir(parents=True)
    (layout,) = [one.text for one in doc_blocks.blocks(GUIDES / "runner.rst") if "private/env/cmdline" in one.text]
    given = layout.split("private/env/cmdline")[1].splitlines()[0].split()
    assert given[0] == "--vault-password-file"
    (private / "env" / "cmdline").write_text(f"{given[0]} {fleet.password}")
    shutil.copyfile(fleet.inventory, private / "inventory" / "hosts.yml")
    shutil.copytree(fleet.keyring_path.parent, private / "inventory" / ".keyrings")
    said = run(
        command_of("runner.rst", "ansible-runner").split() + ["--rotate-artifacts", "1"], tmp_path, fleet.environment()
    )
    assert "no rollout is in progress" in said or "nothing to do" in said.lower(), said
    kept = "".join(path.read_text() for path in (private / "artifacts").rglob("*") if path.is_file())
    assert kept and fleet.secret not in kept


def test_ansible_navigator(tmp_path: Path, fleet: Fleet) -> None:
    fleet.run("adopt").ended(0)
    shutil.copyfile(fleet.inventory, tmp_path / "inventory.yml")
    shutil.copytree(fleet.keyring_path.parent, tmp_path / ".keyrings")
    shutil.copyfile(fleet.password, tmp_path / "vault-pass")
    command = [part for part in command_of("runner.rst", "ansible-navigator").split() if part != "-b"]
    said = run([*command, "--playbook-artifact-enable", "false"], tmp_path, fleet.environment(TERM="dumb"))
    assert "no rollout is in progress" in said or "nothing to do" in said.lower(), said


def test_the_execution_environment_is_one_that_ansible_builder_takes(tmp_path: Path) -> None:
    definition = doc_blocks.block(GUIDES / "controller.rst", "execution-environment.yml")
    (tarball,) = (CHECKOUT / "build").glob("phased-keys-*.tar.gz")
    shutil.copyfile(tarball, tmp_path / tarball.name)
    assert tarball.name in definition, "the guide names another version"
    (tmp_path / "execution-environment.yml").write_text(definition)
    builder = command_of("controller.rst", "ansible-builder").split()
    assert builder[:4] == ["ansible-builder", "build", "-f", "execution-environment.yml"]
    run(["ansible-builder", "create", "-f", "execution-environment.yml"], tmp_path, dict(os.environ))
    context = tmp_path / "context"
    assert "phased-keys" in (context / "_build" / "requirements.yml").read_text()
    # It is called a Dockerfile where there is docker, or neither.
    (steps,) = [path.read_text() for path in context.glob("*file") if path.name in ("Containerfile", "Dockerfile")]
    assert "ansible-galaxy collection install" in steps
    # What the image gets for the collection's sake is what the collection names.
    own = yaml.safe_load((CHECKOUT / "meta" / "execution-environment.yml").read_text())
    assert "cryptography" in (CHECKOUT / own["dependencies"]["python"]).read_text()


def test_the_survey_is_json_that_the_api_takes() -> None:
    survey = json.loads(doc_blocks.block(GUIDES / "controller.rst", "survey.json"))
    assert set(survey) == {"name", "description", "spec"} and len(survey["spec"]) > 3
    for question in survey["spec"]:
        assert {"question_name", "variable", "type", "required", "default"} <= set(question)
        assert question["required"] is False and question["type"] in ("text", "multiplechoice")
