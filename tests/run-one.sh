#!/usr/bin/env bash
# Cargo calls this to run a test program. A system test computes for a good part of its time, and RUST_TEST_THREADS says how
# many run at once; the other tests wait for timers of Kafka and of connections, so twice as many do.
set -euo pipefail

case "${1##*/}" in
    system-*) ;;
    *) export RUST_TEST_THREADS=$((2 * ${RUST_TEST_THREADS:-4})) ;;
esac
exec "$@"
