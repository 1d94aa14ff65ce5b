# shellcheck shell=bash
# `metrics-gateway pki` makes the certificates of the aggregation layer, and what it prints is taken literally: the API
# server is started with the flags as they are printed, the gateway is given its pair while it runs, and the printed
# command tells the API server by which CA to know it. Then everything is as before with the other certificates.

# The API server's arguments, one a line, without those of the aggregation layer.
without_aggregation() {
    awk '/^--(requestheader-|proxy-client-|enable-aggregator-routing)/ {skip = !/=/; next} skip {skip = 0; next} {print}'
}

serve_with() { # CERTIFICATE KEY
    # The key first, as the certificate is what is watched.
    cp "$2" "$RC_DIR/serving.key" && cp "$1" "$RC_DIR/serving.crt"
}

# available_by CA-CERTIFICATE: the API server proxies to a gateway that this CA vouches for
available_by() {
    local bundle
    bundle=$(k get apiservice v1beta1.metrics.k8s.io -o jsonpath='{.spec.caBundle}') || return
    [[ $bundle == "$(base64 -w 0 "$1")" ]] || return
    metrics_api v1beta1/nodes
}

serves_both() { [[ $(metrics_api v1beta1/nodes | jq -r '[.items[].metadata.name] | sort | join(" ")') == "node1 node2" ]]; }

trusted_names() { k get configmap -n kube-system extension-apiserver-authentication -o json; }

after() {
    [[ ! -e $RC_DIR/serving.before.crt ]] || serve_with "$RC_DIR/serving.before.crt" "$RC_DIR/serving.before.key"
    cluster stop-apiserver || true # it may be down already
    [[ ! -e $RC_DIR/arguments.before ]] || cp "$RC_DIR/arguments.before" "$RC_DIR/kube-apiserver.args"
    cluster start-apiserver
    # shellcheck disable=SC2153 # PORT is set by tests/e2e/run
    sed "s/@IP@/$RC_HOST_IP/; s/@PORT@/$PORT/; s/@CA@/$(base64 -w 0 "$RC_CA")/" "$E2E/real-cluster.d/metrics-api.yaml" |
        k apply -f - >/dev/null
    within 60 "answer by the certificates of before" available_by "$RC_CA"
}

cp "$RC_DIR/serving.crt" "$RC_DIR/serving.before.crt"
cp "$RC_DIR/serving.key" "$RC_DIR/serving.before.key"
pki=$RC_DIR/aggregation
"$GATEWAY" pki "$pki" --name "$RC_HOST_IP" >"$RC_DIR/pki.txt"
mapfile -t flags < <(grep '^--' "$RC_DIR/pki.txt")
echo "${#flags[@]} flags for the API server: ${flags[*]}"

cluster stop-apiserver
cp "$RC_DIR/kube-apiserver.args" "$RC_DIR/arguments.before"
{ tr '\0' '\n' <"$RC_DIR/arguments.before" | without_aggregation; printf '%s\n' "${flags[@]}"; } |
    tr '\n' '\0' >"$RC_DIR/kube-apiserver.args"
cluster start-apiserver
contains "whom the cluster trusts as a front proxy" "front-proxy-client" "$(trusted_names)"

serve_with "$pki/metrics-server.crt" "$pki/metrics-server.key"
sed -n '/^for version/,$p' "$RC_DIR/pki.txt" >"$RC_DIR/patch.sh"
PATH="$KUBEBUILDER_ASSETS:$PATH" inside bash -euo pipefail "$RC_DIR/patch.sh"
within 60 "answer by the certificates that pki made" available_by "$pki/metrics-server-ca.crt"
within 30 "both nodes by the certificates that pki made" serves_both
echo "the API server's client certificate: $(openssl x509 -noout -subject -issuer -in "$pki/front-proxy-client.crt" | tr '\n' ' ')"
