# shellcheck shell=bash
# What the promises are written with. Sourced by tests/e2e/run, never by hand.
#
# A promise is a file in promises/. It runs in a shell of its own with `errexit`; it is kept when it ends, and broken when
# it calls `fail` or when a command of it fails. What it prints is shown indented. What it starts is ended with it.
# Nothing waits for time to pass: `within` waits for a condition, and no longer than it is told.

# ---- verdicts and waiting ------------------------------------------------------------------------------------------

# fail WHY: the promise is broken
fail() {
    echo "$*" >"$RC_DIR/why"
    exit 1
}

# within SECONDS WHAT COMMAND..: until COMMAND succeeds; its last output goes into the verdict where it never does
within() {
    local seconds=$1 what=$2 end=$((SECONDS + $1))
    shift 2
    until "$@" >"$RC_DIR/attempt" 2>&1; do
        ((SECONDS < end)) || fail "no $what within $seconds s; at last: $(tail -n 3 "$RC_DIR/attempt" | head -c 600)"
        has_gateway || fail "the gateway ended while waiting for $what"
        sleep 0.3
    done
}

# Before the gateway was started, and in a promise that ends it (which sets MAY_END), nothing is amiss without one.
has_gateway() { [[ ${MAY_END:-} || ! -e $RC_DIR/gateway.pid ]] || is_running gateway; }

# equal WHAT EXPECTED ACTUAL
equal() { [[ $2 == "$3" ]] || fail "$1: expected '$2', got '$3'"; }

# contains WHAT NEEDLE HAYSTACK
contains() { [[ $3 == *"$2"* ]] || fail "$1: expected '$2' in: $(head -c 800 <<<"$3")"; }

# seconds_now: Unix time, to compare with the timestamps that are served
seconds_now() { date +%s; }

# ---- the cluster ---------------------------------------------------------------------------------------------------

cluster() { "$E2E/real-cluster" "$@"; }

# Everything that talks to the cluster does so from its network.
inside() { nsenter --net="$RC_NETNS" "$@"; }

# As `inside`, in place of the shell that calls it: to be started with `&`, so that $! is the program and not a shell that
# waits for it and leaves it behind when it is killed.
become() { exec nsenter --net="$RC_NETNS" "$@"; }

# The kubectl of the cluster's own version, as its administrator.
k() { inside "$KUBEBUILDER_ASSETS/kubectl" "$@"; }

# each_kubectl FUNCTION: calls it with every kubectl there is, the cluster's own and the one on PATH
each_kubectl() {
    local kubectl
    for kubectl in "$KUBEBUILDER_ASSETS/kubectl" $(type -P kubectl || true); do
        echo "-- kubectl $(inside "$kubectl" version --client -o json | jq -r .clientVersion.gitVersion)"
        "$1" inside "$kubectl"
    done
}

metrics_api() { k get --raw "/apis/metrics.k8s.io/$1"; }

# account NAMESPACE NAME: make the service account; write its kubeconfig and its token beside the others
account() {
    k get serviceaccount -n "$1" "$2" >/dev/null 2>&1 || k create serviceaccount -n "$1" "$2"
    cluster kubeconfig "$1" "$2" >"$RC_DIR/$2.kubeconfig"
    sed -n 's/.*token: \([^ }]*\).*/\1/p' "$RC_DIR/$2.kubeconfig" >"$RC_DIR/$2.token"
}

# certificate NAME CA-CERTIFICATE CA-KEY SUBJECT USAGE [ALTERNATIVE-NAMES]: $RC_DIR/NAME.crt and .key
certificate() {
    openssl req -newkey rsa:2048 -nodes -subj "$4" -keyout "$RC_DIR/$1.key" -out "$RC_DIR/$1.csr" 2>/dev/null
    openssl x509 -req -sha256 -days 2 -in "$RC_DIR/$1.csr" -CA "$2" -CAkey "$3" -set_serial "0x$(openssl rand -hex 8)" \
        -out "$RC_DIR/$1.crt" -extfile <(printf '%s\n' basicConstraints=critical,CA:false \
        keyUsage=critical,digitalSignature "extendedKeyUsage=$5" ${6:+"subjectAltName=$6"}) 2>/dev/null
}

# ---- gateways ------------------------------------------------------------------------------------------------------

