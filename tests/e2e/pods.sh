# shellcheck shell=bash
# What the promises about the gateway as a pod are written with, beside lib.sh: its image, deploy/ in a cluster without
# kube-proxy, and requests without a pause. Sourced by these promises.
#
# Each begins with `in_place`, `configured` or `make_room`; what is in place already costs no time again.

# ---- the gateway as a pod ------------------------------------------------------------------------------------------

POD_IMAGE=e2e.local/metrics-gateway

# pod_images: the image of the gateway on every node, under three names: two releases of it, and a stand-in for
# metrics-server, whose own image cannot be had here
pod_images() {
    [[ ! -e $RC_DIR/pod-images ]] || return 0
    "$E2E/../../deploy/image/build" "$GATEWAY" "$POD_IMAGE:1,$POD_IMAGE:2,e2e.local/metrics-server:v0.9.0" 0 \
        "$RC_DIR/gateway.tar" >"$RC_DIR/pod-images.size"
    cluster load "$RC_DIR/gateway.tar" 2>"$RC_DIR/log/load.log"
    rm "$RC_DIR/gateway.tar"
    mv "$RC_DIR/pod-images.size" "$RC_DIR/pod-images"
}

# make_room: the process that was the gateway until now ends, and what registered it goes
make_room() {
    # shellcheck disable=SC2034 # read by `within`
    MAY_END=1
    stop_gateway gateway
    rm -f "$RC_DIR/gateway.pid"
    ! k get endpoints -n kube-system metrics-server -o 'jsonpath={.subsets[*].addresses[*].ip}' | grep -qx "$RC_HOST_IP" ||
        k delete -n kube-system service/metrics-server endpoints/metrics-server --ignore-not-found
}

# as_pod IMAGE [ARGUMENTS] <SPEC: a strategic merge patch of the Deployment for a cluster without kube-proxy, where the API
# server is only reached at its own address. ARGUMENTS (in JSON) stand in place of the manifest's, SPEC is more of the
# pod's spec, and more of the container may follow.
as_pod() {
    echo "apiVersion: apps/v1
kind: Deployment
metadata: {name: metrics-server, namespace: kube-system}
spec:
  template:
    spec:
$(cat)
      containers:
        - name: metrics-server
          image: $1
          ${2:+args: $2}
          env:
            - {name: KUBERNETES_SERVICE_HOST, value: '${API_SERVER_NAME:-$RC_HOST_IP}'}
            - {name: KUBERNETES_SERVICE_PORT, value: '6443'}"
}

# overlay BASE PATCH-FILE: a directory of manifests, or a file, as it is, and this patch over it; prints a directory for
# `kubectl apply -k`
overlay() {
    local directory kind=resources
    directory=$(mktemp -d "$RC_DIR/overlay.XXXXXX")
    cp -r "$1" "$directory/base"
    cp "$2" "$directory/patch.yaml"
    # In kubectl's own kustomize, of this age, other directories are still named as `bases`.
    [[ ! -d $1 ]] || kind=bases
    printf '%s\n' "$kind: [base]" 'patchesStrategicMerge: [patch.yaml]' >"$directory/kustomization.yaml"
    echo "$directory"
}

# in_place: our manifests are what runs, with the image in release 1, and it answers; for promises that begin with that
in_place() {
    as_pod "$POD_IMAGE:1" </dev/null >"$RC_DIR/pod.yaml"
    put_in_place
}

# put_in_place: deploy/ with the patch in pod.yaml
put_in_place() {
    pod_images
    make_room
    k apply -k "$(overlay "$E2E/../../deploy" "$RC_DIR/pod.yaml")" >"$RC_DIR/log/in-place.log"
    rolled_out
    within 60 "usage of every node and pod through the API server" api_serves_everything
}

