# SPDX-FileCopyrightText: The phased.keys contributors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Needs git, make and Python 3.11 with venv. Everything that a target writes is
# in .venv, .cache and build of this checkout; the one exception is pip's cache.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# pip keeps its own cache, wherever the user has it ...
export PIP_CACHE_DIR := $(or $(PIP_CACHE_DIR),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pip)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# ... and every other tool keeps what it writes inside the checkout, so that two
# clones never meet and nothing is left in the home or the temporary folder.
CACHE := $(CURDIR)/.cache
export TMPDIR := $(CACHE)/tmp
export XDG_CACHE_HOME := $(CACHE)/xdg
export XDG_CONFIG_HOME := $(CACHE)/xdg-config
export XDG_DATA_HOME := $(CACHE)/xdg-data
export ANSIBLE_HOME := $(CACHE)/ansible
export ANSIBLE_LOCAL_TEMP := $(CACHE)/ansible/tmp
export ANSIBLE_REMOTE_TEMP := $(CACHE)/ansible/remote
export ANSIBLE_ASYNC_DIR := $(CACHE)/ansible/async
export ANSIBLE_CONFIG := $(CURDIR)/.config/ansible.cfg
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis
# Plain output, as ansible-playbook wrote it, in a log as on a terminal.
export MOLECULE_COMMAND_BORDERS := false
export RUFF_CACHE_DIR := $(CACHE)/ruff
# A collection that is installed elsewhere must never shadow this checkout.
unexport ANSIBLE_COLLECTIONS_PATH ANSIBLE_COLLECTIONS_PATHS PYTHONPATH
# The tools find each other on PATH.
OUTER_PATH := $(PATH)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 16

# --- the virtual environment -------------------------------------------------

PINS := requirements/runtime.txt requirements/test.txt requirements/lint.txt
# Complete pins need no resolver; `pip check` says so if they are not complete.
PIP_INSTALL = $(BIN)/python -m pip install --quiet --no-deps
PIP_CHECK = $(BIN)/python -m pip check --quiet

# The checkout is the collection.
LINK = cd $(1)/lib/python3.*/site-packages; mkdir -p ansible_collections/phased; \
	ln -s ../../../../../.. ansible_collections/phased/keys

# A virtual environment knows its own path: one that was copied or moved with
# the checkout would run the tools, and the collection, of the old place.
ifneq ($(file < $(VENV)/.checkout),$(CURDIR))
$(VENV)/.created: FORCE
endif

$(VENV)/.created: $(PINS) | .cache/tmp
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(call LINK,$(VENV))
	printf '%s' "$$PWD" > $(VENV)/.checkout
	touch $@

$(VENV)/.runtime: $(VENV)/.created
	$(PIP_INSTALL) -r requirements/runtime.txt
	$(PIP_CHECK)
	touch $@

$(VENV)/.test: $(VENV)/.runtime
	$(PIP_INSTALL) -r requirements/test.txt
	$(PIP_CHECK)
	touch $@

$(VENV)/.lint: $(VENV)/.test
	$(PIP_INSTALL) -r requirements/lint.txt
	$(PIP_CHECK)
	touch $@

# Virtual environments of their own, each whole from its lists.
OWN_VENV = rm -rf $(@D); $(or $(OWN_PYTHON),$(PYTHON)) -m venv $(@D); \
	$(@D)/bin/python -m pip install --quiet --no-deps $(addprefix -r ,$(filter %.txt,$^)); \
	$(@D)/bin/python -m pip check --quiet; printf '%s' "$$PWD" > $(@D)/.checkout
# Every ansible-core that the collection supports, and those before it, which say that they are too old.
CORES := $(patsubst requirements/core-%.txt,%,$(wildcard requirements/core-*.txt))
$(foreach venv,.venv-docs .venv-mutants .venv-stores $(addprefix .venv-,$(CORES)),$(if $(filter-out $(CURDIR),$(file < $(venv)/.checkout)),$(eval $(venv)/.made: FORCE)))

.venv-docs/.made: requirements/runtime.txt requirements/docs.txt | .cache/tmp
	$(OWN_VENV)
	$(call LINK,$(@D))
	touch $@

# Without the link to this checkout: code that was not mutated must not be found.
.venv-mutants/.made: requirements/runtime.txt requirements/test.txt requirements/mutants.txt | .cache/tmp
	$(OWN_VENV)
	touch $@

