# step NAME COMMAND...: runs a step of the checks, says how long it took, and ends the script if it fails. Sourced.
step() {
    local name=$1 begun=$SECONDS
    shift
    printf '\n==> %s: %s\n' "$name" "$*"
    if ! "$@"; then
        printf '\nFAILED: %s (%s)\n' "$name" "$*"
        exit 1
    fi
    printf -- '--- %s: ok, %d s\n' "$name" $((SECONDS - begun))
}
