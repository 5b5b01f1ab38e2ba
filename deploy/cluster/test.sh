#!/usr/bin/env bash
# What only an API server can tell about the manifests and about apply.sh: `make cluster-test`. Starts the control plane of
# control-plane.sh, checks, and stops it. The last line is `passed`; anything else is a failure.
#
#     deploy/cluster/test.sh [DIRECTORY OF THE CONTROL PLANE]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target="${CARGO_TARGET_DIR:-target}"
home="${1:-$target/ci-tools/control-plane}"
work="$(mktemp -d)"
servers="app.kubernetes.io/component=server"

finish() {
    deploy/cluster/control-plane.sh stop "$home"
    rm -rf "$work"
}

failed() {
    echo "failed: $*"
    exit 1
}

# Prints the path of a copy of an overlay in a namespace of its own. Arguments: the namespace, the overlay, and components in addition.
copy() {
    local tree="$work/$1/kubernetes" component
    mkdir -p "$work/$1"
    cp -r deploy/kubernetes deploy/postgres deploy/gitops "$work/$1"
    local overlay="$tree/overlays/$2"
    sed -i "s/^namespace: .*/namespace: $1/" "$overlay/kustomization.yaml"
    # As the component says: what scales must not be set by the overlay too.
    [[ " ${*:3} " != *" autoscaling "* ]] || sed -i '/^replicas:$/,/^$/d' "$overlay/kustomization.yaml"
    # An overlay with components of its own gets these before them.
    grep --quiet '^components:$' "$overlay/kustomization.yaml" || [ $# = 2 ] || printf '\ncomponents:\n' >>"$overlay/kustomization.yaml"
    for component in "${@:3}"; do
        sed -i "s#^components:\$#&\n  - ../../components/$component#" "$overlay/kustomization.yaml"
    done
    echo "$overlay"
}

# Prints the path of a next release of an overlay: with another setting, and whatever follows in its kustomization. Arguments: the
# overlay, its namespace, and the setting.
next_release() {
    local next
    next="$(mktemp -d "$(dirname "$1")/next-XXXX")"
    cat >"$next/kustomization.yaml" <<YAML
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../$(basename "$1")]
configMapGenerator:
  - name: orders-settings
    namespace: $2
    behavior: merge
    literals: [${3:-LOG_FILTER=debug}]
YAML
    cat >>"$next/kustomization.yaml"
    echo "$next"
}

# A patch that lets the pods of a job end with an exit code. Arguments: the job and the code.
failing() {
    cat <<YAML
patches:
  - target: {kind: Job, name: $1}
    patch: |-
      - op: replace
        path: /spec/backoffLimit
        value: 1
      - op: add
        path: /spec/template/metadata/annotations
        value: {cluster-test/exit-code: "$2", pod-complete.stage.kwok.x-k8s.io/weight: "0"}
YAML
}

# What a rollout would change: the template's hash names the ReplicaSet.
deployed() {
    kubectl --namespace "$1" get deployments --output \
        jsonpath='{range .items[*]}{.metadata.name} {.metadata.generation} {.spec.template.spec.containers[0].envFrom}{"\n"}{end}'
}

# With the component mtls. Argument: the namespace.
certified_names_have_the_namespace() {
    local names
    names="$(kubectl --namespace "$1" get certificates order-service --ignore-not-found --output jsonpath='{.spec.dnsNames}')" || return 1
    [ -z "$names" ] || [[ "$names" = *"\"order-service.$1\""* ]]
}

# What an overlay's owner brings, or an operator, in the order of deploy/README.md. Arguments as of `copy`.
brought() {
    [ "$2" != dev ] || return 0
    [[ " ${*:3} " != *" auth "* ]] || echo configmap/order-service-jwks
    [ "$2" != staging ] || printf 'secret/%s\n' kafka-cluster-ca-cert postgres-ca
    if [[ " ${*:3} " = *" external-secrets "* ]]; then
        kubectl --namespace "$1" get externalsecrets --output jsonpath='{range .items[*]}secret/{.metadata.name}{"\n"}{end}'
    else
        printf 'secret/%s\n' {order-service,processing-service}-{database,kafka}
        [ "$2" = staging ] || printf 'secret/%s\n' {postgres,kafka}-ca
    fi
    kubectl --namespace "$1" get certificates --output jsonpath='{range .items[*]}secret/{.spec.secretName}{"\n"}{end}'
}

