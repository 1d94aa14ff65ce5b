# shellcheck shell=bash
# A real Prometheus, as a server and as an agent that writes to the server, scrapes /metrics and /metrics/resource with a
# service account's token over TLS that it verifies. Its targets are up, and every figure that the Metrics API returned is
# among its series, with the same time. promtool finds nothing to complain about.

after() { end_prometheus; }
export PROMETHEUS
PROMETHEUS=$("$E2E/prometheus-assets" | tail -n 1)
"$PROMETHEUS/prometheus" --version 2>&1 | head -n 1
SERVER=9090 AGENT=9091

# figures_of_the_api: all that the Metrics API says now: what, whose, Unix second, nanocores or bytes or nanoseconds
figures_of_the_api() {
    # shellcheck disable=SC2016 # variables of jq
    local figures='
        def seconds: capture("^((?<h>[0-9]+)h)?((?<m>[0-9]+)m)?(?<s>[0-9.]+)s$")
            | map_values(. // "0" | tonumber) | .h * 3600 + .m * 60 + .s;
        def figures($name; $time): "cpu \($name) \($time) \(.cpu | quantity * 1e9 | round)",
            "memory \($name) \($time) \(.memory | quantity)";
        .items[] | . as $item | (.timestamp | fromdate) as $time | .metadata as $of
        | (if .containers then "\($of.namespace)/\($of.name)" else $of.name end) as $name
        | "window \($name) \($time) \(.window | seconds * 1e9 | round)",
          (if .containers then .containers[] | .name as $container | .usage | figures("\($name)/\($container)"; $time)
           else .usage | figures($name; $time) end)'
    as_api_server "$PORT" /apis/metrics.k8s.io/v1beta1/nodes | jq -r "$QUANTITIES$figures"
    as_api_server "$PORT" /apis/metrics.k8s.io/v1beta1/pods | jq -r "$QUANTITIES$figures"
}

# samples JOB WHAT METRIC FACTOR: the samples that Prometheus stored, as lines of the same form
samples() {
    prometheus_api "$SERVER" query --data-urlencode "query=$3{job=\"$1\"}[5m]" | jq -r --arg what "$2" --argjson factor "$4" '
        .data.result[] | .values as $values | .metric
        | (.node // ([.namespace, .pod, .container // empty] | join("/"))) as $name
        | $values[] | "\($what) \($name) \(.[0] | floor) \(.[1] | tonumber * $factor | round)"'
}

stored() { # JOB
    samples "$1" cpu metrics_gateway_node_cpu_usage_cores 1e9
    samples "$1" cpu metrics_gateway_container_cpu_usage_cores 1e9
    samples "$1" memory metrics_gateway_node_memory_working_set_bytes 1
    samples "$1" memory metrics_gateway_container_memory_working_set_bytes 1
    samples "$1" window metrics_gateway_node_usage_window_seconds 1e9
    samples "$1" window metrics_gateway_pod_usage_window_seconds 1e9
}

# holds_what_was_returned JOB: every figure that the API returns now is (or was) scraped
holds_what_was_returned() {
    local returned missing
    returned=$(figures_of_the_api | sort) || return
    # Between the answer and the next scrape lies at most a second; what is served changes every ten.
    missing=$(comm -23 <(echo "$returned") <(stored "$1" | sort)) || return
    echo "of $(grep -c . <<<"$returned") figures, missing in Prometheus: $missing"
    [[ $returned && ! $missing ]]
}

k create namespace monitoring
account monitoring prometheus
k apply -f "$E2E/../../deploy/monitoring.yaml"
within 45 "usage of every node and pod" serves_everything

echo "-- promtool"
call "$PORT" /metrics --fail -H "Authorization: Bearer $(cat "$RC_DIR/prometheus.token")" >"$RC_DIR/metrics.txt"
call "$PORT" /metrics/resource --fail -H "Authorization: Bearer $(cat "$RC_DIR/prometheus.token")" >"$RC_DIR/resource.txt"
for text in metrics resource; do
    complaints=$("$PROMETHEUS/promtool" check metrics <"$RC_DIR/$text.txt" 2>&1) || fail "promtool on $text: $complaints"
    equal "what promtool says of $text" "" "$complaints"
done
call "$PORT" /metrics/resource --fail -H "Authorization: Bearer $(cat "$RC_DIR/prometheus.token")" \
    -H 'Accept: application/openmetrics-text' -D "$RC_DIR/openmetrics.head" >"$RC_DIR/openmetrics.txt"
contains "content type" "application/openmetrics-text; version=1.0.0" "$(cat "$RC_DIR/openmetrics.head")"
# The strictest reader of OpenMetrics at hand: no end, no unit in the name, no time, and it refuses.
"$PROMETHEUS/promtool" tsdb create-blocks-from openmetrics "$RC_DIR/openmetrics.txt" "$RC_DIR/blocks" ||
    fail "promtool cannot read the OpenMetrics text"

echo "-- server and agent"
{
    echo 'global: {scrape_interval: 1s, scrape_timeout: 1s}'
    echo 'scrape_configs:'
    scrape_job gateway /metrics prometheus.token
    scrape_job usage /metrics/resource prometheus.token
} >"$RC_DIR/server.prometheus.yml"
{
    sed 's/job_name: /job_name: agent-/' "$RC_DIR/server.prometheus.yml"
    echo "remote_write: [{url: 'http://127.0.0.1:$SERVER/api/v1/write'}]"
} >"$RC_DIR/agent.prometheus.yml"
start_prometheus server $SERVER --storage.tsdb.path "$RC_DIR/tsdb" --web.enable-remote-write-receiver
start_prometheus agent $AGENT --enable-feature=agent --storage.agent.path "$RC_DIR/agent-wal"
for job in gateway usage; do
    within 20 "target '$job' of the server that is up" target_is $SERVER $job "up "
    within 20 "target '$job' of the agent that is up" target_is $AGENT "agent-$job" "up "
done
prometheus_api $SERVER targets |
    jq -r '.data.activeTargets[] | "\(.scrapeUrl) \(.health) after \(.lastScrapeDuration) s"'

echo "-- figures"
within 60 "figure that Prometheus lacks" holds_what_was_returned usage
figures_of_the_api
within 60 "figure that the agent's Prometheus lacks" holds_what_was_returned agent-usage
points=$(prometheus_api $SERVER query --data-urlencode 'query=metrics_server_storage_points{job="gateway",type="node"}' |
    jq -r '.data.result[0].value[1]')
equal "metrics_server_storage_points of nodes" 2 "$points"
