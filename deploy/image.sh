# The container image that deploy/prove.sh builds and checks, and how scripts reach it with buildah. Sourced, in the top folder.
state=$PWD/target/container
image=localhost/evenkeel:proof
export BUILDAH_ISOLATION=chroot

# store COMMAND...: buildah, with what it keeps in `state`.
store() {
    buildah --root "$state/storage" --runroot "$state/run" --storage-driver vfs "$@"
}

has_image() { # has_image NAME
    store inspect --type image "$1" >/dev/null 2>&1
}

# service_of RUNNER: the process of the service that the process RUNNER of buildah has started. A container shares this machine's
# process ids: the service is the last in the chain of children.
service_of() {
    local service=$1 child
    while child=$(ps --ppid "$service" -o pid= | head -n 1) && [[ -n $child ]]; do
        service=$((child))
    done
    echo "$service"
}
