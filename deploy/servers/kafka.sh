# Kafka. Containers reach it as kafka:9092, this machine as 127.0.0.1:$HOST_PORT, which is published from port 29092.
set -eu
properties=/var/lib/kafka/server.properties
cp /opt/kafka/kafka.properties "$properties"
echo "advertised.listeners=NETWORK://kafka:9092,HOST://127.0.0.1:${HOST_PORT:-29092}" >>"$properties"
run() {
    exec java -Xmx512m -XX:+UseSerialGC -Dlog4j2.configurationFile=/opt/kafka/log4j2.yaml -cp '/opt/kafka/libs/*' "$@"
}

if [ ! -f /var/lib/kafka/data/meta.properties ]; then
    # Any base64 UUID does: the cluster has one node.
    (run kafka.tools.StorageTool format --ignore-formatted -t dHdpbnJvdXRlLWNvbXBvcw -c "$properties")
fi
run kafka.Kafka "$properties"
