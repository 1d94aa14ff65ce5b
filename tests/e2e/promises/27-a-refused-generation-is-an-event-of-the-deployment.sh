# shellcheck shell=bash
# A generation that is refused, and its mending, are Events that `kubectl describe deployment` shows, by the permissions
# of the manifests and no others.

EVENTS=4450
after() {
    stop_gateway gateway-with-events
    [[ ! ${made:-} ]] || k delete deployment metrics-server -n kube-system --wait=false
}
described() { # TEXT
    local text
    text=$(k describe deployment metrics-server -n kube-system | sed -n '/^Events:/,$p') || return
    echo "$text"
    [[ $text == *"$1"* ]]
}

if ! k get deployment metrics-server -n kube-system >/dev/null 2>&1; then
    k create deployment metrics-server -n kube-system --image nobody/has-it --replicas 0
    made=1
fi
: >"$RC_DIR/events.toml"
METRICS_GATEWAY_DEPLOYMENT=kube-system/metrics-server \
    start_gateway gateway-with-events $EVENTS metrics-server "$RC_CA" --config "$RC_DIR/events.toml"
within 20 "answer of the gateway" call $EVENTS /livez
write() { cat >"$RC_DIR/events.toml.new" && mv "$RC_DIR/events.toml.new" "$RC_DIR/events.toml"; }
write <<'END'
[[tenant]]
name = "shop"
namespaces = ["shop"]
window = "nobody"
END
within 20 "Event of the refusal" described GenerationRefused
described nobody
write <<'END'
[[tenant]]
name = "shop"
namespaces = ["shop"]
END
within 20 "Event of the mending" described GenerationApplied
equal "refusals among the Events" 1 "$(k get events -n kube-system -o json |
    jq '[.items[] | select(.reason == "GenerationRefused")] | length')"
