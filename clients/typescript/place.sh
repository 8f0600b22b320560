# Sourced by the scripts of this folder: copies the package into the repository's target/, and installs there what
# package-lock.json lists. Sets `repository` and `place`, the copy.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=$(cd "$repository" && realpath -m "${CARGO_TARGET_DIR:-target}")
place=$target/typescript/clients/typescript

# copy: brings the sources of the copy up to date.
copy() {
    mkdir -p "$place" "$target/typescript/proto"
    rm -f "$target/typescript/adapter"
    find "$place" -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} +
    (cd "$repository/clients/typescript" && tar --create --exclude=./node_modules --exclude=./build --exclude=./dist --exclude=./docs .) |
        tar --extract --directory "$place"
    cp -R "$repository/proto/." "$target/typescript/proto"
    cp "$repository/LICENSE" "$place"
}

# install_packages: installs the packages, if they are not those of package-lock.json already.
install_packages() {
    local stamp=$place/node_modules/.evenkeel-lock
    if ! cmp --quiet "$place/package-lock.json" "$stamp" 2>/dev/null; then
        (cd "$place" && npm ci --silent --no-audit --no-fund)
        cp "$place/package-lock.json" "$stamp"
    fi
}

# fingerprint: what the sources are, in a word.
fingerprint() {
    (cd "$repository" && find proto clients/typescript -name node_modules -prune -o -type f \
        ! -path 'clients/typescript/build/*' ! -path 'clients/typescript/dist/*' ! -path 'clients/typescript/docs/*' -print0 |
        sort --zero-terminated | xargs --null sha256sum | sha256sum)
}
