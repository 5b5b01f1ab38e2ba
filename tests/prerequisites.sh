#!/usr/bin/env bash
# Checks the prerequisites of the tests beyond a build of the services, and installs missing ones where that is allowed:
# on Debian and its derivatives, as root.
#
# Prints a line for each missing prerequisite, `NAME: how to install it`, and nothing else to standard output:
#
#   postgresql     the server's programs; without them no test that needs a database can run
#   pgbouncer      the connection pooler; without it no test of a pool behind it runs
#   apache-kafka   the broker's jars (see tests/apache-kafka), which need Java 17 and Maven
#   prometheus     evaluates every rule and query; its promtool checks and tests them
#   collector      sends the telemetry of the services to Prometheus
#   browser        Chromium with its driver, and axe-core (see tests/browser); without them the live page is not tested in a browser
#   openssl        headers for TLS in the Kafka client, and the program for certificates
#
# The collector is built from its Go modules. It is missing where it should be there: where there is Go, and the build
# fails. Without Go its tests are left out, which deploy/validate.sh says too.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

needed_java=17

say() { echo "prerequisites: $*" >&2; }

may_install() { [ -f /etc/debian_version ] && [ "$(id -u)" -eq 0 ]; }

install() {
    may_install || return 1
    say "installing $*"
    {
        apt-get update --quiet --quiet &&
            DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "$@"
    } >&2
}

have_postgresql() {
    [ -n "${PG_BIN:-}" ] || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null
}

install_postgresql() {
    # The package would start a server of its own on the usual port; the tests start theirs.
    install postgresql-common &&
        sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf &&
        install postgresql
}

have_pgbouncer() { [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null; }

install_pgbouncer() {
    # The package would start a pooler of its own; the tests start theirs.
    may_install || return 1
    local disabled=/etc/systemd/system/pgbouncer.service
    [ -e "$disabled" ] || { mkdir -p "${disabled%/*}" && ln -s /dev/null "$disabled"; }
    install pgbouncer
}

have_java() {
    local java="${JAVA_HOME:+$JAVA_HOME/bin/}java" version
    version="$("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.specification.version = //p')"
    [ "${version%%.*}" -ge "$needed_java" ] 2>/dev/null
}

have_maven() { command -v mvn >/dev/null; }

have_prometheus() { command -v prometheus >/dev/null && command -v promtool >/dev/null; }

install_prometheus() {
    # The package would start a server of its own; the tests start theirs.
    may_install || return 1
    local disabled=/etc/systemd/system/prometheus.service
    [ -e "$disabled" ] || { mkdir -p "${disabled%/*}" && ln -s /dev/null "$disabled"; }
    install prometheus
}

have_chromium() { command -v chromedriver >/dev/null && command -v chromium >/dev/null; }

have_openssl() {
    command -v openssl >/dev/null && command -v pkg-config >/dev/null && pkg-config --exists openssl
}

have_postgresql || install_postgresql
have_pgbouncer || install_pgbouncer
have_java || install default-jre-headless
have_maven || install maven
have_prometheus || install_prometheus
have_chromium || install chromium chromium-driver
have_openssl || install openssl libssl-dev pkg-config

have_postgresql ||
    echo "postgresql: install a PostgreSQL server (Debian: apt-get install postgresql), or name its programs' directory in PG_BIN"
have_pgbouncer ||
    echo "pgbouncer: install PgBouncer (Debian: apt-get install pgbouncer)"
if ! have_java || ! have_maven; then
    echo "apache-kafka: install Java $needed_java and Maven (Debian: apt-get install default-jre-headless maven)"
elif ! tests/apache-kafka/prepare.sh >&2; then
    echo "apache-kafka: Maven could not fetch it, or it does not start; the lines above say why"
fi
have_prometheus || echo "prometheus: install Prometheus (Debian: apt-get install prometheus)"
deploy/observability/collector/build.sh >&2 || case $? in
    2) say "left out: the collector, and so all tests of queries and alerts on real series (there is no Go 1.21 or newer)" ;;
    *) echo "collector: Go could not build it; the lines above say why" ;;
esac
if ! have_chromium; then
    echo "browser: install Chromium and its driver (Debian: apt-get install chromium chromium-driver)"
elif ! tests/browser/prepare.sh >&2; then
    echo "browser: axe-core could not be fetched; the lines above say why"
fi
have_openssl ||
    echo "openssl: install OpenSSL with its headers, and pkg-config (Debian: apt-get install openssl libssl-dev pkg-config)"
exit 0
