// Leaves containers out by name, such as the proxies of a service mesh.
//
// policy.h is made from the contract; its comments say what everything means. Arguments belong to the function that gets
// them, results to the host once they are returned: they must have come from malloc.

#include <stdlib.h>
#include <string.h>

#include "policy.h"
#include "settings.h"

#define TEXT(text) {(uint8_t *)(text), sizeof(text) - 1}

static policy_string_t proxies[] = {TEXT("istio-proxy"), TEXT("linkerd-proxy")};

static struct settings settings = {{
    {
        .name = "containers",
        .wanted = "\"containers\" must be a list of names or patterns, such as [\"istio-proxy\", \"linkerd-*\"]",
        .patterns = {proxies, 2},
    },
    {
        .name = "namespaces",
        .wanted = "\"namespaces\" must be a list of names or patterns, such as [\"shop\", \"shop-*\"]",
    },
}};

static const char schema[] =
    "{\"type\": \"object\", \"additionalProperties\": false, \"properties\": {"
    "\"containers\": {\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": \"string\"},"
    "\"description\": \"Names of containers, or patterns of names (*, ?), that are not served.\"},"
    "\"namespaces\": {\"type\": \"array\", \"items\": {\"type\": \"string\"},"
    "\"description\": \"Names or patterns of the namespaces in which that holds; all where there is none.\"}}}";

void exports_plugin_describe(exports_plugin_info_t *info) {
    policy_string_dup(&info->name, "skip-sidecars");
    policy_string_dup(&info->version, "0.1.0");
    policy_string_dup(&info->description, "Leaves out containers by name, such as the proxies of a service mesh");
    policy_string_dup(&info->settings_schema, schema);
}

bool exports_plugin_configure(policy_string_t *text, policy_string_t *error) {
    const char *why = read_settings(text, &settings);
    if (why == NULL && settings.all[CONTAINERS].patterns.len == 0) {
        why = "\"containers\" is empty: name at least one container";
    }
    if (why != NULL) {
        policy_string_dup(error, why);
    }
    return why == NULL;
}

// Whether all of a name is what a pattern says: * stands for any characters, ? for one.
static bool matches(policy_string_t pattern, policy_string_t name) {
    size_t at = 0, reached = 0, after_star = 0, taken = 0;
    while (reached < name.len) {
        if (at < pattern.len && pattern.ptr[at] == '*') {
            after_star = ++at;
            taken = reached;
        } else if (at < pattern.len && (pattern.ptr[at] == '?' || pattern.ptr[at] == name.ptr[reached])) {
            at++;
            reached++;
        } else if (after_star > 0) {
            // What follows the latest star does not fit here: the star takes one character more.
            at = after_star;
            reached = ++taken;
        } else {
            return false;
        }
    }
    while (at < pattern.len && pattern.ptr[at] == '*') {
        at++;
    }
    return at == pattern.len;
}

static bool is_one_of(policy_string_t name, policy_list_string_t patterns) {
    for (size_t i = 0; i < patterns.len; i++) {
        if (matches(patterns.ptr[i], name)) {
            return true;
        }
    }
    return false;
}

static uint8_t verdict(const exports_filter_pod_t *pod, policy_string_t container) {
    enum { KEEP = 0, DROP = 1 };
    policy_list_string_t namespaces = settings.all[NAMESPACES].patterns;
    bool is_meant = namespaces.len == 0 || is_one_of(pod->namespace_, namespaces);
    return is_meant && is_one_of(container, settings.all[CONTAINERS].patterns) ? DROP : KEEP;
}

void exports_filter_classify(exports_filter_list_pod_t *pods, policy_list_u8_t *verdicts) {
    size_t count = 0;
    for (size_t i = 0; i < pods->len; i++) {
        count += pods->ptr[i].containers.len;
    }
    verdicts->ptr = malloc(count);
    verdicts->len = 0;
    for (size_t i = 0; i < pods->len; i++) {
        const exports_filter_pod_t *pod = &pods->ptr[i];
        for (size_t j = 0; j < pod->containers.len; j++) {
            verdicts->ptr[verdicts->len++] = verdict(pod, pod->containers.ptr[j]);
        }
    }
    exports_filter_list_pod_free(pods);
}
