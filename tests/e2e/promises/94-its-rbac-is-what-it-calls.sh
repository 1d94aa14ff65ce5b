# shellcheck shell=bash
# Of what RBAC allows the gateway's service account, all is used, and nothing that it asks for is refused: the API
# server's audit log of the pods, and what kubelets asked about the account, against the roles that are bound to it.

# shellcheck source=tests/e2e/pods.sh
. "$E2E/pods.sh"

after() { end_name_server; }
ACCOUNT=system:serviceaccount:kube-system:metrics-server

# What cannot be used here, and why it is allowed all the same.
excused() {
    echo "get nodes/stats" # of kubelets that have no /metrics/resource, older than those here
    # To tell of a generation that was refused, and of a breaker that opened: neither happens here.
    printf '%s\n' "get apps/deployments" "create events.k8s.io/events" "patch events.k8s.io/events"
}

# VERB GROUP/RESOURCE, a line each
allowed() {
    k get clusterrolebindings,rolebindings,clusterroles,roles -A -o json | jq -r '
        .items as $all
        | $all[] | select(.kind | endswith("Binding"))
        | select(.subjects // [] | any(.kind == "ServiceAccount" and .name == "metrics-server" and .namespace == "kube-system"))
        | . as $binding
        | $all[] | select(.kind == $binding.roleRef.kind and .metadata.name == $binding.roleRef.name)
        | select(.kind == "ClusterRole" or .metadata.namespace == $binding.metadata.namespace)
        | .rules[] | .apiGroups[] as $group | .resources[] as $resource | .verbs[] as $verb
        | "\($verb) \([$group, $resource] | map(select(. != "")) | join("/"))"' | sort -u
}

# What pods asked (the process that other promises start comes from the API server's own address), and what kubelets did.
used() {
    jq -r --arg account "$ACCOUNT" --arg host "$RC_HOST_IP" '
        if .user.username == $account then
            select(.sourceIPs[0] != $host and .objectRef != null)
            | "\(.verb) \([.objectRef.apiGroup, .objectRef.resource, .objectRef.subresource] | map(select(. // "" != "")) | join("/"))"
        else
            .requestObject.spec | select(.user == $account) | .resourceAttributes
            | "\(.verb) \([.group, .resource, .subresource] | map(select(. // "" != "")) | join("/"))"
        end' "$RC_DIR/log/audit.log" | sort -u
}

refused() {
    jq -r --arg account "$ACCOUNT" --arg host "$RC_HOST_IP" '
        select(.user.username == $account and .sourceIPs[0] != $host and .responseStatus.code == 403)
        | "\(.verb) \(.requestURI)"' "$RC_DIR/log/audit.log" | sort -u
}

# Nobody else's word counts for who comes directly: the token is reviewed, and so is what its owner may do.
asks_about_a_token() { ask_pod /apis/metrics.k8s.io/v1beta1/nodes --fail --oauth2-bearer "$(cat "$RC_DIR/direct.token")"; }

configured
account default direct
k create clusterrolebinding e2e-direct --clusterrole system:aggregated-metrics-reader --serviceaccount default:direct \
    --dry-run=client -o yaml | k apply -f -
within 20 "answer to a token" asks_about_a_token

unused() { comm -23 <(allowed) <({ used; excused; } | sort -u); }
nothing_is_unused() {
    echo "allowed and not used: $(unused | paste -sd,)"
    [[ ! $(unused) ]]
}

# The API server records a watch when it ends: so another pod takes this one's place.
k rollout restart -n kube-system deployment/metrics-server
rolled_out
within 40 "use of everything that RBAC allows" nothing_is_unused
echo "used:"
used
equal "what was refused" "" "$(refused)"