# No kubelet looks for what pods refer to, and no KEDA for what it authenticates with. Prints the ConfigMaps and Secrets that nobody
# brings. Arguments as of `copy`.
missing() {
    {
        kubectl --namespace "$1" get pods --output jsonpath='
            {range .items[*].spec.volumes[*]}configmap/{.configMap.name}{"\n"}secret/{.secret.secretName}{"\n"}{end}
            {range .items[*].spec.volumes[*].projected.sources[*]}secret/{.secret.name}{"\n"}{end}
            {range .items[*].spec.containers[*].envFrom[*]}configmap/{.configMapRef.name}{"\n"}{end}
            {range .items[*].spec.containers[*].env[*]}secret/{.valueFrom.secretKeyRef.name}{"\n"}{end}' &&
            kubectl --namespace "$1" get triggerauthentications --output \
                jsonpath='{range .items[*].spec.secretTargetRef[*]}secret/{.name}{"\n"}{end}'
    } | sed -n 's/^ *\(.*[^/ ]\)$/\1/p' | sort -u >"$work/$1.referred" || return 1
    [ -s "$work/$1.referred" ] || echo "any reference of a pod"
    { brought "$@"; kubectl --namespace "$1" get configmaps,secrets --output name; } | sort -u |
        comm -23 "$work/$1.referred" -
}

# Strictly, twice, with every pod admitted and every replica ready. Arguments as of `copy`.
applies_twice() {
    local overlay lacks
    overlay="$(copy "$@")"
    deploy/apply.sh "$overlay" --timeout=180 >"$work/$1.log" 2>&1 ||
        { cat "$work/$1.log"; failed "apply.sh of ${*:2}"; }
    certified_names_have_the_namespace "$1" || failed "the names in the certificate of ${*:2}"
    lacks="$(missing "$@")"
    [ -z "$lacks" ] || failed "objects of ${*:2} refer to what nobody brings: ${lacks//$'\n'/ }"
    ! grep --ignore-case warning "$work/$1.log" || failed "a warning of the API server for ${*:2}"
    kubectl diff --server-side --kustomize "$overlay" || failed "something is left to do after ${*:2} was applied"
    echo "checked: overlay ${*:2}"
}

# No operator runs here. This says in place of Strimzi and CloudNativePG that what they would create is ready. Argument: the namespace.
operators_are_done() {
    local object
    for object in kafka/kafka kafkauser/order-service kafkauser/processing-service cluster/postgres; do
        # Not kubectl wait: in the first seconds the API server does not know the resource yet, and that ends it.
        for _ in {1..120}; do
            kubectl --namespace "$1" get "$object" >/dev/null 2>&1 && break
            sleep 1
        done
        kubectl --namespace "$1" patch "$object" --subresource=status --type=merge --patch \
            '{"status": {"conditions": [{"type": "Ready", "status": "True"}]}}' >/dev/null
    done
}

every_overlay_and_combination_applies() {
    local waiting=() pid
    applies_twice dev dev & waiting+=($!)
    applies_twice plain production & waiting+=($!)
    applies_twice secured production mtls auth telemetry & waiting+=($!)
    applies_twice issuer production mtls auth-url telemetry ipv6 external-secrets & waiting+=($!)
    applies_twice openshift production openshift auth telemetry & waiting+=($!)
    applies_twice scaled production autoscaling gateway mtls quotas & waiting+=($!)
    applies_twice everything production auth autoscaling external-secrets gateway ipv6 mtls quotas telemetry & waiting+=($!)
    applies_twice staging staging & waiting+=($!)
    operators_are_done staging & waiting+=($!)
    applies_twice rehearsal staging auth autoscaling external-secrets gateway ipv6 mtls telemetry & waiting+=($!)
    operators_are_done rehearsal & waiting+=($!)
    kubectl apply --server-side --validate=strict --kustomize deploy/observability/kubernetes >/dev/null
    deploy/observability/prometheus/operator.sh |
        kubectl apply --server-side --validate=strict --namespace observability --filename - >/dev/null
    for pid in "${waiting[@]}"; do
        wait "$pid" || failed "an overlay"
    done
}

diff_needs_only_the_namespace() {
    local overlay
    overlay="$(copy first production)"
    kubectl apply --server-side --kustomize "$overlay" --selector app.kubernetes.io/part-of=none >/dev/null 2>&1 || true
    sed "s/^  name: .*/  name: first/" "$overlay/namespace.yaml" | kubectl apply --server-side --filename - >/dev/null
    kubectl diff --server-side --kustomize "$overlay" >"$work/diff" && failed "nothing to create in an empty namespace"
    [ "$(grep --count '^+kind: Deployment' "$work/diff")" = 2 ] || failed "the diff of an empty namespace"
    echo "checked: diff of an empty namespace"
}

# Whatever jobs need and an operator has not made ready. Argument: the namespace.
a_broker_that_is_not_ready_stops_the_jobs() {
    local overlay said begun
    overlay="$(copy "$1" staging)"
    said="$(deploy/apply.sh "$overlay" --timeout=5 2>&1)" && failed "apply.sh ended with 0 although Kafka is not ready"
    grep --quiet "timed out waiting for the condition on kafkas/kafka" <<<"$said" || { echo "$said"; failed "Kafka is not named"; }
    begun="$(kubectl --namespace "$1" get jobs,deployments --output name)"
    [ -z "$begun" ] || failed "a job or a server without Kafka"
    echo "checked: a broker that is not ready stops the jobs"
}