.venv-stores/.made: requirements/runtime.txt requirements/test.txt requirements/stores.txt | .cache/tmp
	$(OWN_VENV)
	$(call LINK,$(@D))
	touch $@

.venv-2.%/.made: OWN_PYTHON = $(shell $(PYTHON) tests/tools/pythons.py 2.$*)
.venv-2.%/.made: requirements/core-2.%.txt | .cache/tmp
	@$(PYTHON) tests/tools/pythons.py 2.$* >/dev/null
	$(OWN_VENV)
	$(call LINK,$(@D))
	touch $@

.cache/tmp:
	mkdir -p .cache/tmp .cache/ansible

.PHONY: FORCE
FORCE:

.PHONY: venv
venv: $(VENV)/.test ## Create .venv with what the demo and the tests need

# --- what people run ---------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.runtime ## Roll a key under load: the naive way, then ours (DRAIN=no without drains, PICTURE=PATH keeps the plot)
	$(BIN)/python tests/demo/demo.py --drain $(or $(DRAIN),yes) $(if $(PICTURE),--picture "$(PICTURE)") $(ARGS)

.PHONY: test
test: units molecule ## Unit tests and whole playbooks, then the Molecule scenario `default`

# Whole playbooks wait for processes most of the time: one test more than there are cores. A few tests alone (ARGS) are done
# sooner without. ARGS with a path in it says where the tests are; without one it chooses among those of the target.
WORKERS ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))
PYTEST = $(BIN)/python -m pytest $(if $(ARGS),,-n $(WORKERS) --dist worksteal)
WHICH = $(if $(filter tests/% ./% /%,$(ARGS)),,$(1)) $(ARGS)

# Unit tests wait for processes most of the time, and playbooks keep the cores busy: they go side by side, and what the first
# say is shown when the others have ended. One worker is enough for the first, since each has to collect thousands of them.
.PHONY: units
units: $(VENV)/.test
ifdef ARGS
	$(PYTEST) -m "not slow and not hosts" $(call WHICH,tests/unit tests/playbooks)
else
	@$(BIN)/python -m pytest -m "not slow and not hosts" tests/unit > .cache/tmp/unit.log 2>&1 & unit=$$!; failed=; \
	trap "kill $$unit 2>/dev/null || true" EXIT; \
	$(PYTEST) -m "not slow and not hosts" tests/playbooks || failed=1; \
	wait $$unit || failed=1; cat .cache/tmp/unit.log; [[ ! $$failed ]]
endif

.PHONY: unit
unit: $(VENV)/.test ## Unit tests alone (ARGS=tests/unit/rules/test_gate.py, ARGS="-k name")
	$(PYTEST) -m "not slow and not hosts" $(call WHICH,tests/unit)

.PHONY: playbooks
playbooks: $(VENV)/.test ## Whole playbooks on light hosts alone (ARGS=tests/playbooks/test_plan.py, ARGS="-k name")
	$(PYTEST) -m "not slow and not hosts" $(call WHICH,tests/playbooks)

SLOW = $(sort $(shell grep -rlw --include='test_*.py' 'slow' tests/unit tests/playbooks))

.PHONY: slow
slow: $(VENV)/.test ## Whole playbooks that take long: killed in every phase, what others read, secrets (SHARE=1/2 half of the files)
	$(PYTEST) -m slow $(call WHICH,$(if $(SHARE),$(shell $(PYTHON) tests/tools/share.py pick $(SHARE) $(SLOW)),tests/unit tests/playbooks))

# Who has none of them runs the same tests in `make slow`, which leaves out what is not there; here that fails.
.PHONY: readers
readers: $(VENV)/.test ## Env files against the readers of every language, and Rails itself (gets Debian's packages, and dotenv from npm)
	for program in ruby php busybox npm; do $(BIN)/python tests/tools/debian.py $$program || exit; done
	npm install --silent --no-fund --no-audit --prefix .cache/npm dotenv@17.4.2
	NODE_PATH="$(CURDIR)/.cache/npm/node_modules" PHASED_READERS=all $(PYTEST) -m "" \
	  $(call WHICH,tests/unit/rules/test_env_text_readers.py tests/unit/frameworks tests/unit/host/test_endpoints.py)

.PHONY: workloads
workloads: $(VENV)/.test ## Workloads of clusters that are an API server in memory: visits, and whole rollouts
	$(PYTEST) $(call WHICH,tests/workloads)

