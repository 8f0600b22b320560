# The commands of evenkeel, each with its needs besides Rust; `run`, `test`, `lint`, `docs`, `proto` need only Rust.

export PYTHONDONTWRITEBYTECODE := "1"

_default:
    @just --list --unsorted

# Serve on 127.0.0.1:50051; arguments are those of `evenkeel serve`
run *arguments:
    cargo run --release --locked -- serve {{ arguments }}

# All tests of the workspace, also those that come after a failure
test:
    cargo test --no-fail-fast

# All tests N times idle and N times beside a load on every core; prints what failed (needs Python 3)
steady n="20":
    bash .ci/steady {{ n }}

# Clip, drop and normalize 8 GiB in 256 MiB of memory, and compare with NumPy (needs Linux, root, Python 3.11 with NumPy, 24 GiB of disk)
checkpoint *arguments:
    cargo build --profile image --locked --package evenkeel --bin evenkeel
    python3 benches/checkpoint.py {{ arguments }}

# Formatting and clippy, warnings denied
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
    cargo clippy --package evenkeel-client --lib --locked -- -D warnings

# The API documentation, warnings denied
docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

# Advisories, licences, bans, sources (installs cargo-deny)
audit:
    bash .ci/install cargo-deny
    bash .ci/audit

# Write the generated code again after a change to the proto
proto:
    EVENKEEL_WRITE_GENERATED=1 cargo test -p evenkeel-proto --test drift

# Write the table of docs/settings.md again after a change to the flags
settings:
    EVENKEEL_WRITE_GENERATED=1 cargo test -p evenkeel --test readme settings

# Write the golden digests of the self-check again after a change to its cases, or on purpose to what is computed
digests:
    EVENKEEL_WRITE_GENERATED=1 cargo test -p evenkeel --lib self_check::tests::every_instruction_set

# Compute the golden vectors again (needs Python 3.11; installs PyTorch under target/)
golden: (python "tests/golden/requirements.txt" "tests/golden/generate.py")

# Make the real tensors of tests/data again (needs Python 3.11; installs PyTorch under target/)
data: (python "tests/data/requirements.txt" "tests/data/make.py")

# Run a Python script with its requirements in an environment of the project
[private]
python requirements script:
    python3 -m venv target/python
    target/python/bin/pip install --quiet --requirement {{ requirements }}
    target/python/bin/python {{ script }}

# Lint the proto and compare it with the last release (installs buf; needs Go)
proto-lint:
    bash .ci/install buf
    bash .ci/proto

# Have the metrics and alerts read by promtool and Prometheus (installs Debian's package `prometheus`)
metrics:
    bash .ci/metrics

# The cases of conformance/ against every client, or one: `--client go` (needs Python, Go, Node, Java with Maven; installs the rest)
conformance *arguments:
    bash .ci/install cpp
    bash conformance/run.sh {{ arguments }}

# Tests of the runner of conformance/ itself (needs Python 3.11, openssl)
conformance-check:
    bash conformance/check.sh

# All checks of a client: python, go, typescript, java or cpp (needs its language; check.sh says what else)
client language:
    cargo build --release --locked --package evenkeel
    bash clients/{{ language }}/check.sh

# Build each client's artefact, install it in a new folder, and run its first program; prints seconds (needs all six languages)
client-install *arguments:
    cargo build --release --locked --package evenkeel
    bash clients/install.sh {{ arguments }}

# Count the glue in the clients' first programs; `--write` writes the table of docs/clients.md anew (needs Python 3.11)
glue *arguments:
    python3 clients/glue.py {{ arguments }}
    python3 -m unittest clients/glue_test.py

# The programs and pictures of docs/operations/*.md from the files that they show (needs Python 3.11)
snippets:
    python3 docs/operations/snippets.py
    python3 docs/operations/pictures.py

# Call the service from Python with stubs made from the proto alone (needs Python 3.11)
python-check:
    bash checks/python/run.sh

# Train on a local cluster of Ray with 1, 2 and 4 workers and compare every bit (needs Python 3.11; installs Ray)
ray:
    bash checks/ray/run.sh

