#!/bin/sh
# Apache Kafka: the jars of the broker and their dependencies.
. "$(dirname -- "$0")/lib.sh"

fill() {
    mvn --batch-mode --quiet --file "$here/kafka/pom.xml" \
        dependency:copy-dependencies -DoutputDirectory="$1/libs"
}
into_cache "Apache Kafka 4.1.1" kafka-4.1.1 fill
