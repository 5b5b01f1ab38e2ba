#!/usr/bin/env bash
# Deploys a release in two phases: first the jobs and everything that they need, then, after every job has completed, the servers.
# A database or a broker of the overlay's own counts as what jobs need: its StatefulSets, and objects of operators with the label
# `orders/wait-for: Ready`, are waited for.
#
#     deploy/apply.sh OVERLAY [--timeout=SECONDS] [--force-conflicts] [OPTION OF KUBECTL…]
#     deploy/apply.sh deploy/kubernetes/overlays/production --context=production
#
# If a job fails, no Deployment is changed: the script names the job and its reason, prints its last lines, and ends with 1. It can
# be repeated at any time. The timeout, 600 seconds by default, is of each phase.
#
# Objects are applied on the server's side: it tracks the owner of each field, and refuses a change of a field that somebody else
# has set, such as `replicas` after `kubectl scale`. --force-conflicts takes such fields over.
set -euo pipefail

part_of="app.kubernetes.io/part-of=orders"
servers="app.kubernetes.io/component=server"
jobs="app.kubernetes.io/component in (migrate, topics)"
needs="app.kubernetes.io/component notin (server, migrate, topics)"
timeout=600
force=()
options=()
said_warnings=""

usage() {
    sed -n 's/^#     //p' "${BASH_SOURCE[0]}" >&2
    exit 64
}

parse() {
    if [ $# = 0 ] || [[ "$1" = -* ]]; then usage; fi
    overlay="$1"
    shift
    local argument
    for argument in "$@"; do
        case "$argument" in
        --timeout=*) timeout="${argument#*=}" ;;
        --force-conflicts) force=("$argument") ;;
        *) options+=("$argument") ;;
        esac
    done
    [[ "$timeout" =~ ^[0-9]+$ ]] || usage
}

k() {
    kubectl ${options[@]+"${options[@]}"} --namespace "$namespace" "$@"
}

apply() {
    k apply --server-side --validate=strict ${force[@]+"${force[@]}"} --filename "$@"
}

# Objects of a client-side apply: applies what they were made of once more, which hands the fields over to the server's side.
# Otherwise fields that this release removes would stay, and those with a default of the server would be conflicts.
take_over_client_side() {
    k get --filename "$all" --ignore-not-found --show-managed-fields --output jsonpath='{range .items[*]}{.metadata.managedFields[*].manager}{"\t"}{.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}{"\n"}{end}' |
        awk -F '\t' '$1 ~ /kubectl-client-side-apply/ && $2 != "" { print $2 }' >"$work/last-applied.json"
    [ ! -s "$work/last-applied.json" ] || apply "$work/last-applied.json" --force-conflicts
}

# Prints what the kubelet, the scheduler and the controllers have complained about since the last call.
new_warnings() {
    local warnings
    warnings="$(k get events --field-selector type=Warning --output \
        jsonpath='{range .items[*]}{.involvedObject.kind} {.involvedObject.name}: {.reason}: {.message}{"\n"}{end}' | sort -u)"
    comm -13 <(printf '%s\n' "$said_warnings") <(printf '%s\n' "$warnings")
    said_warnings="$warnings"
}

# A line per job: its name, and the conditions that are true.
job_states() {
    k get jobs --selector "$part_of,$jobs" --output \
        jsonpath='{range .items[*]}{.metadata.name} {.status.conditions[?(@.status=="True")].type}{"\n"}{end}'
}

explain_job() {
    echo "failed: job $1: $(k get job "$1" --output \
        jsonpath='{range .status.conditions[?(@.type=="Failed")]}{.reason}: {.message}{end}')"
    k logs --selector "batch.kubernetes.io/job-name=$1" --tail=20 --prefix || true
}

wait_for_jobs() {
    local deadline=$((SECONDS + timeout)) states job failed
    while true; do
        states="$(job_states)"
        new_warnings
        failed="$(awk '/ Failed/ { print $1 }' <<<"$states")"
        if [ -n "$failed" ]; then
            for job in $failed; do explain_job "$job"; done
            return 1
        fi
        ! grep --quiet --invert-match ' Complete' <<<"$states" && return
        if [ "$SECONDS" -ge "$deadline" ]; then
            awk '!/ Complete/ { print "failed: job " $1 ": not completed in time" }' <<<"$states"
            return 1
        fi
        sleep 2
    done
}

# Arguments: the kind, and the selector.
wait_for_rollouts() {
    local workloads workload
    # Assigned first: in the list of the loop a failed kubectl would be no workload, and the rollout finished.
    workloads="$(k get "$1" --selector "$part_of,$2" --output name)" || return 1
    for workload in $workloads; do
        if ! k rollout status "$workload" --timeout "${timeout}s"; then
            new_warnings
            k get pods --selector "$part_of,$2"
            echo "failed: $workload"
            return 1
        fi
    done
}

# Brokers, databases and users that the overlay brings.
wait_for_needs() {
    wait_for_rollouts statefulsets "$needs" || return 1
    [ -s "$work/awaited.yaml" ] || return 0
    if ! k wait --for=condition=Ready --filename "$work/awaited.yaml" --timeout "${timeout}s"; then
        new_warnings
        k get --filename "$work/awaited.yaml"
        return 1
    fi
}

parse "$@"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
all="$work/all.yaml"
kubectl kustomize "$overlay" >"$all"
namespace="$(sed -n 's/^  namespace: //p' "$all" | sort -u)"
if [ "$(wc -w <<<"$namespace")" != 1 ]; then
    echo "$overlay must be in one namespace, and is in: ${namespace:-none}" >&2
    exit 64
fi

# The first release: everything else needs the namespace, a trial run too.
awk 'BEGIN { RS = ORS = "---\n" } /(^|\n)kind: Namespace\n/' "$all" >"$work/namespace.yaml"
[ ! -s "$work/namespace.yaml" ] || apply "$work/namespace.yaml"
awk 'BEGIN { RS = ORS = "---\n" } /(^|\n)    orders\/wait-for: Ready\n/' "$all" >"$work/awaited.yaml"
said_warnings="$(new_warnings)"

# The template of a Job is immutable. The jobs of the last release have ended, and nothing waits for them.
k delete jobs --selector "$part_of,$jobs" --ignore-not-found --cascade=foreground --timeout "${timeout}s"
take_over_client_side
# An object that the server refuses is found before anything is changed.
apply "$all" --dry-run=server >/dev/null

echo "== jobs, and what they need"
apply "$all" --selector "$needs"
if ! wait_for_needs || ! apply "$all" --selector "$jobs" || ! wait_for_jobs; then
    echo "No Deployment was changed."
    exit 1
fi

echo "== servers"
apply "$all" --selector "$servers"
if ! wait_for_rollouts deployments "$servers"; then
    echo "The replicas of the last release keep serving. To return to it: kubectl --namespace $namespace rollout undo deployment/NAME"
    exit 1
fi
