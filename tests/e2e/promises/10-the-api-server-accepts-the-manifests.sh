# shellcheck shell=bash
# deploy/ is what a stranger applies: every object must pass the API server's own checks, with each kubectl's kustomize.

dry_run() { # KUBECTL..
    local applied
    applied=$("$@" apply --dry-run=server -o name -k "$E2E/../../deploy")
    echo "$applied"
    equal "objects in deploy/" 14 "$(grep -c . <<<"$applied")"
}

each_kubectl dry_run
