# The environment that the scripts share; sourced. Programs that `cargo install` and `go install` write are on the PATH, and
# Python leaves no __pycache__ in the checkout.
PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
if command -v go >/dev/null; then
    gobin=$(go env GOBIN)
    PATH=${gobin:-$(go env GOPATH)/bin}:$PATH
    unset gobin
fi
export PATH PYTHONDONTWRITEBYTECODE=1
