# shellcheck shell=bash
# Every command in README's installation and in docs/, but for those marked "by-hand" and the tutorial's (which
# tests/tutorial follows), works as it stands, in its order, in a real cluster: each page from the state that its reader is
# in, with nothing but kubectl, helm and metrics-gateway at hand.

# shellcheck source=tests/e2e/pods.sh
. "$E2E/pods.sh"

# What a reader has: a checkout, in which the image has been named as README says, and plugins that were built.
ROOT=$RC_DIR/checkout
mkdir -p "$ROOT/target"
cp -r "$E2E/../../"{README.md,deploy,docs} "$ROOT/"
ln -s "$PLUGINS" "$ROOT/target/plugins"
sed -i "s|^    newTag: .*|    newName: $POD_IMAGE\n    newTag: '1'|" "$ROOT/deploy/kustomization.yaml"
sed -i "s|^  repository: metrics-gateway$|  repository: $POD_IMAGE|; s|^  tag: unreleased$|  tag: '1'|" "$ROOT/deploy/chart/values.yaml"

# commands FILE: of the blocks marked `sh`
commands() { awk '$0 == "```sh" {on = 1; next} /^```/ {on = 0} on' "$1"; }

# Of the README, what is typed from the applied manifests to the doctor.
of_readme() { awk '/^## /{on = /^## Install/} on' "$ROOT/README.md" >"$RC_DIR/install.md" && commands "$RC_DIR/install.md" | grep -v '^make '; }

# Nothing of the gateway is left, whoever installed it.
clear_away() {
    ! inside "$HELM/helm" status metrics-server --namespace kube-system >/dev/null 2>&1 ||
        inside "$HELM/helm" uninstall metrics-server --namespace kube-system
    k delete -k "$ROOT/deploy" --ignore-not-found --wait
    # What promises before this one gave their pods.
    k delete configmap metrics-gateway --namespace kube-system --ignore-not-found
}

install_it() { k apply -k "$ROOT/deploy" && rolled_out && within 60 "usage of every node and pod" api_serves_everything; }

# follow PAGE <COMMANDS
follow() {
    local code=0
    echo "-- $1"
    cat >"$RC_DIR/page.sh"
    [[ -s $RC_DIR/page.sh ]] || fail "$1 has no commands"
    (
        cd "$ROOT"
        PATH="$RC_DIR/bin:$PATH" inside timeout 300 bash -euo pipefail -x "$RC_DIR/page.sh"
    ) >"$RC_DIR/page.log" 2>&1 </dev/null || code=$?
    ((code == 0)) || fail "$1 ended with $code: $(tail -n 12 "$RC_DIR/page.log" | head -c 1500)"
    grep -c '^+ ' "$RC_DIR/page.log" | sed 's/$/ commands/'
}

HELM=$("$E2E/../helm-assets" 2>"$RC_DIR/log/helm.log" | tail -n 1)
mkdir -p "$RC_DIR/bin"
ln -sf "$KUBEBUILDER_ASSETS/kubectl" "$HELM/helm" "$GATEWAY" "$RC_DIR/bin/"
pod_images
make_room
k delete apiservice v1.metrics.k8s.io v1beta1.metrics.k8s.io --ignore-not-found
clear_away

of_readme | sed 's|^target/release/||' | follow README.md
for page in install-kubeadm hand-built-clusters; do
    clear_away
    commands "$ROOT/docs/$page.md" | follow "docs/$page.md"
done
for page in managed-clusters troubleshoot; do
    commands "$ROOT/docs/$page.md" | follow "docs/$page.md"
done
clear_away
commands "$ROOT/docs/tenants.md" | follow docs/tenants.md
clear_away
install_it
commands "$ROOT/docs/operate.md" | follow docs/operate.md
rm -rf /tmp/aggregation /tmp/what-to-do.txt /tmp/gateway.toml
