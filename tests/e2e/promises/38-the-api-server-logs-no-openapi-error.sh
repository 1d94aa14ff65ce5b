# shellcheck shell=bash
# The API server fetches our documents again and again and has nothing to say against them. It makes them part of its own:
# both versions of the group, each definition under its own name.

# Its own 503 does not count: it asks for documents of a service that it has just been told of before it finds it there.
complaints() {
    grep -E '^[EWF][0-9]+ ' "$RC_DIR/log/kube-apiserver.log" | grep -iE 'openapi|discovery|apiservice' |
        grep -F metrics.k8s.io | grep -v 'ResponseCode: 503, Body: service unavailable$' || true
}

within 120 "our documents in the API server's" has_our_documents
# It asks again every minute, and is told that it has the document already.
within 90 "question for what has changed" rose "$PORT" 'metrics_gateway_http_requests_total{code="304"}' 0
complaints | tail -n 3
equal "complaints of the API server about our documents" 0 "$(complaints | grep -c . || true)"
names=$(k get --raw /openapi/v2 | jq -r '.definitions | keys[] | select(startswith("io.k8s.metrics."))')
echo "$names"
kinds="ContainerMetrics NodeMetrics NodeMetricsList PodMetrics PodMetricsList"
equal "definitions of v1beta1" "$kinds" "$(sed -n 's/.*\.v1beta1\.//p' <<<"$names" | xargs)"
equal "definitions of v1" "$kinds" "$(sed -n 's/.*\.v1\.//p' <<<"$names" | xargs)"
