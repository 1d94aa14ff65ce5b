# shellcheck shell=bash
# Who cannot prove who they are, or may not, gets 401 or 403 with Kubernetes' Status body, and no figure; directly and
# through the API server. Who may, may.

NODES=/apis/metrics.k8s.io/v1beta1/nodes

# refused CODE WHOM-THE-MESSAGE-NAMES CURL-ARGUMENT..
refused() {
    local code=$1 name=$2 answer reason=Forbidden
    shift 2
    [[ $code != 401 ]] || reason=Unauthorized
    answer=$(call "$PORT" "$NODES" -w '\n%{http_code}' "$@")
    echo "${answer##*$'\n'} $(sed '$d' <<<"$answer" | jq -r '.message // "no message"')"
    equal "code for $*" "$code" "${answer##*$'\n'}"
    equal "body for $*" "Status v1 Failure $reason $code" \
        "$(sed '$d' <<<"$answer" | jq -r '"\(.kind) \(.apiVersion) \(.status) \(.reason) \(.code)"')"
    contains "message for $*" "$name" "$(sed '$d' <<<"$answer" | jq -r .message)"
}

within 45 "usage of every node and pod" serves_everything
certificate stranger "$RC_CA" "$RC_CA_KEY" /CN=stranger clientAuth
certificate other-proxy "$RC_FRONT_PROXY_CA" "${RC_FRONT_PROXY_CA%.crt}.key" /CN=other-proxy clientAuth
account default nobody
account default reader
k create clusterrolebinding e2e-reader --clusterrole system:aggregated-metrics-reader --serviceaccount default:reader
FORGED=(-H 'X-Remote-User: admin' -H 'X-Remote-Group: system:masters')

echo "-- directly"
refused 403 '"system:anonymous"'
refused 403 '"system:anonymous"' "${FORGED[@]}"
refused 403 '"stranger"' "${FORGED[@]}" --cert "$RC_DIR/stranger.crt" --key "$RC_DIR/stranger.key"
refused 401 Unauthorized "${FORGED[@]}" --cert "$RC_DIR/other-proxy.crt" --key "$RC_DIR/other-proxy.key"
refused 401 Unauthorized -H 'Authorization: Bearer forged'
refused 403 '"system:serviceaccount:default:nobody"' -H "Authorization: Bearer $(cat "$RC_DIR/nobody.token")"
refused 403 '"someone"' --cert "$RC_FRONT_PROXY_CERT" --key "$RC_FRONT_PROXY_KEY" -H 'X-Remote-User: someone'
answer=$(call "$PORT" "$NODES" --fail -H "Authorization: Bearer $(cat "$RC_DIR/reader.token")")
equal "nodes for a reader" "node1 node2" "$(jq -r '[.items[].metadata.name] | join(" ")' <<<"$answer")"

echo "-- through the API server"
code=$(inside curl --silent --cacert "$RC_CA" -w '%{http_code}' -o "$RC_DIR/anonymous" "${FORGED[@]}" "$RC_SERVER$NODES")
equal "anonymous through the API server" "403 Status" "$code $(jq -r .kind "$RC_DIR/anonymous")"
answer=$(k --kubeconfig "$RC_DIR/nobody.kubeconfig" top nodes 2>&1) && fail "an unprivileged account was served: $answer"
echo "$answer"
contains "kubectl top as an unprivileged account" 'cannot list resource "nodes" in API group "metrics.k8s.io"' "$answer"
answer=$(k --kubeconfig "$RC_DIR/reader.kubeconfig" top pods --containers)
echo "$answer"
contains "kubectl top as a reader" twins "$answer"
