# shellcheck shell=bash
# nonResourceURLs are granted path by path: a Prometheus that may read /metrics but not /metrics/resource, or neither, gets
# 403 with a Status, and shows a target that is down with that reason.

after() { end_prometheus; }
export PROMETHEUS
PROMETHEUS=$("$E2E/prometheus-assets" | tail -n 1)
SERVER=9092

refused() { # PATH ACCOUNT
    local answer
    answer=$(call "$PORT" "$1" -w '\n%{http_code}' -H "Authorization: Bearer $(cat "$RC_DIR/$2.token")")
    equal "code of $1 for $2" 403 "${answer##*$'\n'}"
    answer=$(sed '$d' <<<"$answer")
    echo "$(jq -c '[.kind, .status, .reason, .code]' <<<"$answer") $(jq -r .message <<<"$answer")"
    equal "Status of $1 for $2" "Status v1 Failure Forbidden 403" \
        "$(jq -r '"\(.kind) \(.apiVersion) \(.status) \(.reason) \(.code)"' <<<"$answer")"
    contains "message of $1 for $2" "cannot get path \"$1\"" "$(jq -r .message <<<"$answer")"
}

account default stranger
account default half
k apply -f - <<'END'
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: e2e-only-metrics}
rules:
  - {nonResourceURLs: [/metrics], verbs: [get]}
END
k create clusterrolebinding e2e-only-metrics --clusterrole e2e-only-metrics --serviceaccount default:half
refused /metrics stranger
refused /metrics/resource stranger
refused /metrics/resource half
{
    echo 'global: {scrape_interval: 1s, scrape_timeout: 1s}'
    echo 'scrape_configs:'
    scrape_job without-any /metrics stranger.token
    scrape_job without-usage /metrics/resource half.token
    scrape_job with-metrics /metrics half.token
} >"$RC_DIR/refused.prometheus.yml"
start_prometheus refused $SERVER --storage.tsdb.path "$RC_DIR/tsdb-refused"
for job in without-any without-usage; do
    within 20 "target '$job' that is down for a 403" \
        target_is $SERVER $job "down server returned HTTP status 403 Forbidden"
    target $SERVER $job
done
# An older binding of another promise may be remembered for some seconds; this one is new.
within 20 "target 'with-metrics' that is up" target_is $SERVER with-metrics "up "
