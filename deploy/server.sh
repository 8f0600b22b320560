# A server for a script, from a program or from the container image. Sourced, in the top folder; needs `fail`, and for the image
# deploy/image.sh. A script calls `stop_servers` when it ends.
server_commands=()

# serve_program PROGRAM FOLDER [OPTION...]: starts the program on a free port, in this folder and with no variables but PATH. Sets
# `address`. FOLDER gets the server's log as `server.log`.
serve_program() {
    local program folder=$2
    program=$(realpath "$1")
    [[ -x $program ]] || fail "there is no program $1"
    mkfifo "$folder/server.stdout"
    (cd "$folder" && exec env -i PATH="$PATH" "$program" serve --listen 127.0.0.1:0 "${@:3}") \
        >"$folder/server.stdout" 2>"$folder/server.log" &
    await_server "$folder" $!
}

# serve_image FOLDER [OPTION...]: the same with the image's program.
serve_image() {
    local container folder=$1
    mkfifo "$folder/server.stdout"
    container=$(store from --pull-never "$image")
    server_commands+=("store rm $container >/dev/null")
    store run --isolation chroot --env EVENKEEL_LISTEN=127.0.0.1:0 "$container" -- evenkeel serve "${@:2}" \
        >"$folder/server.stdout" 2>"$folder/server.log" &
    await_server "$folder" "\$(service_of $!)"
}

# await_server FOLDER PROCESS: PROCESS is a number, or an expression for it, evaluated when the server is stopped.
await_server() {
    local line
    server_commands=("kill $2; wait" "${server_commands[@]}")
    read -r -t 60 line <"$1/server.stdout" || fail "the server did not start: $(cat "$1/server.log")"
    address=${line#listening on }
}

stop_servers() {
    local command
    for command in "${server_commands[@]}"; do eval "$command" || true; done
}
