# `make demo` shows a cluster, `make test` runs all tests. Both install what they need.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Prefer the distribution's Python, which is compiled with optimizations: Ansible then uses a sixth less CPU time than with
# many other builds.
PYTHON ?= $(shell for python in /usr/bin/python3 python3; do \
    $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
SCENARIOS := $(notdir $(patsubst %/,%,$(dir $(wildcard molecule/*/molecule.yml))))
# Scenarios that share their hosts.
SHARED := rollback upgrade monitoring scale
# First those that can begin while `make nodes` prepares the hosts of the others, and the last ones are the shortest.
ORDER := default validation fleet SHARED config_only security firewall chaos
ORDER += $(filter-out $(ORDER) $(SHARED),$(SCENARIOS))
SCENARIO_COMMANDS := $(foreach name,$(ORDER),'testbed/scenario $(or $(filter-out SHARED,$(name)),$(SHARED))')
BENCHMARK := converge packed start recovery unchanged variables tls task_errors metrics observation plan
# $(call run,commands,number at a time). A command is a quoted line. 0 means all at the same time.
run = printf '%s\n' $(1) | xargs --max-procs=$(2) --max-lines=1 env

export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Keep downloaded packages in the checkout.
export XDG_CACHE_HOME := $(CURDIR)/.cache
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Molecule wraps lines at the terminal's width.
export COLUMNS := 160
# pyproject.toml has paths for coverage.
export DASKOPS_CHECKOUT := $(CURDIR)
# The user's own settings must not affect the demo and the tests.
unexport ANSIBLE_INVENTORY ANSIBLE_ROLES_PATH ANSIBLE_COLLECTIONS_PATH
# Without bytecode, each start of Ansible or Dask compiles hundreds of modules.
unexport PYTHONDONTWRITEBYTECODE

DEMO := -i testbed/inventory.py -i inventories/demo
QUIET := ANSIBLE_DISPLAY_OK_HOSTS=false ANSIBLE_DISPLAY_SKIPPED_HOSTS=false

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# -- Requirements of all targets ---------------------------------------------------------------------------------------

.venv/complete: requirements/dev.txt roles/environment/files/tools.txt
	@$(or $(PYTHON),false) -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer with venv is needed here; name one with: make PYTHON=/path/to/python ..."; exit 1; }
	@echo "Installing Ansible and the test tools into .venv"
	@$(PYTHON) -m venv --clear .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r roles/environment/files/tools.txt
	@.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: testbed
testbed: .venv/complete
	@testbed/image >/dev/null

.PHONY: nodes
nodes: .venv/complete
	@testbed/environment-image >/dev/null
	@DASKOPS_VARIANT=trixie testbed/image >/dev/null
	@testbed/relocatable-python >/dev/null

.PHONY: lock
lock: .venv/complete ## resolve the lock files again
	cd roles/environment/files && for name in tools build default; do \
	    uv pip compile --quiet --upgrade --universal --python-version 3.10 --generate-hashes --no-annotate \
	        --custom-compile-command 'make lock' $$name.in -o $$name.txt; done
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --constraint roles/environment/files/default.txt --custom-compile-command 'make lock' \
	    requirements/dev.in -o requirements/dev.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate \
	    --custom-compile-command 'make lock' requirements/docs.in -o requirements/docs.txt
	uv pip compile --quiet --upgrade --universal --python-version 3.13 --generate-hashes --no-annotate \
	    --constraint roles/environment/files/default.txt --custom-compile-command 'make lock' \
	    molecule/fleet/packages.in -o molecule/fleet/packages.txt

.PHONY: generate
generate: .venv/complete ## write what comes from the code: argument specs, defaults, READMEs, the reference
	python tools/generate

.PHONY: changelog
changelog: .venv/complete .venv-docs/complete ## write CHANGELOG.rst from changelogs/changelog.yaml
	@.venv-docs/bin/antsibull-changelog generate

# -- The documentation -------------------------------------------------------------------------------------------------

.venv-docs/complete: requirements/docs.txt | .venv/complete
	@echo "Installing Sphinx into .venv-docs"
	@uv venv --quiet --clear --python .venv/bin/python .venv-docs
	@uv pip install --quiet --python .venv-docs/bin/python --require-hashes -r requirements/docs.txt
	@touch $@

.PHONY: plugin-docs
plugin-docs: .venv/complete .venv-docs/complete
	@rm -rf docs/reference/plugins && mkdir docs/reference/plugins
	@# Run ansible-doc, which antsibull-docs calls, from .venv.
	@.venv-docs/bin/antsibull-docs collection --use-current --no-breadcrumbs --squash-hierarchy --fail-on-error \
	    --dest-dir docs/reference/plugins daskops.cluster

.PHONY: docs
docs: plugin-docs ## build the documentation into docs/_build/html; any warning is an error
	@.venv-docs/bin/sphinx-build --quiet --fresh-env --nitpicky --fail-on-warning --keep-going docs docs/_build/html
	@echo "docs/_build/html/index.html"

.PHONY: linkcheck
linkcheck: plugin-docs ## request each link from the documentation and the README to another site, over the internet
	@# Sphinx reads one folder, which must not contain .venv, and the README is outside of docs.
	@rm -rf .cache/linkcheck && mkdir -p .cache/linkcheck && cp -r *.md docs .cache/linkcheck
	@rm -rf .cache/linkcheck/docs/_build
	@# `make docs` and the unit tests check the links between pages.
	@.venv-docs/bin/sphinx-build --quiet --builder linkcheck --conf-dir docs --define root_doc=README \
	    --define suppress_warnings=myst.xref_missing,ref.ref,toc.not_included .cache/linkcheck .cache/linkcheck/_build

# -- The demo ----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: testbed ## start a scheduler and three workers in containers, and compute on them
	@$(QUIET) ansible-playbook $(DEMO) testbed/create.yml
	@ansible-playbook $(DEMO) playbooks/site.yml
	@$(QUIET) ansible-playbook $(DEMO) playbooks/client.yml
	@ansible-playbook $(DEMO) testbed/demo.yml

.PHONY: screenshots
screenshots: .venv/complete ## make the pictures in docs/images from the running demo, with Chromium
	@tools/screenshots

.PHONY: demo-down
demo-down: demo-gone ## remove the demo
	@testbed/engine stop

.PHONY: demo-gone
demo-gone: .venv/complete
	@$(QUIET) ansible-playbook $(DEMO) testbed/destroy.yml

.PHONY: clean
clean: ## remove the demo, the images, the caches and the virtual environments
	@if docker version >/dev/null 2>&1 || command -v dockerd >/dev/null; then \
	    $(MAKE) --no-print-directory demo-gone; \
	    docker images --quiet 'daskops-*' | sort -u | xargs --no-run-if-empty docker rmi --force >/dev/null; \
	    testbed/engine stop; fi
	rm -rf .venv .venv-docs .cache .ansible docs/_build docs/reference/plugins

# -- Tests -------------------------------------------------------------------------------------------------------------

.PHONY: test
test: .venv/complete ## run all tests
	@# Unit tests and scenarios often wait. Meanwhile, prepare the hosts of later scenarios, and check the code. Only the checks
	@# have a low priority, because an engine and all hosts would inherit it. Lint, docs and galaxy run one after the other,
	@# because each may install .venv-docs.
	@rm -f .cache/failures.txt
	@trap 'testbed/engine stop' EXIT; status=0; make='$(MAKE) --no-print-directory --keep-going'; \
	$(call run,"$$make lanes" "$$make nodes" "nice -n 19 tests/output-at-end $$make lint docs galaxy" \
	    "nice -n 19 tests/output-at-end $$make sanity",0) || status=1; \
	[[ $$status == 0 ]] || cat .cache/failures.txt 2>/dev/null || true; \
	exit $$status

.PHONY: lanes
lanes: .venv/complete
	@# After the unit tests, two scenarios run at a time.
	@make='$(MAKE) --no-print-directory'; \
	$(call run,"tests/output-at-end $$make unit" "$$make testbed" $(SCENARIO_COMMANDS),2)

.PHONY: lint
lint: .venv/complete .venv-docs/complete ## check formatting, style, types and the changelog
	ruff format --check .
	ruff check .
	mypy
	yamllint --strict .
	ansible-lint --offline
	.venv-docs/bin/antsibull-changelog lint
	.venv-docs/bin/antsibull-changelog lint-changelog-yaml --strict changelogs/changelog.yaml
	@.venv-docs/bin/antsibull-changelog generate --output .cache/CHANGELOG.rst
	@cmp --silent CHANGELOG.rst .cache/CHANGELOG.rst \
	    || { echo "CHANGELOG.rst differs from changelogs/changelog.yaml. Write it with: make changelog"; exit 1; }

.PHONY: sanity
sanity: .venv/complete ## run ansible-test sanity with the oldest and the newest ansible-core
	@# The newest pylint is the strictest one.
	tests/sanity/run 2.17 3.11 --skip-test pylint
	tests/sanity/run 2.21 3.12

.PHONY: galaxy
galaxy: .venv/complete .venv-docs/complete ## build the collection's archive, and import it as Galaxy does
	@rm -rf .cache/galaxy
	@ansible-galaxy collection build --output-path .cache/galaxy >/dev/null
	@# The importer writes its result into the working directory.
	@(cd .cache/galaxy && PATH="$(CURDIR)/.venv-docs/bin:$$PATH" \
	    GALAXY_IMPORTER_CONFIG="$(CURDIR)/tests/galaxy-importer.cfg" python -m galaxy_importer.main *.tar.gz >log 2>&1) \
	    || { cat .cache/galaxy/log; exit 1; }

.PHONY: unit
unit: .venv/complete ## run the unit tests, with real schedulers and workers
	@# A hanging test fails and shows its stack.
	python -m pytest --numprocesses 2 --dist loadscope --max-worker-restart 1 \
	    -o faulthandler_timeout=300 -o faulthandler_exit_on_timeout=true

.PHONY: coverage
coverage: .venv/complete ## show which lines the unit tests run, in their subprocesses, too; TESTS=files for some of them
	@mkdir -p .cache/coverage && coverage erase
	@status=0; coverage run -m pytest --numprocesses 2 --dist loadscope --max-worker-restart 1 $(TESTS) || status=$$?; \
	coverage combine --quiet && coverage report && exit $$status

.PHONY: health-matrix
health-matrix: .venv/complete ## cluster_health with older versions of Dask; RECORD=1 records their responses for the unit tests
	PYTHONPATH=tests/unit python -m pytest --capture no tests/health_matrix

.PHONY: molecule
molecule: testbed ## run the scenarios on containers, two at a time; SCENARIO=name for one
	@rm -f .cache/failures.txt
	@trap 'testbed/engine stop' EXIT; \
	$(if $(SCENARIO),molecule test --scenario-name $(SCENARIO),$(call run,$(SCENARIO_COMMANDS),2)) \
	    || { cat .cache/failures.txt 2>/dev/null; exit 1; }

.PHONY: benchmark
benchmark: testbed ## measure what runs cost, as ratios; BENCHMARK=start runs one of them
	@for benchmark in $(BENCHMARK); do \
	    PYTHONPATH=.collections:roles/config/files/runtime .venv/bin/python benchmarks/$$benchmark; done

.PHONY: build
build: .venv/complete ## build the collection's archive
	ansible-galaxy collection build --force
