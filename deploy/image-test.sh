#!/usr/bin/env bash
# Builds the images with buildah, without a container engine, and runs each with runc as the manifests say: the same user, a read-only
# root, no capabilities, no new privileges, and readiness asked by the program in the image. `make image-test`. The last line is
# `passed`; anything else is a failure.
#
#     deploy/image-test.sh [OPTION OF buildah build…]
#     deploy/image-test.sh --build-arg BUILDER=… --build-arg RUNTIME=…        on other base images
#     deploy/image-test.sh --build-context builder=DIRECTORY                  of programs in DIRECTORY/out instead of built ones
#
# Needs root, buildah, runc, python3 and PostgreSQL. Not as in a cluster: the network is the machine's, and no seccomp profile is applied.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pod=deploy/kubernetes/base/every-pod.yaml
work="$(mktemp -d)"
chmod 755 "$work"
containers=()
running=""

failed() {
    echo "failed: $*"
    tail -n 20 "$(ls -t "$work"/*.log | head -n 1)"
    exit 1
}

finish() {
    [ -z "$running" ] || runc delete --force "$running" >/dev/null 2>&1 || true
    [ ! -e "$work/data/postmaster.pid" ] || as_nobody "$postgres/pg_ctl" stop --pgdata "$work/data" --mode immediate >/dev/null
    [ ${#containers[@]} = 0 ] || buildah rm "${containers[@]}" >/dev/null
    rm -rf "$work"
}

# PostgreSQL refuses to run as root.
as_nobody() {
    setpriv --reuid nobody --clear-groups "$@"
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

start_postgres() {
    local programs
    programs="$(pg_config --bindir 2>/dev/null || ls --directory /usr/lib/postgresql/*/bin | tail -n 1)"
    postgres="$programs" database="$(free_port)"
    install --directory --owner nobody "$work/data"
    as_nobody "$postgres/initdb" --pgdata "$work/data" --username postgres --auth trust >"$work/initdb.log"
    as_nobody "$postgres/pg_ctl" start --wait --pgdata "$work/data" --log "$work/data/server.log" \
        --options "-p $database -h 127.0.0.1 -k $work/data" >/dev/null
    psql --quiet --host 127.0.0.1 --port "$database" --username postgres --file deploy/postgres/postgres.sql
}

# The OCI bundle of an image as a pod of the manifests has it. Arguments: the service, its arguments.
bundle() {
    (cd "$work" && rm -f config.json && runc spec)
    python3 - "$pod" "$root" "$work/config.json" "$work/environment" "/usr/local/bin/$1" "${@:2}" <<'PYTHON'
import json, os, re, sys

pod, root, file, environment, *command = sys.argv[1:]
pod = open(pod).read()
for line in ["runAsNonRoot: true", "allowPrivilegeEscalation: false", "readOnlyRootFilesystem: true", "drop: [ALL]"]:
    assert line in pod, f"the manifests no longer say {line}"
user, group = (int(re.search(rf"{name}: (\d+)", pod)[1]) for name in ["runAsUser", "runAsGroup"])
config = json.load(open(file))
config["root"] = {"path": root, "readonly": True}
config["process"].update(
    terminal=False, args=command, user={"uid": user, "gid": group}, noNewPrivileges=True, cwd="/", rlimits=[],
    capabilities={}, env=open(environment).read().splitlines())
config["mounts"].append({
    "type": "bind", "source": os.path.abspath("deploy/kubernetes/base/processing-service/catalogue.csv"),
    "destination": "/etc/catalogue/catalogue.csv", "options": ["bind", "ro"]})
config["linux"]["namespaces"] = [it for it in config["linux"]["namespaces"] if it["type"] != "network"]
json.dump(config, open(file, "w"))
PYTHON
}

# Runs a program to its end. Arguments as of `bundle`.
run() {
    bundle "$@"
    runc run --bundle "$work" "image-test-$$"
}

settings() {
    local service="$1" role="${1//-/_}" name
    case "$service" in
    order-service) name=orders ;;
    processing-service) name=processing ;;
    esac
    cat <<END
DATABASE_URL=postgres://$role@127.0.0.1:$database/$name?sslmode=disable
CATALOGUE_FILE=/etc/catalogue/catalogue.csv
KAFKA_BROKERS=127.0.0.1:1
KAFKA_SECURITY_PROTOCOL=plaintext
PROCESSING_ADDRESS=http://127.0.0.1:1
GRPC_LISTEN=127.0.0.1:$port
OTEL_EXPORTER_OTLP_ENDPOINT=
END
}

# Mounts an image and checks what is in it. Arguments: the image.
open_image() {
    local container
    container="$(buildah from --pull-never "$1:image-test")"
    containers+=("$container")
    root="$(buildah mount "$container")"
    [ "$(buildah inspect --type image --format '{{.OCIv1.Config.User}}' "$1:image-test")" = 65532:65532 ] || failed "the user of $1"
    [ ! -e "$root/bin/sh" ] || failed "$1 has a shell"
    [ -s "$root/etc/ssl/certs/ca-certificates.crt" ] || failed "$1 has no certificate authorities"
    : >"$work/environment"
    said="$(run "$1" --version)" || failed "$1 --version: $said"
    echo "$1: $said, image $(($(du --summarize --bytes "$root" | cut -f 1) / 1000000)) MB," \
        "program $(($(stat --format %s "$root/usr/local/bin/$1") / 1000000)) MB"
}

# The probe of the manifests with the component mtls, in the running container.
ready() {
    runc exec "$running" "/usr/local/bin/$1" probe >>"$work/probe.log" 2>&1
}

wait_until() {
    local attempt
    for attempt in $(seq 150); do
        "$@" && return
        sleep 0.2
    done
    failed "not within 30 seconds, after $attempt attempts: $*"
}

listens() {
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null
}

# What the kernel says about the process.
is_restricted() {
    local pid
    pid="$(runc state "$1" | sed -n 's/^  "pid": \([0-9]*\),/\1/p')"
    for line in 'Uid:.65532.65532.65532.65532' 'Gid:.65532.65532.65532.65532' 'Cap(Prm|Eff|Bnd|Inh|Amb):.0+$' 'NoNewPrivs:.1'; do
        grep --quiet --extended-regexp "^$line" "/proc/$pid/status" || failed "not $line: $(cat "/proc/$pid/status")"
    done
    [ "$(grep --count --extended-regexp '^Cap...:.0+$' "/proc/$pid/status")" = 5 ] || failed "a capability is left"
    grep --quiet --extended-regexp '^[0-9]+ [0-9]+ [0-9:]+ \S+ / ro' "/proc/$pid/mountinfo" || failed "the root can be written"
}

a_service_runs_as_the_manifests_say() {
    local code=0
    open_image "$1"
    echo GRPC_LISTEN=nowhere >"$work/environment"
    run "$1" >"$work/$1.log" 2>&1 || code=$?
    [ "$code" = 78 ] || failed "$1 with a wrong setting ends with $code"
    port="$(free_port)"
    settings "$1" >"$work/environment"
    bundle "$1"
    running="image-test-$1-$$"
    runc run --detach --bundle "$work" "$running" >"$work/$1.log" 2>&1 </dev/null
    wait_until listens
    is_restricted "$running"
    ! ready "$1" || failed "$1 is ready without a schema"
    (bundle "$1" migrate && runc run --bundle "$work" "image-test-$$" >"$work/migrate.log" 2>&1) || failed "migrate of $1"
    wait_until ready "$1"
    runc kill "$running" TERM
    wait_until stopped
    runc delete "$running"
    running=""
    echo "checked: $1 becomes ready, restricted, and stops"
}

stopped() {
    runc state "$running" | grep --quiet '"status": "stopped"'
}

trap finish EXIT
for image in order-service processing-service orders-load; do
    buildah build --isolation chroot --format docker --layers --file deploy/Dockerfile --target "$image" \
        --tag "$image:image-test" "$@" . >"$work/build-$image.log" 2>&1 || failed "the build of $image"
done
start_postgres
a_service_runs_as_the_manifests_say order-service
a_service_runs_as_the_manifests_say processing-service
open_image orders-load
echo passed