# A pod of the namespace, restricted. Arguments: the namespace, a name, and its resources.
pod_is_admitted() {
    kubectl --namespace "$1" create --dry-run=server --filename - --output \
        jsonpath='{.spec.containers[0].resources.limits.memory}' <<JSON
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$2"}, "spec": {
  "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
  "containers": [{"name": "it", "image": "it", "resources": $3,
    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}
JSON
}

# In a namespace with the component quotas.
a_quota_bounds_the_namespace() {
    local said
    [ "$(pod_is_admitted "$1" plain '{}')" = 128Mi ] || failed "no default for a container without resources"
    said="$(pod_is_admitted "$1" large '{"limits": {"memory": "5Gi"}}' 2>&1)" && failed "a container of any size"
    grep --quiet 'maximum memory usage per Container is 4Gi' <<<"$said" || { echo "$said"; failed "the limit is not named"; }
    said="$(pod_is_admitted "$1" greedy '{"requests": {"cpu": "30"}}' 2>&1)" && failed "any number of CPUs"
    grep --quiet 'exceeded quota: orders, requested: requests.cpu=30' <<<"$said" || { echo "$said"; failed "the quota is not named"; }
    echo "checked: defaults, limits and quota of $1"
}

# Arguments: the job, its exit code, the reason that Kubernetes gives, and how long it may take.
a_failed_job_changes_no_server() {
    local before next said
    before="$(deployed plain)"
    next="$(failing "$1" "$2" | next_release "$work/plain/kubernetes/overlays/production" plain)"
    said="$(deploy/apply.sh "$next" --timeout="$4" 2>&1)" && failed "apply.sh ended with 0 although $1 failed"
    grep --quiet "^failed: job $1: $3" <<<"$said" || { echo "$said"; failed "job and reason are not named"; }
    [ "$(deployed plain)" = "$before" ] || failed "a Deployment has changed although $1 failed"
    grep "^failed: job" <<<"$said" | sed 's/^/    /'
    echo "checked: $1 with exit code $2 changes no server"
}

a_release_keeps_every_replica_ready() {
    local next watcher before after
    before="$(deployed plain)"
    next="$(next_release "$work/plain/kubernetes/overlays/production" plain </dev/null)"
    (while sleep 0.3; do
        kubectl --namespace plain get deployments --output jsonpath='{range .items[*]}{.status.availableReplicas}{"\n"}{end}'
    done >"$work/available") &
    watcher=$!
    deploy/apply.sh "$next" --timeout=180 >"$work/next.log" 2>&1 || { cat "$work/next.log"; failed "the next release"; }
    kill "$watcher"
    after="$(deployed plain)"
    [ "$after" != "$before" ] || failed "the next release has not changed the Deployments"
    [ "$(sort -n "$work/available" | head -1)" = 3 ] || failed "fewer replicas during the rollout: $(sort -n "$work/available" | uniq -c)"
    echo "checked: a release keeps every replica ready"
    kubectl --namespace plain rollout undo deployment/order-service >/dev/null
    kubectl --namespace plain rollout status deployment/order-service --timeout=120s >/dev/null
    echo "checked: rollout undo"
}

a_foreign_change_is_found_before_anything_is_changed() {
    local before said next overlay="$work/plain/kubernetes/overlays/production"
    # A setting that no release before had: processing-service, which has no conflict, would be changed.
    next="$(next_release "$overlay" plain LOG_FILTER=warn </dev/null)"
    kubectl --namespace plain scale deployment/order-service --replicas=4 >/dev/null
    before="$(deployed plain)"
    said="$(deploy/apply.sh "$next" 2>&1)" && failed "the change of kubectl scale was overwritten"
    grep --quiet 'with "kubectl" with subresource "scale"' <<<"$said" || { echo "$said"; failed "no conflict was reported"; }
    [ "$(deployed plain)" = "$before" ] || failed "a conflict came after a change"
    deploy/apply.sh "$overlay" --timeout=180 --force-conflicts >"$work/force.log" 2>&1 || { cat "$work/force.log"; failed "--force-conflicts"; }
    echo "checked: a foreign change is a conflict, and --force-conflicts overwrites it"
}

objects_of_client_side_apply_are_taken_over() {
    local overlay probes
    overlay="$(copy clientside production)"
    sed "s/^  name: .*/  name: clientside/" "$overlay/namespace.yaml" | kubectl apply --filename - >/dev/null
    kubectl apply --kustomize "$overlay" >/dev/null
    printf '\ncomponents:\n  - ../../components/mtls\n' >>"$overlay/kustomization.yaml"
    deploy/apply.sh "$overlay" --timeout=180 >"$work/clientside.log" 2>&1 ||
        { cat "$work/clientside.log"; failed "objects of a client-side apply"; }
    probes="$(kubectl --namespace clientside get deployments --output jsonpath='{.items[*].spec.template.spec.containers[*].readinessProbe.grpc}')"
    [ -z "$probes" ] || failed "a probe of the client-side apply is left"
    echo "checked: from client-side apply to mtls"
}

a_drain_takes_one_replica_at_a_time() {
    local pods pod refused=0
    pods="$(kubectl --namespace plain get pods --selector "$servers,app.kubernetes.io/name=order-service" --output name)"
    for pod in $pods; do
        kubectl create --raw "/api/v1/namespaces/plain/pods/${pod#pod/}/eviction" --filename - >/dev/null 2>&1 <<JSON ||
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"namespace": "plain", "name": "${pod#pod/}"}}
JSON
            refused=$((refused + 1))
    done
    [ "$refused" -ge 1 ] || failed "all replicas were evicted at once"
    echo "checked: $refused evictions refused"
}