# start_gateway NAME PORT ACCOUNT KUBELET-CA [ARGUMENT..]: its log is NAME.log in the log directory
start_gateway() {
    local name=$1 port=$2 account=$3 ca=$4
    shift 4
    rm -f "$RC_DIR/$name".{pid,exit}
    (
        trap - ERR EXIT
        code=0
        # shellcheck disable=SC2016 # expanded by the inner shell, which becomes the gateway
        inside bash -c 'echo $$ >"$0" && exec "$@"' "$RC_DIR/$name.pid" "$GATEWAY" \
            --kubeconfig "$RC_DIR/$account.kubeconfig" --bind-address "$RC_HOST_IP" --secure-port "$port" \
            --tls-cert-file "$RC_DIR/serving.crt" --tls-private-key-file "$RC_DIR/serving.key" \
            --kubelet-certificate-authority "$ca" --kubelet-preferred-address-types InternalIP \
            --metric-resolution 10s --kubelet-request-timeout 5s "$@" || code=$?
        echo "$code" >"$RC_DIR/$name.exit"
    ) </dev/null >"$RC_DIR/log/$name.log" 2>&1 &
    within 10 "process of the gateway '$name'" test -s "$RC_DIR/$name.pid"
}

# policies <TOML: the gateway under test is to go by these plugins, tenants and node pools; by none where it is empty.
# Written as an editor does, so that nobody reads half a file.
policies() {
    { printf '%s\n' '[api]' 'resource_metrics = true'; cat; } >"$RC_DIR/gateway.toml.new"
    mv "$RC_DIR/gateway.toml.new" "$RC_DIR/gateway.toml"
}

# in_force PORT GENERATION: the gateway goes by this generation
in_force() {
    local generation
    generation=$(counter "$1" metrics_gateway_generation) || return
    echo "generation $generation is in force"
    ((generation >= $2))
}

# apply_policies <TOML: as `policies`, and wait until the gateway under test goes by them
# shellcheck disable=SC2153 # PORT is set by tests/e2e/run
apply_policies() {
    local before
    before=$(counter "$PORT" metrics_gateway_generation)
    policies
    within 10 "generation above $before" in_force "$PORT" $((before + 1))
}

is_running() { [[ ! -e $RC_DIR/$1.exit ]] && kill -0 "$(cat "$RC_DIR/$1.pid" 2>/dev/null)" 2>/dev/null; }

stop_gateway() { # NAME
    ! is_running "$1" || kill -KILL "$(cat "$RC_DIR/$1.pid")" || true # it may have ended just now
}

# logged GATEWAY NODE REASON: one line of its log names both; it is printed
logged() { grep -m 1 -E "$2.*$3|$3.*$2" "$RC_DIR/log/$1.log" || fail "no line in the log of $1 names '$2' and '$3'"; }

# call PORT PATH [CURL-ARGUMENT..]: asks a gateway directly, as whoever the arguments make us; fails only without an
# answer. The server is verified by the name under which the API server knows it.
call() {
    local port=$1 path=$2
    shift 2
    inside curl --silent --show-error --max-time 10 --cacert "$RC_CA" \
        --resolve "metrics-server.kube-system.svc:$port:$RC_HOST_IP" "$@" "https://metrics-server.kube-system.svc:$port$path"
}

# as_api_server PORT PATH [CURL-ARGUMENT..]: like the API server's aggregator does for an administrator
as_api_server() {
    call "$@" --fail --cert "$RC_FRONT_PROXY_CERT" --key "$RC_FRONT_PROXY_KEY" \
        -H 'X-Remote-User: e2e' -H 'X-Remote-Group: system:masters'
}

# counter PORT SERIES: the value of one series of /metrics, in full as it is printed there; 0 where it is absent
counter() {
    local text
    text=$(as_api_server "$1" /metrics) || return
    awk -v series="$2" 'index($0, series " ") == 1 {value = $NF} END {printf "%d\n", value}' <<<"$text"
}

# rose PORT SERIES ABOVE
rose() {
    local value
    value=$(counter "$1" "$2") || return
    echo "$2 is $value"
    ((value > $3))
}

# ---- Prometheus ----------------------------------------------------------------------------------------------------

