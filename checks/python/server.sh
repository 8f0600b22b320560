# Functions that the scripts of the other folders share; sourced in the root of the checkout.

# Servers are on this machine, and gRPC's libraries must not go through a proxy if one is set.
export no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1
export NO_PROXY=$no_proxy

scratch=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT

# arguments [--target HOST:PORT]: sets `target` to the server that the script is to call; empty: the script starts its own.
arguments() {
    target=
    case "${1-}" in
        --target) target=${2:?--target needs HOST:PORT} ;;
        '') ;;
        *) echo "usage: $0 [--target HOST:PORT]" >&2 && exit 64 ;;
    esac
}

# environment REQUIREMENTS: sets `python` to a Python with the packages that the file lists, in target/python or
# EVENKEEL_PYTHON_VENV.
environment() {
    local venv=${EVENKEEL_PYTHON_VENV:-target/python}
    [[ -x $venv/bin/python ]] || python3 -m venv "$venv"
    python=$(cd "$venv" && pwd)/bin/python
    "$python" -m pip install --quiet --disable-pip-version-check --requirement "$1"
}

# self_signed FOLDER HOST: makes a self-signed cert.pem and its key.pem in the folder, with Go's own program.
self_signed() {
    local generate
    generate=$(go env GOROOT)/src/crypto/tls/generate_cert.go
    (cd "$1" && go run "$generate" --host "$2" --ecdsa-curve P256 2>/dev/null)
}

# serve [FLAG...]: builds a server and starts it on a free port; sets `evenkeel`, `server` and `target`. It logs warnings, if
# no flag says otherwise.
serve() {
    cargo build --release --locked --package evenkeel
    evenkeel=${CARGO_TARGET_DIR:-target}/release/evenkeel
    [[ -p $scratch/stdout ]] || mkfifo "$scratch/stdout"
    EVENKEEL_LOG_LEVEL=warn "$evenkeel" serve --listen 127.0.0.1:0 "$@" >"$scratch/stdout" &
    server=$!
    local line
    read -r line <"$scratch/stdout" # waits until the server prints its address, or ends
    target=${line#listening on }
}

# stop: ends the server with SIGTERM, as an operator would, and fails if its exit code is not 0.
stop() {
    kill -TERM "$server"
    wait "$server"
    server=
    rm "$scratch/stdout"
}
