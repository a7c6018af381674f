#!/bin/sh
# Puts the jars of a Kafka broker, for tests, into .tools/kafka. It needs mvn and Java 17, and does nothing when they are
# there already.
set -eu
cd "$(dirname "$0")/.."

wanted=$(cksum <tools/kafka/pom.xml)
if [ "$(cat .tools/kafka/.fetched 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
echo 'penstock: fetching Kafka, for tests, into .tools/kafka' >&2
rm -rf .tools/kafka
mkdir -p .tools/kafka
mvn --quiet --batch-mode --file tools/kafka/pom.xml dependency:copy-dependencies \
    -DoutputDirectory="$(pwd)/.tools/kafka" -DincludeScope=runtime >&2
printf '%s\n' "$wanted" >.tools/kafka/.fetched