# On the cluster of PHASED_TEST_KUBECONFIG, else on one of our own, which takes root; how, tests/kubernetes/with_cluster.py says.
.PHONY: kubernetes
kubernetes: $(VENV)/.test ## The shop under load in a real Kubernetes: PHASED_TEST_KUBECONFIG, or one that is brought up (needs root)
	$(BIN)/python tests/kubernetes/with_cluster.py run -- $(BIN)/python -m pytest $(call WHICH,tests/kubernetes)

.PHONY: model
model: $(VENV)/.test ## Explore the rules, and see that each guard of theirs is missed when it is taken away
	$(BIN)/python -m ansible_collections.phased.keys.tests.model $(ARGS)

.PHONY: model-full
model-full: $(VENV)/.test ## The same with larger fleets, and longer walks
	$(BIN)/python -m ansible_collections.phased.keys.tests.model --full $(ARGS)

.PHONY: mutants
mutants: .venv-mutants/.made ## Change the code, and see whether the fast tests notice (a sample of 20 minutes; FULL=1, ONLY="*/soak.py")
	$(<D)/bin/python -m pytest tests/mutants
	PATH="$(CURDIR)/$(<D)/bin:$$PATH" FULL=$(FULL) ONLY="$(ONLY)" SEED=$(SEED) TABLE=$(TABLE) $(<D)/bin/python tests/mutants/run.py

.PHONY: stores
stores: .venv-stores/.made ## Keyrings in real etcd, git over ssh, and moto for S3 (gets Debian's packages where that can be done)
	PHASED_STORES=real $(<D)/bin/python -m pytest tests/unit/stores $(ARGS)

# What there is to see lies in build/browser afterwards.
.PHONY: browser
browser: $(VENV)/.test ## Open the report in Chromium, and measure what is seen (gets Debian's package where that can be done)
	$(BIN)/python tests/tools/debian.py chromium
	$(BIN)/python -m pytest tests/browser $(ARGS)

.PHONY: promtool
promtool: ## Get Prometheus' own tool (Debian's), with which unit tests check the alerts, the dashboard and what is exported
	$(PYTHON) tests/tools/debian.py promtool

.PHONY: hostile
hostile: $(VENV)/.test ## Hosts that lie, and users of a host who try everything (these need root)
	$(BIN)/python -m pytest tests/hostile $(ARGS)

# Other versions of ansible-core than that of .venv: `make core-2.16 ARGS=tests/playbooks/test_visit.py`.
core-%: .venv-%/.made
	PATH="$(CURDIR)/$(<D)/bin:$$PATH" $(<D)/bin/python -m pytest $(or $(ARGS),tests/hostile/lying)

.PHONY: cores
cores: core-2.16 ## The hosts that lie against the oldest ansible-core too

.PHONY: matrix
matrix: $(VENV)/.test ## The main job and the refusals with every ansible-core, on every Python (CORES="2.16 2.22", TABLE=docs/versions.md)
	$(BIN)/python tests/tools/matrix.py $(if $(TABLE),--table $(TABLE)) $(CORES)

.PHONY: test-hosts
test-hosts: hosts faults ## Both of the next two

.PHONY: hosts
hosts: $(VENV)/.test ## Real hosts with systemd and sshd: they themselves, and what only they can show (needs root)
	$(BIN)/python -m pytest -m hosts tests/hosts --ignore=$(CONTAINERS) $(ARGS)

CONTAINERS := tests/hosts/tests/test_containers.py
.PHONY: containers
containers: $(VENV)/.test ## Applications in podman and docker on real hosts (needs root)
	$(BIN)/python -m pytest -m hosts $(CONTAINERS) $(ARGS)

.PHONY: faults
faults: $(VENV)/.test ## Break real hosts in every way under load (needs root; FULL=1 in every phase, SHARE=1/4 a part)
	FULL=$(FULL) SHARE=$(SHARE) PHASED_TABLE=$(or $(TABLE),build/faults.md) $(BIN)/python -m pytest -m hosts tests/faults $(ARGS)

.PHONY: bench-scale
bench-scale: $(VENV)/.test ## How the controller's work and memory grow with simulated hosts (SMALL=1 in two minutes)
	$(BIN)/python tests/bench/scale.py $(if $(SMALL),--small) $(ARGS)
.PHONY: bench
bench: $(VENV)/.test ## Measure rollouts of 10 to 200 hosts, and write docs/benchmarks (at most 30 minutes)
	$(BIN)/python tests/bench/bench.py full $(ARGS)

