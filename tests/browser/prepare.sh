#!/usr/bin/env bash
# Puts axe-core, the accessibility checker, below the target directory: one file of its npm package, of a fixed version and
# content. It is used by tests only and is not part of the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=4.14.1
content=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/browser"
home="$(cd "$target/browser" && pwd)"

fail() { echo "browser: $*" >&2; exit 1; }
is_there() { [ -f "$home/axe.min.js" ] && [ "$(sha256sum <"$home/axe.min.js")" = "$content  -" ]; }

is_there && exit 0
command -v npm >/dev/null || fail "npm is needed to fetch axe-core (Debian: apt-get install npm)"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
npm pack --silent --pack-destination "$scratch" "axe-core@$version" >/dev/null
tar -xzf "$scratch/axe-core-$version.tgz" -C "$scratch" package/axe.min.js
mv "$scratch/package/axe.min.js" "$home/axe.min.js"
is_there || fail "axe-core $version is not the file that is expected"
echo "browser: axe-core $version is ready in $home"
