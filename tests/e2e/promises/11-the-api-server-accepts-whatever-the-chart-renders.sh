# shellcheck shell=bash
# Every plain manifest, the highly available ones among them, and what the chart renders for each of its values files pass
# a real API server's own checks (--dry-run=server), after kubectl has held every object against the schema that this
# server publishes (/openapi/v2): a field that it does not have is refused. Custom resources have no server here, nor has
# what is newer than this cluster: high-availability-1.21+.yaml and newer-values.yaml.

HELM=$("$E2E/../helm-assets" | tail -n 1)/helm
DEPLOY=$E2E/../../deploy
VERSION=$(k version -o json | jq -r .serverVersion.gitVersion)

# accepted WHAT MINIMUM <YAML
accepted() {
    local applied
    applied=$(k apply --dry-run=server --validate=true -o name -f - 2>&1) || fail "$1: $(grep -E '[Ee]rror|[Ii]nvalid|refused|denied' <<<"$applied")"
    echo "$1: $(wc -l <<<"$applied") objects"
    (($(wc -l <<<"$applied") >= $2)) || fail "$1: too few objects: $applied"
}

# without_custom_resources <YAML: documents of other groups' kinds are left out
without_custom_resources() {
    awk 'BEGIN {RS = "\n---\n"; ORS = "\n---\n"} !/\napiVersion: (monitoring\.coreos\.com|cert-manager\.io)\// {print}'
}

# The checks of this promise can fail at all.
refused=$(sed 's/containerPort/containerPart/' "$DEPLOY/deployment.yaml" | k apply --dry-run=server -f - 2>&1) &&
    fail "a misspelt field is accepted: $refused"
contains "what kubectl says of a misspelt field" 'unknown field "containerPart"' "$refused"

for manifest in rbac service deployment apiservice components high-availability monitoring; do
    accepted "deploy/$manifest.yaml" 1 <"$DEPLOY/$manifest.yaml"
done
for values in "$DEPLOY"/chart/ci/*-values.yaml; do
    name=$(basename "$values" -values.yaml)
    [[ $name != newer ]] || continue
    # As `helm install` in this cluster would: its version, and its APIs in place of those that helm knows.
    mapfile -t apis < <(k api-versions | sed 's/^/--api-versions=/')
    "$HELM" template metrics-server "$DEPLOY/chart" --namespace kube-system --values "$values" \
        --kube-version "$VERSION" "${apis[@]}" >"$RC_DIR/rendered.yaml"
    accepted "values $name" 8 < <(without_custom_resources <"$RC_DIR/rendered.yaml")
done
