#!/usr/bin/env bash
# Runs every test: first all of the workspace, with the system tests on the embedded broker and SQLite, then the system
# tests again on Apache Kafka and PostgreSQL, with two replicas of each service, but those that do not depend on that.
#
# A missing prerequisite (see prerequisites.sh) skips its tests, and the last lines say so; with CI=true that is a
# failure. With arguments, one `cargo test` with these arguments runs instead, on the engines in TEST_ENGINES.
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
# Built by prerequisites.sh, unless there is no Go.
if ! is_missing collector && deploy/observability/collector/build.sh >/dev/null 2>&1; then
    export TEST_COLLECTOR=required
fi

if ! is_missing browser; then
    export TEST_BROWSER=required
fi

test_workspace() {
    "$cargo" --config "target.'cfg(all())'.runner = ['$PWD/tests/run-one.sh']" \
        test --workspace --locked --features "$features" "$@"
}
if [ $# -gt 0 ]; then
    "$cargo" test --locked "$@"
    exit
fi

# Run once, because a second run would be the same. No engine takes part: processes that end at their command line or
# settings, and bytes, connections and fields that order-service refuses before it uses the database. Or the test chooses
# its engines: a locked file of SQLite, a locked table of PostgreSQL. The tour of the live page knows the names of single
# replicas. What a receiver of telemetry does to the exporter has nothing to do with engines. All other tests depend on
# TEST_ENGINES, or may, and run on both sets; so does a test that is not named here.
engine_independent=(
    cascade::no_call_outlives_its_deadline_while_a_foreign_writer_locks_the_orders_file
    cascade::no_call_outlives_its_deadline_while_the_table_of_the_orders_is_locked
    cascade::no_call_outlives_its_deadline_while_the_table_of_the_stock_is_locked
    hostile_connections::
    hostile_input::
    live_page::
    secrets::neither_help_nor_configuration_errors_show_a_secret
    shutdown::a_wrong_configuration_ends_the_start_and_names_every_mistake
    shutdown::an_unknown_argument_is_refused
    shutdown::help_names_every_setting
    telemetry::a_receiver_that_is_down_changes_nothing
    telemetry::a_receiver_that_is_slow_changes_nothing
    telemetry::a_receiver_that_never_answers_changes_nothing
    telemetry::the_last_spans_before_a_stop_are_exported_even_with_one_worker_thread
    telemetry::the_queue_bounds_the_spans_kept_for_a_silent_receiver
)

test_workspace
if ! is_missing apache-kafka; then
    # Three at once: each has a JVM, which takes most of a core while it starts.
    TEST_ENGINES=production RUST_TEST_THREADS="${PRODUCTION_TEST_THREADS:-3}" \
        test_workspace --test system --test life_of_an_order --test sales -- "${engine_independent[@]/#/--skip=}"
fi

if [ -n "$missing" ]; then
    cat >&2 <<END

################################################################################
WARNING: NOT EVERYTHING WAS TESTED. Missing prerequisites:
$(sed 's/^/  /' <<<"$missing")
$(is_missing apache-kafka && echo "No test ran on Apache Kafka: the result above says nothing about production.")
################################################################################
END
    [ "${CI:-}" != true ]
fi
