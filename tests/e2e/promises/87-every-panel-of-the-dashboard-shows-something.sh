# shellcheck shell=bash
# A real Prometheus scrapes the gateway under test, which has plugins, and one that no kubelet trusts and that keeps an
# audit log. It loads the alerts: each is evaluated without an error, those about failing nodes are pending for the second
# gateway and none is for the first. Every query of every panel of the dashboard succeeds and yields a figure, but for
# those that are empty while plugins behave, which are listed.

after() {
    end_prometheus
    stop_gateway gateway-distrusted
    policies </dev/null
}
export PROMETHEUS
PROMETHEUS=$("$E2E/prometheus-assets" | tail -n 1)
FILES=$E2E/../../deploy/chart/files
SERVER=9093 OTHER=4449

# Empty as long as no plugin fails or logs too much, and while an answer holds what it should.
IN_GOOD_TIMES='metrics_gateway_plugin_log_lines_dropped_total|outcome!="ok"|pods_without_usage_total'

# queries: title and expression of each target, one a line, as Grafana would send them with "All" chosen
queries() {
    jq -r '.panels[] | .title as $title | .targets[]? | "\($title)\t\(.expr)"' "$FILES/dashboard.json" |
        sed "s/[$]__rate_interval/1m/g; s/[$]namespace/.*/g; s/[$]job/.*/g"
}

# figures EXPRESSION: how many series of it have a value now; a query that fails is told on stderr
figures() {
    prometheus_api $SERVER query --data-urlencode "query=$1" |
        jq -e 'if .status == "success" then [.data.result[] | select(.value[1] != "NaN")] | length else error(.error) end'
}

shows_everything() {
    local title query count empty=()
    # Freshness is counted by answers.
    metrics_api v1beta1/pods >/dev/null || return
    while IFS=$'\t' read -r title query; do
        count=$(figures "$query") || { echo "'$title' cannot be asked: $query"; return 1; }
        ((count)) || grep -qE "$IN_GOOD_TIMES" <<<"$query" || empty+=("$title: $query;")
    done < <(queries)
    ((${#empty[@]} == 0)) || { echo "without a figure: ${empty[*]}"; return 1; }
}

# alerts JOB: the names of those that are pending or firing for a job
alerts() {
    prometheus_api $SERVER alerts | jq -r --arg job "$1" '[.data.alerts[] | select(.labels.job == $job) | .labels.alertname] | unique | join(" ")'
}
# those that need no time to be evaluated; of the rest, rates are not known in a minute
suspects() { [[ $(alerts distrusted) == *MetricsGatewayManyNodesFailing*MetricsGatewayNodeFailing* ]]; }

[[ $(k get --raw /metrics) == *aggregator_unavailable_apiservice* ]] || fail "the API server has no such metric any more"
account default dashboard
k apply -f - <<'END'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-dashboard}
rules:
  - {nonResourceURLs: [/metrics], verbs: [get]}
END
k create clusterrolebinding e2e-dashboard --clusterrole e2e-dashboard --serviceaccount default:dashboard \
    --dry-run=client -o yaml | k apply -f -
printf '%s\n' 'apiVersion: audit.k8s.io/v1' 'kind: Policy' 'rules: [{level: Metadata}]' >"$RC_DIR/audit.yaml"
start_gateway gateway-distrusted $OTHER metrics-server "$RC_FRONT_PROXY_CA" \
    --audit-policy-file "$RC_DIR/audit.yaml" --audit-log-path "$RC_DIR/audit.log"
apply_policies <<END
[plugins.sliding-mean]
source = "$PLUGINS/sliding-mean.wasm"

[plugins.skip-sidecars]
source = "$PLUGINS/skip-sidecars.wasm"

[default]
filter = [{ plugin = "skip-sidecars", settings = { containers = ["istio-proxy"] } }]
window = { plugin = "sliding-mean", settings = { over = "40s" } }
END
cp "$FILES/rules.yaml" "$RC_DIR/rules.yaml"
{
    echo 'global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}'
    echo "rule_files: ['$RC_DIR/rules.yaml']"
    echo 'scrape_configs:'
    scrape_job gateway /metrics dashboard.token
    PORT=$OTHER scrape_job distrusted /metrics dashboard.token
} >"$RC_DIR/dashboard.prometheus.yml"
start_prometheus dashboard $SERVER --storage.tsdb.path "$RC_DIR/tsdb-dashboard"
within 20 "target 'gateway' that is up" target_is $SERVER gateway "up "
within 20 "target 'distrusted' that is up" target_is $SERVER distrusted "up "

within 90 "figure in every panel" shows_everything
while IFS=$'\t' read -r title query; do
    echo "$(figures "$query" 2>/dev/null) series: $title: $query"
done < <(queries)

echo "-- alerts"
within 30 "alert about the gateway that no kubelet trusts" suspects
prometheus_api $SERVER rules | jq -r '.data.groups[].rules[] | "\(.health) \(.state) \(.name)"'
equal "rules that cannot be evaluated" "" \
    "$(prometheus_api $SERVER rules | jq -r '[.data.groups[].rules[] | select(.health != "ok") | "\(.name): \(.lastError)"] | join("; ")')"
equal "alerts about the gateway under test" "" "$(alerts gateway)"
