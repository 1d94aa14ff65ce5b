# shellcheck shell=bash
# Somebody who may view one namespace asks why a pod of it is served as it is, through the API server and with nothing but a
# kubeconfig: for a served, a filtered, a held, and a missing pod. Of another namespace they learn nothing.

after() {
    policies </dev/null
    cluster resume node2
    k delete pod nowhere --ignore-not-found --wait=false
    k delete rolebinding explain-viewer --ignore-not-found
}

# explain OBJECT..: as the viewer
explain() { inside "$GATEWAY" explain "$@" --kubeconfig "$RC_DIR/viewer.kubeconfig"; }
# told STATE REASON POD: the pod is explained by this state and reason
told() {
    local seen
    seen=$(explain pod "$3" -o json | jq -r '"\(.state) \(.reason // "-")"') || true
    echo "$3: $seen"
    [[ $seen == "$1 $2" ]]
}

account default viewer
k create rolebinding explain-viewer --clusterrole view --serviceaccount default:viewer

within 45 "usage of every node and pod" serves_everything
within 20 "explanation of a served pod" told served - default/twins
text=$(explain pod default/twins)
echo "$text"
contains "explanation" "pod default/twins: SERVED" "$text"
contains "explanation" "tenant     default: no tenant owns it" "$text"
contains "explanation" "answering" "$text"

if refused=$(explain pod kube-system/twins 2>&1); then fail "a viewer of one namespace is told of another: $refused"; fi
contains "refusal" "cannot get resource \"pods/explain\"" "$refused"

policies <<END
[plugins.skip-sidecars]
source = "$PLUGINS/skip-sidecars.wasm"

[[tenant]]
name = "meshed"
namespaces = ["default"]
filter = [{ plugin = "skip-sidecars", settings = { containers = ["large"] } }]
END
dropped() {
    explain pod default/twins -o json |
        jq -e '.state == "served" and (.containers[] | select(.name == "large") | .missing == "dropped" and .filters[0].said == "drop")'
}
within 60 "explanation of a filtered container" dropped
contains "tenant" "meshed: its namespaces name it" "$(explain pod default/twins)"
policies </dev/null

k run nowhere --image nobody/has-it --restart Never --overrides '{"spec": {"nodeSelector": {"no": "where"}}}'
within 20 "explanation of a pod that is pending" told missing not-running default/nowhere
if absent=$(explain pod default/nobody 2>&1); then fail "a pod that nobody knows is explained: $absent"; fi
contains "answer" 'pods "nobody" not found' "$absent"

# Held: the last usage of a node that hangs, and of the pods on it. Nodes are for administrators.
node_told() { # STATE REASON
    local seen
    seen=$(inside "$GATEWAY" explain node node2 -o json | jq -r '"\(.state) \(.reason // "-")"') || true
    echo "node2: $seen"
    [[ $seen == "$1 $2" ]]
}
on_node2=$(k get pods -n default --field-selector spec.nodeName=node2,status.phase=Running -o 'jsonpath={.items[0].metadata.name}')
within 45 "usage of every node and pod" serves_everything
cluster hang node2
within 30 "explanation of a node that is held" node_told held node-failing
[[ ! $on_node2 ]] || within 5 "explanation of a pod that is held" told held node-failing "default/$on_node2"