# configured: as in_place, with everything that a pod may be given beside its arguments: a gateway.toml with a plugin, for
# a tenant by the labels of namespaces; names of nodes in place of addresses, which a name server knows; and the API
# server by a name that only the pod's /etc/hosts knows
configured() {
    local arguments
    k label namespace default e2e=pods --overwrite
    cat >"$RC_DIR/pod.toml" <<END
[plugins.skip-sidecars]
source = "skip-sidecars.wasm"

[[tenant]]
name = "pods"
namespace_selector = "e2e=pods"
filter = [{ plugin = "skip-sidecars", settings = { containers = ["large"] } }]
END
    k create configmap -n kube-system metrics-gateway --from-file "gateway.toml=$RC_DIR/pod.toml" \
        --from-file "$PLUGINS/skip-sidecars.wasm" --dry-run=client -o yaml | k apply -f - 2>&1
    arguments=$(k apply -k "$E2E/../../deploy" --dry-run=client -o json | jq -c '
        [.items[] | select(.kind == "Deployment") | .spec.template.spec.containers[0].args[]
            | select(startswith("--kubelet-preferred-address-types=") or startswith("--config=") | not)]
        + ["--kubelet-preferred-address-types=Hostname", "--config=/etc/metrics-gateway/gateway.toml"]')
    API_SERVER_NAME=kubernetes.default.svc as_pod "$POD_IMAGE:1" "$arguments" >"$RC_DIR/pod.yaml" <<END
      dnsPolicy: None
      dnsConfig: {nameservers: ['$RC_HOST_IP']}
      hostAliases: [{ip: '$RC_HOST_IP', hostnames: [kubernetes.default.svc]}]
      volumes: [{name: configuration, configMap: {name: metrics-gateway}}]
END
    echo '          volumeMounts: [{name: configuration, mountPath: /etc/metrics-gateway, readOnly: true}]' >>"$RC_DIR/pod.yaml"
    # shellcheck disable=SC2086 # one argument for each node
    become perl "$E2E/real-cluster.d/dns.pl" "$RC_HOST_IP" $RC_NODES </dev/null >>"$RC_DIR/queries" 2>"$RC_DIR/log/dns.log" &
    NAME_SERVER=$!
    put_in_place
}

NAME_SERVER=
end_name_server() { [[ ! $NAME_SERVER ]] || kill "$NAME_SERVER"; }

# ask_pod PATH [CURL-ARGUMENT..]: the gateway's first pod, directly, and with no credentials but what the arguments say
ask_pod() {
    local path=$1 ip
    shift
    ip=$(gateway_pods | jq -r '.[0].status.podIP')
    # Its certificate is its own, which no CA vouches for.
    inside curl --silent --show-error --max-time 10 --insecure "$@" "https://$ip:10250$path"
}

# pod_process: the number of the process in the gateway's first pod, as this machine knows it
pod_process() {
    local uid pid
    uid=$(gateway_pods | jq -r '.[0].metadata.uid')
    for pid in $(pgrep -x metrics-gateway); do
        ! grep -qs "$uid" "/proc/$pid/cgroup" || echo "$pid"
    done
}

# gateway_objects: every object that the manifests make, by its own number, which one that was deleted and made again has not
gateway_objects() {
    k get -n kube-system serviceaccount,rolebinding,service,deployment,clusterrole,clusterrolebinding,apiservice \
        -l k8s-app=metrics-server -o json | jq -r '.items[] | "\(.kind)/\(.metadata.name) \(.metadata.uid)"' | sort
}

rolled_out() { k rollout status -n kube-system deployment/metrics-server --timeout 180s; }

# gateway_pods: the gateway's pods that are not about to end, as a JSON array
gateway_pods() {
    k get pods -n kube-system -l k8s-app=metrics-server -o json |
        jq -c '[.items[] | select(.metadata.deletionTimestamp == null)]'
}

# api_serves_everything: as `serves_everything`, of whatever gateway the API server knows
api_serves_everything() {
    local running served version
    running=$(k get pods -A --field-selector status.phase=Running -o json |
        jq -r '[.items[] | select(.metadata.deletionTimestamp == null) | .metadata.name] | sort | join(" ")') || return
    for version in v1beta1 v1; do
        served=$(metrics_api "$version/nodes" | jq -r '[.items[].metadata.name] | sort | join(" ")') || return
        served+=", $(metrics_api "$version/pods" | jq -r '[.items[].metadata.name] | sort | join(" ")')" || return
        echo "running: node1 node2, $running; served in $version: $served"
        [[ $served == "node1 node2, $running" ]] || return
    done
}

# ---- requests without a pause --------------------------------------------------------------------------------------

POLLS=()

# poll NAME RATE PATH: asks the API server for this as its administrator, so many times a second, until end_polls. Four ask
# in turn, so that a slow answer costs no rate
poll() {
    local asker
    rm -rf "$RC_DIR/polls/$1"
    mkdir -p "$RC_DIR/polls/$1"
    date +%s%N >"$RC_DIR/polls/$1.began"
    for asker in a b c d; do
        # An ignored parameter counts the requests, and names the file of each answer. Standard error is not kept in a
        # buffer, which would be lost; a line without its end is no answer.
        become curl --silent --max-time 30 --cacert "$RC_CA" --cert "${RC_CA%/*}/admin.crt" --key "${RC_CA%/*}/admin.key" \
            --rate "$(($2 * 15))/m" --output "$RC_DIR/polls/$1/$asker#1" \
            --write-out '%{stderr}%{http_code} %{filename_effective} %{time_total} %{errormsg} .\n' \
            "$RC_SERVER$3?$asker=[1-1000000]" </dev/null 2>"$RC_DIR/polls/$1.$asker" &
        POLLS+=("$1=$!")
    done
}

# end_polls: ends them; what was under way then is not counted. Then each has a rate
end_polls() {
    local poll name
    ((${#POLLS[@]})) || return 0
    for poll in "${POLLS[@]}"; do
        kill "${poll#*=}" || fail "the requests '${poll%=*}' have ended by themselves"
        wait "${poll#*=}" 2>/dev/null || true # it was killed
    done
    for name in $(printf '%s\n' "${POLLS[@]%=*}" | sort -u); do
        echo $((($(date +%s%N) - $(cat "$RC_DIR/polls/$name.began")) / 1000000)) >"$RC_DIR/polls/$name.ms"
        grep -h ' \.$' "$RC_DIR/polls/$name".[abcd] >"$RC_DIR/polls/$name.log"
    done
    POLLS=()
}

# answered NAME: how many there were at which rate, and what went wrong; printed
answered() {
    awk -v name="$1" -v ms="$(cat "$RC_DIR/polls/$1.ms")" '
        $1 != 200 {++failed}
        $3 > slowest {slowest = $3}
        END {printf "%s: %d requests, %.0f/s, %d failed, the slowest took %d ms\n", name, NR, NR * 1000 / ms, failed, slowest * 1000}' \
        "$RC_DIR/polls/$1.log"
    awk '$1 != 200' "$RC_DIR/polls/$1.log" | head -n 5 | while read -r code file rest; do
        echo "  $code $rest $(head -c 300 "$file" 2>/dev/null)"
    done
}

# none_failed NAME
none_failed() {
    answered "$1"
    equal "requests of '$1' that were not answered with 200" 0 "$(awk '$1 != 200' "$RC_DIR/polls/$1.log" | wc -l)"
}

# all_say NAME JQ EXPECTED: of every answer, jq says this
all_say() {
    local said
    said=$(awk '$1 == 200 {print $2}' "$RC_DIR/polls/$1.log" | xargs cat | jq -r "$2" | sort | uniq -c | sort -rn)
    [[ $said && $(grep -vcxE " *[0-9]+ $3" <<<"$said") == 0 ]] ||
        fail "answers to '$1': expected all to say '$3', got, with their numbers: $(head -n 4 <<<"$said")"
}

# asked_per_second NAME..: together
asked_per_second() {
    local name sum=0
    for name in "$@"; do
        sum=$((sum + $(wc -l <"$RC_DIR/polls/$name.log") * 1000 / $(cat "$RC_DIR/polls/$name.ms")))
    done
    echo "$sum"
}
