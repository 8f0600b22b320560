# debian PACKAGE...: installs those of Debian's packages that are not there, which needs root, and says what is missing where it
# cannot. Sourced.
debian() {
    local package log missing=()
    for package in "$@"; do
        dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    ((${#missing[@]} > 0)) || return 0
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        echo "FAILED: Debian's packages are not there: apt-get install ${missing[*]}" >&2
        return 1
    fi
    log=$(mktemp)
    # RUNLEVEL=1 keeps packages from starting services.
    if ! { apt-get update && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        echo "FAILED: apt-get install ${missing[*]}: all of it is in $log" >&2
        return 1
    fi
    rm -f "$log"
}
