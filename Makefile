# make demo: from a clone to an edited brain. make test: the test suite. Both create .venv on first use.
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=
SCAN ?=
PATHOLOGY ?=
BRAIN ?=
OUT ?= out/demo

BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt
INDEX := $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX),)

.PHONY: demo test test-slow test-browser lint format clean pictures \
	check-weights release-check bench-training metric-pictures simulation-report simulation-realism mutants mutants-all \
	fuzz kill zoo-check release-assets docs dist-check

# torch first and pinned: an unpinned one pulls gigabytes of CUDA libraries.
$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP_INSTALL) $(INDEX) torch
	$(PIP_INSTALL) -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP_INSTALL) -e ".[dev]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/python -m mededit_monai.demo --output_dir "$(OUT)" $(if $(SCAN),--scan "$(SCAN)") \
		$(if $(PATHOLOGY),--pathology "$(PATHOLOGY)") $(if $(BRAIN),--brain "$(BRAIN)")

# Two tests at a time, each on one thread: faster on two cores than one test on two.
test: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-slow: $(VENV)/installed-dev
	$(BIN)/python -m pytest -m slow

# Pages in a real browser: the system's Chromium (on Debian: apt-get install chromium), drawing by software.
test-browser: $(VENV)/installed-dev
	$(PIP_INSTALL) -e ".[browser]"
	$(BIN)/python -m pytest -m browser tests/browser

# The picture in docs/get_started.md.
pictures: $(VENV)/installed
	$(BIN)/python -m mededit_monai.demo --output_dir out/pictures --picture out/pictures/before_after.png
	cp out/pictures/before_after.png docs/images/before_after.png

lint: $(VENV)/installed-dev
	$(BIN)/python -m black --check -q mededit_monai studies tests integrations
	$(BIN)/python -m isort --check -q mededit_monai studies tests integrations
	$(BIN)/python -m ruff check -q mededit_monai studies tests integrations

format: $(VENV)/installed-dev
	$(BIN)/python -m isort -q mededit_monai studies tests integrations
	$(BIN)/python -m black -q mededit_monai studies tests integrations

# The pages of docs/ as a site, in out/site; a warning ends it.
docs: $(VENV)/installed
	$(PIP_INSTALL) -e ".[docs]"
	$(BIN)/python -m mkdocs build --strict

# Wheel and sdist into dist/: do they have what an index wants, and what belongs in them?
dist-check: $(VENV)/installed-dev
	rm -f dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build -o dist
	$(BIN)/python -m twine check --strict dist/*.whl dist/*.tar.gz
	$(BIN)/python -m check_wheel_contents dist/*.whl

clean:
	rm -rf $(VENV) build dist out *.egg-info .pytest_cache .ruff_cache

# --- studies: what measures the project itself; nothing of it is in the wheel ---

# The floor for the shipped weights, on 20 held-out simulated cases each: bundle:condition:method.
CHECKED := stroke:mask:morph stroke:mask:mededit stroke:box:mededit \
	tumor:mask:morph tumor:regions:morph tumor:regions:mededit tumor:mask:mededit tumor:box:mededit
check-weights: $(VENV)/installed
	status=0; for one in $(CHECKED); do \
		set -- $$(echo $$one | tr : ' '); echo "$$1, told of the $$2, $$3"; \
		$(BIN)/python -m studies.weight_check --bundle $$1 --condition $$2 --method $$3 \
			--output_dir out/weight_check/$$1_$$2_$$3 || status=1; \
	done; exit $$status

# The weights that are not in git, checked, into dist/weights, for a release; FILES_URL= the address that they will be under.
release-assets: $(VENV)/installed
	$(BIN)/python -m studies.release_assets $(if $(FILES_URL),--url "$(FILES_URL)") -o dist/weights

# Are the weights fit to be shipped? COHORT= (mededit simulate) is needed; SCANS= a folder of real T1 scans, CANDIDATE= other
# weights of the painter, CEILING= what studies.effects_ceiling wrote on the same cohort.
release-check: $(VENV)/installed
	$(BIN)/python -m studies.release_check --cohort "$(COHORT)" $(if $(SCANS),--scans "$(SCANS)") \
		$(if $(CANDIDATE),--candidate "$(CANDIDATE)") $(if $(CEILING),--ceiling "$(CEILING)") \
		--output_dir out/release_check

# What the data pipeline costs beside a training step.
bench-training: $(VENV)/installed
	$(BIN)/python -m studies.training_bench --bundle stroke

# The pictures of docs/concepts/metrics.md.
metric-pictures: $(VENV)/installed-dev
	$(BIN)/python -m studies.metric_pictures -o docs/images/metrics

# 500 simulated cases of each disease, measured: docs/results/simulation.md and two montages.
simulation-report: $(VENV)/installed
	$(BIN)/python -m studies.simulation_report $(if $(ANATOMIES),--anatomies "$(ANATOMIES)") \
		$(if $(LESIONS),--lesions "$(LESIONS)")

# Can a classifier tell simulated slices from those of real scans? SCANS= is needed.
simulation-realism: $(VENV)/installed
	$(BIN)/python -m studies.simulation_realism --scans "$(SCANS)" \
		$(if $(ANATOMIES),--anatomies "$(ANATOMIES)")

# Do the tests bite? One mistake of studies/mistakes at a time, in a copy; ONLY= those whose name matches, JOBS= at a time.
mutants: $(VENV)/installed-dev
	$(BIN)/python -m studies.mutants --jobs $(or $(JOBS),2) $(if $(ONLY),--only "$(ONLY)")

# Every mistake that mutmut can think of in some modules ([mutmut] in setup.cfg), a quarter of an hour; lists what survives, for a
# person to judge: a changed message or an equal formula is no gap.
mutants-all: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/mutmut run --max-children $(or $(JOBS),2)
	$(BIN)/mutmut results

# Edit generated scans, good and faulty ones, and count what breaks a promise; COUNT= of them.
fuzz: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m studies.fuzz --count $(or $(COUNT),10000) -o out/fuzz

# Kill the program at random moments and compare what its restarts end with; COUNT= times.
kill: $(VENV)/installed
	$(BIN)/python -m studies.kill --count $(or $(COUNT),200) -o out/kill

# What the MONAI Model Zoo checks, on every bundle as mededit export writes it.
zoo-check: $(VENV)/installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m studies.zoo_check
