#!/usr/bin/env bash
# A Kubernetes control plane with fake nodes, of the real programs built from their Go modules: etcd, API server, controllers,
# scheduler, kubectl. kwok plays the kubelets of six nodes in three zones: pods become ready and jobs complete, but no container runs.
# Loopback only, no root, no container engine.
#
#     deploy/cluster/control-plane.sh build DIRECTORY    once: about 10 minutes on two cores, 0.5 GB, Go's caches up to 10 GB
#     deploy/cluster/control-plane.sh definitions DIRECTORY    only custom-resources.yaml, which is downloaded and not built
#     deploy/cluster/control-plane.sh built DIRECTORY    whether that was done
#     deploy/cluster/control-plane.sh start DIRECTORY    five seconds; prints the path of the kubeconfig
#     deploy/cluster/control-plane.sh stop DIRECTORY
set -euo pipefail

kubernetes=1.37.2
kwok=0.8.0
# Where the custom resources of components, of the Prometheus Operator, of Flux and of Argo CD are defined. Those of Strimzi and
# CloudNativePG, of which no module can be had, are in schemas/, which say where they come from.
definitions=(
    github.com/cert-manager/cert-manager@v1.21.2/deploy/crds/cert-manager.io_certificates.yaml
    github.com/cert-manager/cert-manager@v1.21.2/deploy/crds/cert-manager.io_issuers.yaml
    github.com/external-secrets/external-secrets@v1.3.2/config/crds/bases/external-secrets.io_externalsecrets.yaml
    sigs.k8s.io/gateway-api@v1.6.3/config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml
    github.com/kedacore/keda/v2@v2.21.0/config/crd/bases/keda.sh_scaledobjects.yaml
    github.com/kedacore/keda/v2@v2.21.0/config/crd/bases/keda.sh_triggerauthentications.yaml
    github.com/prometheus-operator/prometheus-operator@v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml
    github.com/prometheus-operator/prometheus-operator@v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml
    github.com/fluxcd/kustomize-controller@v1.7.3/config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml
    github.com/fluxcd/source-controller@v1.9.6/config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml
    github.com/argoproj/argo-cd/v3@v3.5.7/manifests/crds/application-crd.yaml
)

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
api=16443
etcd=12379
programs=(kube-apiserver kube-controller-manager kube-scheduler kubectl etcd kwok)

if [ $# != 2 ]; then
    sed -n 's/^#     //p' "${BASH_SOURCE[0]}" >&2
    exit 64
fi
mkdir -p "$2"
cd "$2"
bin="$PWD/bin" run="$PWD/run" pki="$PWD/pki"

# The folder of a module's source.
source_of() {
    local answer
    answer="$(go mod download -json "$1")" || { echo "$answer" >&2; return 1; }
    sed -n 's/.*"Dir": "\(.*\)".*/\1/p' <<<"$answer"
}

# A module that requires the programs. Kubernetes replaces its parts by folders that its published source does not have.
write_module() {
    local source part
    source="$(source_of "k8s.io/kubernetes@v$kubernetes")"
    {
        echo "module cluster"
        sed -n '/^go /p; /^godebug/p' "$source/go.mod"
        echo "require k8s.io/kubernetes v$kubernetes"
        echo "require sigs.k8s.io/kwok v$kwok"
        sed -n 's#^\tgo.etcd.io/etcd/client/v3 \(v[0-9.]*\).*#require go.etcd.io/etcd/server/v3 \1#p' "$source/go.mod"
        sed -n 's#^\t\(k8s.io/[a-z-]*\) => ./staging/.*#\1#p' "$source/go.mod" | while read -r part; do
            # No program needs the samples, and not all of them are published.
            [[ "$part" = k8s.io/sample-* ]] || echo "require $part v0.${kubernetes#1.}"
            echo "replace $part => $part v0.${kubernetes#1.}"
        done
    } >go.mod
    {
        printf '//go:build tools\n\npackage tools\n\n'
        printf 'import _ "%s"\n' go.etcd.io/etcd/server/v3 sigs.k8s.io/kwok/cmd/kwok \
            k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubectl}
    } >tools.go
}

# Arguments: the program, its package, and options of the linker.
build_program() {
    [ -x "$bin/$1" ] || CGO_ENABLED=0 go build -mod=mod -trimpath -ldflags "-s -w $3" -o "$bin/$1" "$2"
}

build() {
    [ -e go.mod ] || write_module
    local version=k8s.io/component-base/version minor="${kubernetes#1.}" program
    local named="-X $version.gitVersion=v$kubernetes -X $version.gitMajor=1 -X $version.gitMinor=${minor%%.*}"
    for program in kube-apiserver kube-controller-manager kube-scheduler kubectl; do
        build_program "$program" "k8s.io/kubernetes/cmd/$program" "$named"
    done
    build_program etcd go.etcd.io/etcd/server/v3 ""
    build_program kwok sigs.k8s.io/kwok/cmd/kwok ""
    write_stages
    definitions
}

# How pods and nodes behave, ten times as fast as kwok's default.
write_stages() {
    local stages file
    stages="$(source_of "sigs.k8s.io/kwok@v$kwok")/kustomize/stage"
    for file in node/fast/node-initialize node/heartbeat-with-lease/node-heartbeat-with-lease \
        pod/general/pod-{create,ready,complete,delete}; do
        sed '/^  resourceRef/,$ s/Milliseconds: \([0-9]*\)00$/Milliseconds: \10/' "$stages/$file.yaml"
        echo ---
    done >kwok.yaml
}