# The objects of a phase, as in `kubectl get`. Argument: its folder.
objects() {
    kubectl kustomize "$1" | kubectl create --dry-run=client --filename - --output name | sort
}

flux_applies_both_phases() {
    local overlay first second twice recreated said
    overlay="$(copy flux production)"
    local gitops="${overlay%/kubernetes/*}/gitops/flux"
    kubectl create namespace flux-system >/dev/null
    kubectl apply --server-side --validate=strict --filename "$gitops/orders.yaml" >/dev/null
    kubectl apply --server-side --validate=strict --kustomize "$gitops/jobs" >/dev/null
    kubectl --namespace flux wait --for=condition=complete --timeout=120s jobs --all >/dev/null
    kubectl apply --server-side --validate=strict --kustomize "$gitops/servers" >/dev/null
    kubectl --namespace flux rollout status deployment/order-service --timeout=120s >/dev/null
    kubectl --namespace flux rollout status deployment/processing-service --timeout=120s >/dev/null
    # Two owners of one object would remove it from each other.
    first="$(objects "$gitops/jobs")"
    second="$(objects "$gitops/servers")"
    twice="$(comm -12 <(echo "$first") <(echo "$second"))"
    [ -z "$twice" ] || failed "in both phases: ${twice//$'\n'/ }"
    # The next release. Flux recreates an object that it cannot change only if the annotation says so.
    echo LOG_FILTER=debug >>"$overlay/settings.env"
    recreated="$(kubectl --namespace flux get jobs --output go-template='{{range .items}}
        {{if eq (print (index .metadata.annotations "kustomize.toolkit.fluxcd.io/force")) "enabled"}}job/{{.metadata.name}}{{end}}{{end}}')"
    [ -z "$(tr -d '[:space:]' <<<"$recreated")" ] || xargs kubectl --namespace flux delete >/dev/null <<<"$recreated"
    said="$(kubectl apply --server-side --kustomize "$gitops/jobs" 2>&1)" ||
        { cut -c 1-150 <<<"$said"; failed "a job of Flux stays in the way of the next release"; }
    echo "checked: both phases of Flux"
}

argo_cd_accepts_the_application() {
    kubectl create namespace argocd >/dev/null
    kubectl apply --server-side --validate=strict --filename deploy/gitops/argocd.yaml >/dev/null
    echo "checked: the Application of Argo CD"
}

deploy/cluster/control-plane.sh built "$home" || deploy/cluster/control-plane.sh build "$home"
trap finish EXIT
KUBECONFIG="$(deploy/cluster/control-plane.sh start "$home")"
export KUBECONFIG
PATH="$(cd "$home" && pwd)/bin:$PATH"

every_overlay_and_combination_applies
diff_needs_only_the_namespace
a_failed_job_changes_no_server order-service-topics 78 PodFailurePolicy 60
a_failed_job_changes_no_server processing-service-migrate 1 BackoffLimitExceeded 120
a_release_keeps_every_replica_ready
a_foreign_change_is_found_before_anything_is_changed
objects_of_client_side_apply_are_taken_over
a_drain_takes_one_replica_at_a_time
flux_applies_both_phases
argo_cd_accepts_the_application
a_broker_that_is_not_ready_stops_the_jobs unready
a_quota_bounds_the_namespace scaled
a_quota_bounds_the_namespace staging
kubectl delete namespace dev plain secured issuer openshift scaled everything staging rehearsal unready first clientside flux flux-system \
    argocd observability --timeout=180s >/dev/null
echo "checked: everything can be deleted"
echo passed
