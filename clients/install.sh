#!/usr/bin/env bash
# Proves that each client installs from what it is shipped as: builds the artefact, installs it in a new folder without anything of
# this checkout, and runs the first program of docs/clients.md against a server. Prints the seconds, and fails above 300 for a
# language's installation and first call, which begin with empty caches, on an idle machine.
#
#     bash clients/install.sh [--evenkeel PATH | --server HOST:PORT | --image] [--limit SECONDS] [LANGUAGE...]
#
# PATH is the server's program, by default ${CARGO_TARGET_DIR:-target}/release/evenkeel. HOST:PORT is a server that runs already.
# --image takes the container image that `just container` has built, which needs root and buildah. LANGUAGE is python, go,
# typescript, java, cpp or rust; all without one. Needs the languages, and for C++ Debian's packages of `.ci/install cpp`.
# SECONDS is another limit, as for a busy machine. EVENKEEL_KEEP=1 leaves the folder. Writes to target/ and to a temporary folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. .ci/env.sh

checkout=$PWD
most=300
version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"/\1/p' Cargo.toml)

fail() { echo "FAILED: $*" >&2 && exit 1; }
usage() { echo "usage: $0 [--evenkeel PATH | --server HOST:PORT | --image] [--limit SECONDS] [LANGUAGE...]" >&2 && exit 64; }

evenkeel=${CARGO_TARGET_DIR:-target}/release/evenkeel address='' with_image='' languages=()
while (($# > 0)); do
    case $1 in
        --evenkeel) evenkeel=${2:?--evenkeel needs a path} && shift ;;
        --server) address=${2:?--server needs HOST:PORT} && shift ;;
        --image) with_image=yes ;;
        --limit) most=${2:?--limit needs seconds} && shift ;;
        python | go | typescript | java | cpp | rust) languages+=("$1") ;;
        *) usage ;;
    esac
    shift