# The custom resources.
definitions() {
    local file version source
    ! has_definitions || return 0
    for file in "${definitions[@]}"; do
        version="${file#*@}"
        source="$(source_of "${file%%@*}@${version%%/*}")"
        cat "$source/${version#*/}"
        echo ---
    done >definitions.yaml
    mv definitions.yaml custom-resources.yaml
    echo "${definitions[*]}" >custom-resources.of
}

has_definitions() {
    [ -s custom-resources.yaml ] && [ "$(cat custom-resources.of)" = "${definitions[*]}" ]
}

built() {
    local program
    for program in "${programs[@]}"; do
        [ -x "$bin/$program" ] || return 1
    done
    has_definitions
}

# Arguments: a program and its options. Its output goes to a file.
spawn() {
    setsid "$bin/$1" "${@:2}" >"$run/$1.log" 2>&1 </dev/null &
    echo $! >"$run/$1.pid"
}

# The certificate of the API server, the key of its tokens, and a kubeconfig for an administrator.
write_credentials() {
    local token
    mkdir -p "$pki"
    openssl genrsa -out "$pki/tokens.key" 2048 2>/dev/null
    openssl rsa -in "$pki/tokens.key" -pubout -out "$pki/tokens.pub" 2>/dev/null
    openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=kube-apiserver -keyout "$pki/api.key" -out "$pki/api.crt" \
        -addext "subjectAltName=IP:127.0.0.1" 2>/dev/null
    token="$(openssl rand -hex 16)"
    echo "$token,admin,admin,system:masters" >"$pki/users.csv"
    cat >"$run/kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: test, cluster: {server: "https://127.0.0.1:$api", certificate-authority: "$pki/api.crt"}}]
users: [{name: admin, user: {token: "$token"}}]
contexts: [{name: test, context: {cluster: test, user: admin}}]
current-context: test
YAML
}

start_api_server() {
    spawn etcd --data-dir "$run/etcd" --unsafe-no-fsync --listen-client-urls "http://127.0.0.1:$etcd" \
        --advertise-client-urls "http://127.0.0.1:$etcd" --listen-peer-urls "http://127.0.0.1:$((etcd + 1))" \
        --initial-advertise-peer-urls "http://127.0.0.1:$((etcd + 1))" \
        --initial-cluster "default=http://127.0.0.1:$((etcd + 1))"
    spawn kube-apiserver --etcd-servers "http://127.0.0.1:$etcd" --bind-address 127.0.0.1 --advertise-address 127.0.0.1 \
        --secure-port "$api" --endpoint-reconciler-type none --service-cluster-ip-range 10.96.0.0/16 \
        --authorization-mode RBAC --token-auth-file "$pki/users.csv" \
        --tls-cert-file "$pki/api.crt" --tls-private-key-file "$pki/api.key" \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$pki/tokens.pub" \
        --service-account-signing-key-file "$pki/tokens.key"
    local attempt
    for attempt in $(seq 240); do
        "$bin/kubectl" get --raw /readyz >/dev/null 2>&1 && return
        sleep 0.5
    done
    echo "the API server is not ready after $attempt attempts:" >&2
    tail -n 5 "$run/kube-apiserver.log" >&2
    return 1
}

# A pod with the annotation of deploy/cluster/stages.yaml fails instead of completing.
start_controllers() {
    spawn kube-controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false --bind-address 127.0.0.1 \
        --secure-port $((api + 1)) --service-account-private-key-file "$pki/tokens.key" --root-ca-file "$pki/api.crt"
    spawn kube-scheduler --kubeconfig "$KUBECONFIG" --leader-elect=false --bind-address 127.0.0.1 --secure-port $((api + 2))
    spawn kwok --kubeconfig "$KUBECONFIG" --manage-all-nodes=true --node-lease-duration-seconds=40 \
        --config kwok.yaml --config "$here/stages.yaml" --server-address "127.0.0.1:$((api + 3))"
}

create_nodes() {
    local zone number
    for zone in a b c; do
        for number in 1 2; do
            cat <<YAML
apiVersion: v1
kind: Node
metadata:
  name: node-$zone$number
  labels: {topology.kubernetes.io/zone: zone-$zone, kubernetes.io/hostname: node-$zone$number}
status:
  allocatable: &all {cpu: "8", memory: 32Gi, pods: "110"}
  capacity: *all
---
YAML
        done
    done | "$bin/kubectl" create --filename - >/dev/null
    "$bin/kubectl" wait --for=condition=Ready node --all --timeout=60s >/dev/null
}

start() {
    stop
    rm -rf "$run" "$pki"
    mkdir -p "$run"
    export KUBECONFIG="$run/kubeconfig"
    write_credentials
    start_api_server
    start_controllers
    create_nodes
    "$bin/kubectl" apply --server-side --filename custom-resources.yaml --filename "$here/schemas" >/dev/null
    echo "$KUBECONFIG"
}

# Ends the programs, and waits until their ports are free. etcd last: the API server's own end needs it.
stop() {
    local program file pid
    for program in kwok kube-scheduler kube-controller-manager kube-apiserver etcd; do
        file="$run/$program.pid"
        [ -e "$file" ] || continue
        pid="$(cat "$file")"
        kill "$pid" 2>/dev/null || true
        tail --pid="$pid" --follow /dev/null
        rm "$file"
    done
}

case "$1" in
build | definitions | built | start | stop) "$1" ;;
*) exit 64 ;;
esac
