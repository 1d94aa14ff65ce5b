# shellcheck shell=bash
# `kubectl explain` describes the kinds of both versions down to their last member, in the words of our documents. It takes
# their names: nodes.metrics.k8s.io is to every kubectl the member `metrics` of the core group's nodes.

explain() { # KUBECTL..
    local version text
    for version in v1beta1 v1; do
        text=$("$@" explain NodeMetrics --api-version "metrics.k8s.io/$version")
        contains "version" "metrics.k8s.io/$version" "$text"
        contains "description" "What a node uses." "$text"
        contains "members" timestamp "$text"
        text=$("$@" explain PodMetrics.containers.usage --api-version "metrics.k8s.io/$version")
        contains "a member's member" "working set" "$text"
    done
    "$@" explain PodMetrics.containers
    contains "all members" ownerReferences "$("$@" explain PodMetrics --recursive)"
}

# The API server fetches documents once a minute, and again soon where it failed.
within 120 "our documents in the API server's" has_our_documents
each_kubectl explain
