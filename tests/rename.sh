#!/usr/bin/env bash
# rename.py on a copy: refuses what it must, leaves no old name, and leaves a workspace that is formatted and locked, a contract
# that buf accepts, and manifests that render and, unless CI=true, that deploy/validate.sh accepts. Builds nothing.
#
# Needs python3, git, cargo and kubectl; buf is left out, with a line, where it is not installed ($1, or on the PATH). The copy is
# of the files as they are, committed or not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

buf="${1:-$(command -v buf || true)}"
CARGO_TARGET_DIR="$(realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")"
export CARGO_TARGET_DIR
copy="$(mktemp --directory)"
trap 'rm -rf "$copy"' EXIT

failed() {
    echo "failed: $*" >&2
    exit 1
}

# Arguments: the reason that is expected, then those of rename.py.
refused() {
    local reason="$1" output
    shift
    if output="$(./rename.py "$@" --no-build 2>&1)"; then failed "renamed with: $*"; fi
    [[ $output == *"$reason"* ]] || failed "$* was refused with: $output"
    git diff --quiet HEAD || failed "$* was refused after something had been changed"
}

committed() { git -c user.name=nobody -c user.email=nobody@localhost commit --quiet --all --message "$1"; }

git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar --extract --directory "$copy"
cd "$copy"
git init --quiet
git add --all
committed before

refused "not one word" Bookings
refused "not one word" acme-bookings
refused "not one word" 2go
refused "not one word" abookingwithalongername
refused "a word of Rust" match
refused "has a meaning here" orders
refused "is a crate in Cargo.lock" outbox
refused "names of telemetry begin with" messaging
refused "processing-service is a name here already" processing
refused "not a domain in reverse" bookings acme
echo "// a change" >>proto/build.rs
if output="$(./rename.py bookings --no-build 2>&1)"; then failed "renamed over a change that is not committed"; fi
[[ $output == *"not committed"*"proto/build.rs"* ]] || failed "a change was refused with: $output"
git checkout --quiet proto/build.rs
echo "refused: eleven names and trees"

./rename.py bookings com.acme --no-build
committed after

# What a service, a tool, a topic, a package, a metric or a type of event was called, in text and in names of files.
old='(order|(^|[^s])[-_]processing|^processing)[-_]?service|orderctl|orders[-_]load|com\.example\.'
old="$old|\b(orders|inventory|processing)(\.|::|/)v[0-9]|(^|[^a-z-])(orders|processing)\.order\.events"
old="$old|orders[._](accepted|completion|open[._]oldest)|part-of[=:] ?orders|namespace[=: ]+orders\b"
git grep -I -n -i -E "$old" && failed "old names are left"
git ls-files | grep -i -E "$old" && failed "old names of files are left"

# In what is applied, `orders` may only be the noun: in comments of the collector's configuration, and in its attributes.
for kustomization in deploy/kubernetes/overlays/*/ deploy/kubernetes/load deploy/gitops/flux/*/ deploy/observability/kubernetes; do
    rendered="$(kubectl kustomize "$kustomization")"
    grep -n -i -w -E 'orders?|order_[a-z]+' <<<"$rendered" |
        grep -v -E '^[0-9]+: *#|order\.[a-z.]+,|order-development|\.order\.events\.' &&
        failed "old names are left in $kustomization"
done
echo "no old name is left"

cargo fmt --all --check
cargo metadata --locked --quiet --format-version 1 >/dev/null
echo "formatted, and Cargo.lock is up to date"

if [ -n "$buf" ]; then
    (cd proto && "$buf" lint && "$buf" format --diff --exit-code)
    echo "the contract is clean"
else
    echo "left out: contract (there is no buf)"
fi

# Two minutes, for what differs in names only: left out of .ci/run, which has validated the same objects under their old names.
[ "${CI:-}" = true ] || deploy/validate.sh
