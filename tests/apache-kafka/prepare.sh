#!/usr/bin/env bash
# Puts the jars of Apache Kafka below the target directory and verifies that a broker starts with this Java.
#
# Done once: the file `ready` marks completion. The first start also writes a class-data archive
# (-XX:ArchiveClassesAtExit), which halves the time of every later start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

needed_java=17
sources=tests/apache-kafka
target="${CARGO_TARGET_DIR:-target}"
mkdir -p "$target/apache-kafka"
home="$(cd "$target/apache-kafka" && pwd)"
# A change of pom.xml repeats the preparation.
made_for="$(sha256sum <"$sources/pom.xml")"

fail() { echo "apache-kafka: $*" >&2; exit 1; }

[ "$(cat "$home/ready" 2>/dev/null)" = "$made_for" ] && exit 0

java="${JAVA_HOME:+$JAVA_HOME/bin/}java"
command -v "$java" >/dev/null || fail "Java $needed_java or newer is needed (Debian: apt-get install openjdk-17-jre-headless)"
version="$("$java" -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.specification.version = //p')"
[ "${version%%.*}" -ge "$needed_java" ] || fail "Java $needed_java or newer is needed; $java is $version"
command -v mvn >/dev/null || fail "Maven is needed (Debian: apt-get install maven)"

rm -rf "$home/ready" "$home/lib" "$home/classes.jsa" "$home/storage"
mvn --batch-mode --quiet -Dstyle.color=never --file "$sources/pom.xml" package -Dlib="$home/lib"

# A broker with its own directory, on ports below the ephemeral range.
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
port=$((20000 + RANDOM % 6000 * 2))
cat >"$scratch/server.properties" <<END
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$((port + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:$((port + 1))
log.dirs=$scratch/data
END
cat >"$scratch/log4j2.properties" <<END
rootLogger.level = INFO
rootLogger.appenderRef.stdout.ref = STDOUT
appender.stdout.type = Console
appender.stdout.name = STDOUT
END
# As the harness starts it: the archive is valid only for the same class path.
options=(-Xmx320m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "-Dlog4j2.configurationFile=$scratch/log4j2.properties")
"$java" "${options[@]}" -cp "$home/lib/*" kafka.tools.StorageTool format --cluster-id b3JkZXJzLXRlc3RzLTAwMA \
    --config "$scratch/server.properties" >"$scratch/log" 2>&1 ||
    { cat "$scratch/log" >&2; fail "the storage cannot be formatted"; }
"$java" -XX:ArchiveClassesAtExit="$home/classes.jsa" "${options[@]}" -cp "$home/lib/*" \
    kafka.Kafka "$scratch/server.properties" >"$scratch/log" 2>&1 &
broker=$!
for _ in $(seq 600); do
    grep -q 'Kafka Server started' "$scratch/log" && break
    kill -0 "$broker" 2>/dev/null || break
    sleep 0.1
done
grep -q 'Kafka Server started' "$scratch/log" || { cat "$scratch/log" >&2; fail "the broker does not start"; }
kill "$broker"
wait "$broker" || true

echo "$made_for" >"$home/ready"
echo "apache-kafka: $(basename "$home"/lib/kafka_2.13-*.jar .jar) is ready in $home"