# Call the service like a page in a browser (needs Node 20)
web-check:
    bash checks/web/run.sh

# Click through the page at `/` in Chromium; `--screenshots` writes docs/page/*.png anew (needs Node 20, curl, Chromium)
page *arguments:
    bash checks/page/run.sh {{ arguments }}

# Count the seconds from nothing to the README's first answer; `--image`: from the container image (needs curl; root and buildah)
first-minute *arguments:
    cargo build --release --locked --package evenkeel
    bash checks/minute/run.sh {{ arguments }}

# gRPC's interop cases that apply to any server, from grpcio (needs Python 3.11)
interop:
    bash checks/interop/run.sh

# Send traces and metrics to an OpenTelemetry Collector and look at what it got (builds it; needs Go and Python 3.11)
collector:
    bash checks/collector/run.sh

# Set the server's clock forward and back by a day, under load (installs Debian's package `libfaketime`; needs Go, Python 3.11)
clock:
    bash checks/clock/run.sh

# TLS, mutual TLS and tokens as OpenSSL and grpcio see them (needs openssl, Python 3.11)
tls:
    bash checks/tls/run.sh

# The rules of HTTP/2 and HPACK as tests, in plain text and over TLS (installs h2spec; needs Go)
h2spec:
    bash checks/h2spec/run.sh

# Connect's conformance suite against a server that carries its service (installs connectconformance; needs Go)
connectconformance *arguments:
    bash checks/connectconformance/run.sh {{ arguments }}

# Check the retry policies of grpc-go and grpcio against a server that refuses calls (needs Go, Python 3.11)
retry:
    bash checks/retry/run.sh

# Measure the accuracy beside PyTorch's; write docs/accuracy.md and its plots (needs Python 3.11; installs PyTorch)
accuracy *arguments:
    bash accuracy/run.sh {{ arguments }}

# Make masks and norms again in Python, Go and Java and compare with the service (needs Python 3.11, Go, Java 17)
reproduce:
    bash docs/reproduce/check.sh

# Load the service with ghz and print a summary; fails on any failed call (installs ghz; needs Go and Python)
load *arguments:
    bash load/run.sh {{ arguments }}

# The same, one second for each configuration
load-short:
    bash load/run.sh --short

# Run ghz and `evenkeel load` in turns on an idle machine and print one table of both (installs ghz; needs Go and Python)
load-compare *arguments:
    bash load/compare.sh {{ arguments }}

# Measure speed and memory beside their goals, on two idle cores; write docs/benchmarks.md (needs Python 3.11)
bench:
    bash benches/run.sh

# A part of it in two minutes; writes no document (needs Python 3.11)
bench-short:
    bash benches/run.sh --short

# Measure each client beside its language's bare stub, in turns, on two idle cores; prints one table (needs all six languages)
bench-clients *arguments:
    bash clients/bench.sh {{ arguments }}

# Ten minutes of mixed traffic, two cores; fails on growth or a wrong answer; writes docs/soak.md (needs Python 3.11)
soak:
    bash benches/soak.sh

# One minute of it; writes no document
soak-short:
    bash benches/soak.sh --short

# Build the container image, run it, check it from Python (needs root, buildah, debootstrap, Python)
container:
    bash deploy/prove.sh

# Fuzz every target for so many seconds, or those named (needs a C++ compiler)
fuzz seconds="60" *targets:
    bash fuzz/run.sh {{ seconds }} {{ targets }}

# Tests of exact sums and frames, and small ones of the kernels, under Miri (installs a nightly toolchain; takes minutes)
miri *filters:
    bash .ci/miri {{ filters }}

# Break a file in many small ways, one after another, and tell which the tests do not notice (installs cargo-mutants)
mutants file tests="--lib":
    bash .ci/mutants {{ file }} {{ tests }}

# Everything that must pass before a merge (installs what it needs; needs Go, Java, Node, Python, and Debian's packages for C++)
ci:
    bash .ci/run

# What takes long and rarely fails: Miri, PyTorch, Ray, a collector, clocks, accuracy, soak (needs Go and Python)
ci-long:
    bash .ci/long