.PHONY: bench-small
bench-small: $(VENV)/.test ## The same with 32 hosts (at most 3 minutes); fails where a figure is over its bound
	$(BIN)/python tests/bench/bench.py small

# Interrupted, Molecule leaves its fleet running: take it down even so. Real hosts end with this shell, killed or not.
MOLECULE = trap 'trap "" INT TERM; $(BIN)/molecule destroy -s $(1); exit 130' INT TERM; \
	PHASED_KEEPER_PID=$$$$ $(BIN)/molecule test -s $(1)

.PHONY: molecule
molecule: $(VENV)/.test ## The Molecule scenario `default` alone
	$(call MOLECULE,default)

# On a cluster, as `make kubernetes`: the scenario that users copy.
.PHONY: molecule-kubernetes
molecule-kubernetes: $(VENV)/.test
	MOLECULE_GLOB=docs/examples/kubernetes/molecule.yml $(BIN)/python tests/kubernetes/with_cluster.py run -- $(BIN)/molecule test -s kubernetes

# One scenario on real hosts: molecule-systemd, molecule-resume and so on.
molecule-%: $(VENV)/.test
	$(call MOLECULE,$*)

REAL := systemd adopt deploy resume rollback join stale_worker unreachable
ifdef SHARE
REAL := $(or $(shell $(PYTHON) tests/tools/share.py pick $(SHARE) $(REAL)),$(error SHARE=$(SHARE) is no share: say SHARE=1/4))
endif
.PHONY: molecule-hosts
molecule-hosts: $(addprefix molecule-,$(REAL)) ## The Molecule scenarios on real hosts (needs root; molecule-systemd is one of them)

# As whoever lands something has it run: without what make hands to the makes that it starts.
.PHONY: everything
everything: ## All of .ci/run, nothing left to another commit, and a sample of the mutants: an hour and a half
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL PATH="$(OUTER_PATH)" PYTHON="$(PYTHON)" .ci/run everything

.PHONY: lint
lint: lint-yaml lint-python lint-ansible lint-docs lint-licences lint-tarball lint-sanity ## Every linter, nothing skipped

.PHONY: lint-yaml
lint-yaml: $(VENV)/.lint
	$(BIN)/yamllint --strict .

# mypy sees the collection under its full name, through a link of its own: what
# it finds in site-packages it would not check.
.PHONY: lint-python
lint-python: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p build/mypy/ansible_collections/phased
	ln -sfn ../../../.. build/mypy/ansible_collections/phased/keys
	MYPYPATH=build/mypy $(BIN)/mypy -p ansible_collections.phased.keys.plugins
	MYPYPATH=tests/tools $(BIN)/mypy tests/tools

.PHONY: lint-ansible
lint-ansible: $(VENV)/.lint
	$(BIN)/ansible-lint

# antsibull-docs puts a log into the home.
.PHONY: lint-docs
lint-docs: $(VENV)/.lint
	HOME="$(CACHE)" $(BIN)/antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self .
	$(BIN)/antsibull-changelog lint

.PHONY: lint-licences
lint-licences: $(VENV)/.lint
	$(BIN)/reuse lint --lines

# What the tarball holds, and whether Galaxy would take it.
.PHONY: lint-tarball
lint-tarball: build $(VENV)/.lint
	$(BIN)/python tests/tools/tarball_check.py
	cd build; GALAXY_IMPORTER_TMP_ROOT_DIR="$$TMPDIR" GALAXY_IMPORTER_ANSIBLE_LOCAL_TMP="$$ANSIBLE_LOCAL_TEMP" \
	  GALAXY_IMPORTER_CHECK_REQUIRED_TAGS=true \
	  ../$(BIN)/python -m galaxy_importer.main phased-keys-*.tar.gz

.PHONY: lint-sanity
lint-sanity: $(VENV)/.lint ## ansible-test sanity alone (ARGS="--test import")
	$(BIN)/python tests/tools/sanity.py $(ARGS)

# With another ansible-core: `make sanity-2.22 ARGS="--test validate-modules"`.
.PHONY: sanity-newest
sanity-newest: sanity-2.22 ## ansible-test sanity with the newest ansible-core

sanity-%: .venv-%/.made
	$(<D)/bin/python tests/tools/sanity.py $(ARGS)

