#!/usr/bin/env bash
# Runs every test: first all of the workspace, with the system tests on the embedded broker and SQLite, then the system
# tests again on Apache Kafka and PostgreSQL, with two replicas of each service.
#
# What cannot be had (see prerequisites.sh) is left out, and the last lines say so; with CI=true that is a failure.
# With arguments, one `cargo test` with these arguments runs instead, on the engines that TEST_ENGINES names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo="${CARGO:-cargo}"

missing="$(tests/prerequisites.sh)"
is_missing() { grep -q "^$1:" <<<"$missing"; }

if is_missing postgresql; then
    echo "$missing" >&2
    exit 1
fi

features="order-service/crash-points,processing-service/crash-points"
if ! is_missing openssl; then
    features="$features,order-service/kafka-tls,processing-service/kafka-tls"
fi
if ! is_missing openssl && ! is_missing apache-kafka; then
    export TEST_KAFKA_TLS=required
fi

test_workspace() { "$cargo" test --workspace --locked --features "$features" "$@"; }

if [ $# -gt 0 ]; then
    "$cargo" test --locked "$@"
    exit
fi

test_workspace
if ! is_missing apache-kafka; then
    TEST_ENGINES=production test_workspace --test system --test life_of_an_order
fi

if [ -n "$missing" ]; then
    cat >&2 <<END

################################################################################
WARNING: NOT EVERYTHING WAS TESTED. Left out for want of:
$(sed 's/^/  /' <<<"$missing")
$(is_missing apache-kafka && echo "No test ran on Apache Kafka: what is green above says nothing about production.")
################################################################################
END
    [ "${CI:-}" != true ]
fi