# scrape_job NAME PATH TOKEN-FILE: a job that scrapes the gateway under test as a cluster's Prometheus would
# shellcheck disable=SC2153 # PORT is set by tests/e2e/run
scrape_job() {
    echo "  - job_name: $1
    metrics_path: $2
    scheme: https
    authorization: {credentials_file: '$RC_DIR/$3'}
    tls_config: {ca_file: '$RC_CA', server_name: metrics-server.kube-system.svc}
    static_configs: [{targets: ['$RC_HOST_IP:$PORT']}]"
}

# start_prometheus NAME PORT [ARGUMENT..]: with NAME.prometheus.yml; it listens on loopback, and that only in the cluster's network
start_prometheus() {
    local name=$1 port=$2
    shift 2
    become "$PROMETHEUS/prometheus" --config.file "$RC_DIR/$name.prometheus.yml" --web.listen-address "127.0.0.1:$port" \
        "$@" </dev/null >"$RC_DIR/log/$name.log" 2>&1 &
    PROMETHEUS_PIDS+=($!)
    within 20 "readiness of the Prometheus '$name'" inside curl --silent --fail "http://127.0.0.1:$port/-/ready"
}

PROMETHEUS_PIDS=()
end_prometheus() {
    # Asked to end, an agent would go on trying to deliver what nobody takes any more.
    ((${#PROMETHEUS_PIDS[@]} == 0)) || kill -KILL "${PROMETHEUS_PIDS[@]}" || true # they may have ended by themselves
    PROMETHEUS_PIDS=()
}

# prometheus_api PORT PATH [CURL-ARGUMENT..]
prometheus_api() {
    local port=$1 path=$2
    shift 2
    inside curl --silent --show-error --max-time 10 --get "$@" "http://127.0.0.1:$port/api/v1/$path"
}

# target PORT JOB: its health and last error, as the targets page shows them
target() {
    prometheus_api "$1" targets |
        jq -r --arg job "$2" '.data.activeTargets[] | select(.labels.job == $job) | "\(.health) \(.lastError)"'
}

# target_is PORT JOB EXPECTED
target_is() {
    local seen
    seen=$(target "$1" "$2") || return
    echo "$2: $seen"
    [[ $seen == "$3" ]]
}

# ---- what is served ------------------------------------------------------------------------------------------------

# served_names PORT RESOURCE: the names of the objects served, sorted, in one line
served_names() { as_api_server "$1" "/apis/metrics.k8s.io/v1beta1/$2" | jq -r '[.items[].metadata.name] | sort | join(" ")'; }

# serves_everything: both nodes and every pod that runs, on the gateway under test
serves_everything() {
    local running served
    running=$(k get pods -A --field-selector status.phase=Running -o json |
        jq -r '[.items[] | select(.metadata.deletionTimestamp == null) | .metadata.name] | sort | join(" ")') || return
    # shellcheck disable=SC2153 # PORT is set by tests/e2e/run
    served="$(served_names "$PORT" nodes), $(served_names "$PORT" pods)" || return
    echo "running: node1 node2, $running; served: $served"
    [[ $served == "node1 node2, $running" ]]
}

# taken_at PORT PATH: the timestamp of one object, as Unix time
taken_at() { as_api_server "$1" "/apis/metrics.k8s.io/v1beta1/$2" | jq '.timestamp | fromdate'; }

# has_our_documents: the API server's OpenAPI document says what ours says of both versions
has_our_documents() {
    k get --raw /openapi/v2 |
        jq -e '.paths | has("/apis/metrics.k8s.io/v1beta1/nodes") and has("/apis/metrics.k8s.io/v1/nodes")'
}

# is_newer PORT PATH THAN
is_newer() {
    local at
    at=$(taken_at "$1" "$2") || return
    echo "the timestamp of $2 is $at, not above $3"
    ((at > $3))
}

# jq functions for quantities: 123456n, 51m, 2 -> cores; 32768Ki, 32Mi, 1500 -> bytes
# shellcheck disable=SC2034 # used by promises
QUANTITIES='
def scale: {"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1024, "Mi": 1048576, "Gi": 1073741824};
def quantity: capture("^(?<number>[0-9.]+)(?<suffix>[a-zA-Z]*)$") | (.number | tonumber) * scale[.suffix];
'
