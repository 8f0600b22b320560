#!/usr/bin/env bash
# Checks the C++ client: generated code, format, lint, documentation, tests, sanitizers, and a program built from an installed
# client. Builds under the repository's target/cpp.
#
#     bash clients/cpp/check.sh [--evenkeel PATH]
#
# PATH is the server's program, by default target/release/evenkeel. Needs Debian's libgrpc++-dev, libprotobuf-dev,
# protobuf-compiler-grpc, nlohmann-json3-dev, libgtest-dev, libssl-dev, cmake, ninja-build, clang-format, clang-tidy, doxygen and
# python3.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=clients/cpp
out=$PWD/target/cpp
evenkeel=${CARGO_TARGET_DIR:-target}/release/evenkeel
case "${1-}" in
    --evenkeel) evenkeel=${2:?--evenkeel needs the path of the program} ;;
    '') ;;
    *) echo "usage: $0 [--evenkeel PATH]" >&2 && exit 64 ;;
esac
[[ -x $evenkeel ]] || { echo "$0: there is no program $evenkeel" >&2 && exit 66; }
EVENKEEL_BINARY=$(realpath "$evenkeel")
export EVENKEEL_BINARY
export no_proxy=${no_proxy:+$no_proxy,}localhost,127.0.0.1

step() { echo "== $*" >&2; }
sources() { find "$folder" \( -name '*.cpp' -o -name '*.hpp' \) -print0 | sort -z; }

step "generated code"
mkdir -p "$out"
bash "$folder/generate.sh" "$out/fields.hpp"
diff "$folder/src/wire/fields.hpp" "$out/fields.hpp"
version=$(sed -n 's/^project(evenkeel VERSION \([0-9.]*\).*/\1/p' "$folder/CMakeLists.txt")
grep -q "^version = \"$version\"" Cargo.toml || { echo "CMakeLists.txt has not the version of Cargo.toml" >&2 && exit 1; }

step "format"
sources | xargs -0 clang-format --dry-run --Werror

step "build"
cmake -S "$folder" -B "$out/build" -G Ninja -DEVENKEEL_DEVELOPER=ON -DCMAKE_BUILD_TYPE=Release >"$out/configure.log"
cmake --build "$out/build"

step "lint"
# The compiler's warnings are errors in the build; this is clang's part.
find "$folder" -name '*.cpp' -print0 | sort -z |
    xargs -0 -P "$(nproc)" -n 2 clang-tidy --quiet -p "$out/build" --extra-arg=-Wno-unknown-warning-option

step "documentation"
(cd "$folder" && { cat Doxyfile && echo "OUTPUT_DIRECTORY = $out/doxygen"; } | doxygen -)

step "tests"
"$out/build/tests/unit_tests" --gtest_brief=1
"$out/build/tests/server_tests" --gtest_brief=1

step "tests with sanitizers"
cmake -S "$folder" -B "$out/sanitize" -G Ninja -DEVENKEEL_DEVELOPER=ON -DEVENKEEL_SANITIZE=address,undefined \
    -DCMAKE_BUILD_TYPE=Release '-DCMAKE_CXX_FLAGS_RELEASE=-O0 -g1' >"$out/configure.log"
cmake --build "$out/sanitize" --target unit_tests server_tests
"$out/sanitize/tests/unit_tests" --gtest_brief=1
"$out/sanitize/tests/server_tests" --gtest_brief=1

step "an installed client"
rm -rf "$out/installed" "$out/user"
cmake --install "$out/build" --prefix "$out/installed" >"$out/install.log"
mkdir -p "$out/user"
cp "$folder/examples/first_call.cpp" "$out/user/"
cat >"$out/user/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(user LANGUAGES CXX)
find_package(evenkeel 0.1 REQUIRED)
add_executable(first_call first_call.cpp)
target_link_libraries(first_call PRIVATE evenkeel::client)
END
cmake -S "$out/user" -B "$out/user/build" -G Ninja "-DCMAKE_PREFIX_PATH=$out/installed" >"$out/configure.log"
cmake --build "$out/user/build"
printed=$("$out/build/tests/with_server" "$out/user/build/first_call")
[[ $printed == "-1.34164 -0.447212 0.447212 1.34164 " ]] || { echo "first_call printed: $printed" >&2 && exit 1; }
for example in normalize dropout clip_gradients merge; do
    "$out/build/tests/with_server" "$out/build/examples/$example" | diff "docs/operations/printed/$example.txt" -
done
echo "the C++ client is in order" >&2
