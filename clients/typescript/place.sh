# Sourced by the scripts of this folder, with the name of a copy of the package in the repository's target/, which they work in: one
# for the adapter, and one for the checks. Sets `target`, `place` (the copy) and `fingerprint` (what the sources are, in a word).

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=$(cd "$repository" && realpath -m "${CARGO_TARGET_DIR:-target}")
root=$target/typescript/$1
place=$root/clients/typescript
# Files that are not sources.
leftovers=(node_modules build dist docs)

# lock: waits for other scripts that work in the copy.
lock() {
    mkdir -p "$place" "$root/proto"
    exec 9>"$root/lock"
    flock 9
    fingerprint=$( (cd "$repository" && tar --create --sort=name --mtime=@0 "${leftovers[@]/#/--exclude=clients/typescript/}" proto clients/typescript) |
        sha256sum)
}

# copy: brings the copy up to date, and installs what package-lock.json lists.
copy() {
    find "$place" -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} +
    (cd "$repository/clients/typescript" && tar --create "${leftovers[@]/#/--exclude=./}" .) | tar --extract --directory "$place"
    cp -R "$repository/proto/." "$root/proto"
    cp "$repository/LICENSE" "$place"
    local installed=$place/node_modules/.evenkeel-lock
    if ! cmp --quiet "$place/package-lock.json" "$installed" 2>/dev/null; then
        (cd "$place" && npm ci --silent --no-audit --no-fund)
        cp "$place/package-lock.json" "$installed"
    fi
}