.PHONY: format
format: $(VENV)/.lint ## Format the Python files, and fix what can be fixed safely
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: build
build: $(VENV)/.runtime ## Build the collection's tarball into build/, of what is committed and nothing else
	$(BIN)/python tests/tools/build.py

.PHONY: clean
clean: ## Remove .venv, .cache and build
	rm -rf $(VENV) .venv-docs .cache build

.PHONY: docs
docs: .venv-docs/.made build $(VENV)/.test ## Build the documentation as a site into build/docs/html, follow every link, and do what the tutorial says
	PATH="$(CURDIR)/$(<D)/bin:$$PATH" HOME="$(CACHE)" $(<D)/bin/python tests/tools/make_docs.py
	$(PYTEST) $(call WHICH,tests/docs)

# As whoever releases has it run: without what make hands to the makes that it starts. GATES="lint" takes fewer.
.PHONY: release-rehearsal
release-rehearsal: $(VENV)/.lint ## Rehearse a release in a clone: changelog, version, tarball, and the quick gates again (VERSION=0.2.0)
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL PATH="$(OUTER_PATH)" PYTHON="$(PYTHON)" $(BIN)/python tests/tools/rehearse.py $(VERSION) $(GATES)

# --- upkeep ------------------------------------------------------------------

# Each list holds what its .in file adds to the lists before it, with every
# transitive package, as a clean environment resolved it, and what each of its files hashes to.
.PHONY: pins
pins: | .cache/tmp ## Resolve requirements/*.in anew into requirements/*.txt
	cd requirements; \
	plain() { cat /dev/null "$$@" | sed -n 's/ *\\$$//; /^[A-Za-z]/p'; }; \
	fresh() { \
	  rm -rf ../build/pins; $(PYTHON) -m venv ../build/pins; \
	  plain "$$@" > ../build/pins/seen.txt; \
	  ../build/pins/bin/python -m pip install --quiet --no-deps -r ../build/pins/seen.txt; \
	  ../build/pins/bin/python -m pip freeze > ../build/pins/seen.txt; \
	}; \
	add() { \
	  ../build/pins/bin/python -m pip install --quiet -r $$1.in -c ../build/pins/seen.txt; \
	  ../build/pins/bin/python -m pip freeze > ../build/pins/all.txt; \
	  { echo "# Made by \`make pins\` from $$1.in."; \
	    grep -vxFf ../build/pins/seen.txt ../build/pins/all.txt; } > $$1.txt; \
	  cp ../build/pins/all.txt ../build/pins/seen.txt; \
	}; \
	fresh; add runtime; add test; add lint; \
	fresh runtime.txt test.txt; add mutants; \
	fresh runtime.txt test.txt; add stores; \
	fresh runtime.txt; add docs; \
	for core in 2.14 2.15 2.16 2.17 2.18 2.19 2.20 2.21 2.22; do \
	  rm -rf ../build/pins; $$($(PYTHON) ../tests/tools/pythons.py $$core) -m venv ../build/pins; \
	  ../build/pins/bin/python -m pip install --quiet -r core.in "ansible-core>=$$core.0b1,==$$core.*"; \
	  { echo "# Made by \`make pins\` from core.in."; ../build/pins/bin/python -m pip freeze; } > core-$$core.txt; \
	done
	rm -rf build/pins
	$(MAKE) hashes

# pip installs nothing else than what was pinned, from whatever mirror it comes.
.PHONY: hashes
hashes: | .cache/tmp ## Write the hashes of what requirements/*.txt pin, without resolving anything anew
	rm -rf build/hashes; $(PYTHON) -m venv build/hashes
	build/hashes/bin/python -m pip install --quiet uv
	cd requirements; \
	for list in *.txt; do \
	  sed -n '/^#/p' $$list > ../build/hashes/$$list; \
	  sed -n 's/ *\\$$//; /^[A-Za-z]/p' $$list > ../build/hashes/plain.txt; \
	  case $$list in \
	    core-*) core=$${list#core-}; for=$$($(PYTHON) ../tests/tools/pythons.py $${core%.txt});; \
	    *) for=../build/hashes/bin/python;; \
	  esac; \
	  ../build/hashes/bin/uv pip compile --quiet --no-deps --generate-hashes --no-annotate --no-header --python $$for \
	    --cache-dir $(CACHE)/uv ../build/hashes/plain.txt >> ../build/hashes/$$list; \
	  cp ../build/hashes/$$list $$list; \
	done
	rm -rf build/hashes