done
((${#languages[@]} > 0)) || languages=(python go typescript java cpp rust)

scratch=$(mktemp -d)
[[ $scratch != "$checkout"/* ]] || fail "the temporary folder $scratch is in the checkout"
built=$scratch/artefacts
mkdir "$built"
. deploy/server.sh
finish() {
    stop_servers
    [[ -n ${EVENKEEL_KEEP-} ]] || rm -rf "$scratch"
}
trap finish EXIT

# Servers and clients are on this machine.
export NO_PROXY=${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1 no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1

serve() {
    if [[ -n $with_image ]]; then
        has_image "$image" || fail "there is no image $image: run \`just container\`"
        serve_image "$scratch" --log-level warn
    else
        serve_program "$evenkeel" "$scratch" --log-level warn
    fi
}

# Each language has two functions: `build_X` makes the artefact in $built, and `install_X` begins in an empty folder, which has
# nothing but the first program in it, and prints what that program prints.

build_python() { python3 -m pip wheel --quiet --no-deps --wheel-dir "$built" clients/python; }
install_python() {
    python3 -m venv venv
    venv/bin/python -m pip install --quiet --no-cache-dir "$built"/evenkeel_client-*.whl
    venv/bin/python first_call.py
}

# A module is a zip beside its go.mod, in the layout of Go's module proxies.
build_go() {
    local proxy=$built/go/evenkeel.dev/go/evenkeel/@v
    mkdir -p "$proxy"
    echo "v$version" >"$proxy/list"
    echo "{\"Version\":\"v$version\"}" >"$proxy/v$version.info"
    cp clients/go/go.mod "$proxy/v$version.mod"
    git ls-files -z clients/go | python3 -c '
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as module:
    for path in filter(None, sys.stdin.read().split("\0")):
        module.write(path, sys.argv[2] + path.removeprefix("clients/go"))
' "$proxy/v$version.zip" "evenkeel.dev/go/evenkeel@v$version"
}
install_go() {
    export GOPROXY GOMODCACHE=$PWD/cache/mod GOCACHE=$PWD/cache/build GONOSUMDB=evenkeel.dev GOFLAGS=-modcacherw
    GOPROXY=file://$built/go,$(go env GOPROXY)
    go mod init new
    go get "evenkeel.dev/go/evenkeel@v$version"
    go run .
}

build_typescript() (
    cd clients/typescript
    . ./place.sh check
    lock
    copy
    cd "$place"
    npm run --silent build
    npm pack --silent --pack-destination "$built"
)
install_typescript() {
    export npm_config_cache=$PWD/cache
    npm install --silent --no-audit --no-fund "$built"/evenkeel-client-*.tgz
    node first_call.mjs
}

build_java() (
    cd clients/java
    mvn --batch-mode --quiet -DskipTests package
    mvn --batch-mode --quiet org.apache.maven.plugins:maven-deploy-plugin:3.1.4:deploy-file -DrepositoryId=built \
        -Durl="file://$built/maven" -DpomFile=pom.xml -Dfile="$checkout/target/java/evenkeel-client-$version.jar"
)
install_java() {
    sed "s|REPOSITORY|file://$built/maven|" "$checkout/clients/java/examples/pom.xml" >pom.xml
    mkdir -p src/main/java
    mv FirstCall.java src/main/java
    mvn --batch-mode --quiet -Dmaven.repo.local="$PWD/cache" compile \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath -Dmdep.outputFile=classpath
    java -cp "target/classes:$(<classpath)" FirstCall "$address"
}

build_cpp() {
    cmake -S clients/cpp -B target/cpp/package -G Ninja -DCMAKE_BUILD_TYPE=Release
    cmake --build target/cpp/package
    cmake --install target/cpp/package --prefix "$built/cpp"
}
install_cpp() {
    cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(new LANGUAGES CXX)
find_package(evenkeel REQUIRED)
add_executable(first_call first_call.cpp)
target_link_libraries(first_call PRIVATE evenkeel::client)
END
    cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release "-DCMAKE_PREFIX_PATH=$built/cpp"
    cmake --build build
    build/first_call
}

# The crates that the client consists of. They are in no registry, so that a program names their folders.
crates=(evenkeel-exact evenkeel-frames evenkeel-proto evenkeel-client)
build_rust() {
    cargo package --locked --allow-dirty --no-verify --exclude-lockfile --target-dir target/package "${crates[@]/#/--package=}"
    cp target/package/package/evenkeel-*-"$version".crate "$built"
}
install_rust() {
    mkdir src crates
    mv first_call.rs src/main.rs
    {
        printf '[package]\nname = "new"\nedition = "2024"\n\n[dependencies]\nevenkeel-client = "%s"\n' "$version"
        printf 'ndarray = "0.17"\ntokio = { version = "1", features = ["macros", "rt-multi-thread"] }\n\n[patch.crates-io]\n'
    } >Cargo.toml
    local crate
    for crate in "${crates[@]}"; do
        tar --extract --gzip --directory crates --file "$built/$crate-$version.crate"
        echo "$crate = { path = \"crates/$crate-$version\" }" >>Cargo.toml
    done
    export CARGO_TARGET_DIR=$PWD/target
    cargo run --quiet -- "http://$address"
}

declare -A first=(
    [python]=clients/python/examples/first_call.py [go]=clients/go/examples/first_call/main.go
    [typescript]=clients/typescript/examples/first_call.mjs [java]=clients/java/examples/FirstCall.java
    [cpp]=clients/cpp/examples/first_call.cpp [rust]=crates/client/examples/first_call.rs
)

# In the folder alone, without what could lead back to the checkout.
install() { # install LANGUAGE
    unset PYTHONPATH NODE_PATH CLASSPATH CMAKE_PREFIX_PATH CARGO_TARGET_DIR GOFLAGS GOWORK OLDPWD
    export EVENKEEL_ADDRESS=$address
    cd "$scratch/$1"
    "install_$1"
}

# attempt COMMAND...: runs it up to the first failure, and sets `status`. Within `||` and `if` Bash would go on after failures.
attempt() {
    set +e
    (set -e && "$@")
    status=$?
    set -e
}

[[ -z $with_image ]] || . deploy/image.sh
[[ -n $address ]] || serve
table=''
for language in "${languages[@]}"; do
    echo "==> $language" >&2
    began=$SECONDS
    attempt "build_$language" >"$scratch/$language.build" 2>&1
    ((status == 0)) || { tail -n 40 "$scratch/$language.build" >&2 && fail "$language: no artefact"; }
    packed=$((SECONDS - began))
    mkdir "$scratch/$language"
    cp "${first[$language]}" "$scratch/$language"
    TIMEFORMAT='%R %U %S'
    { time attempt install "$language" >"$scratch/$language.said" 2>"$scratch/$language.log"; } 2>"$scratch/$language.times"
    read -r took user system <"$scratch/$language.times"
    ((status == 0)) || { tail -n 40 "$scratch/$language.log" "$scratch/$language.said" >&2 && fail "$language: not installed"; }
    tr '\n' ' ' <"$scratch/$language.said" | grep -q -- '-1\.3416.* -0\.4472.* 0\.4472.* 1\.3416' ||
        fail "$language: the first call printed $(<"$scratch/$language.said")"
    # Programs have the names of their sources; what is text must not lead back.
    ! grep -rIlF "$checkout" "$scratch/$language" "$built" || fail "$language: these files name the checkout"
    printf -v row '%-12s %10d %10.0f %10.0f' "$language" "$packed" "$took" "$(awk "BEGIN { print $user + $system }")"
    table+=$row$'\n'
    echo "$row" >&2
    ((${took%.*} <= most)) || fail "$language: $took seconds to install and call, and $most are the most"
done
printf '%-12s %10s %10s %10s\n%s' client 'build s' 'install s' 'of CPU s' "$table"
