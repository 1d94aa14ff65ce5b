// Says where a node's kubelet is asked. This one dials the internal DNS names of the node.
//
// policy.h is made from the contract; its comments say what everything means. Arguments belong to the function that gets
// them, results to the host once they are returned: they must have come from malloc.

#include <stdlib.h>
#include <string.h>

#include "policy.h"

void exports_plugin_describe(exports_plugin_info_t *info) {
    policy_string_dup(&info->name, "my-plugin");
    policy_string_dup(&info->version, "0.1.0");
    policy_string_dup(&info->description, "What it does, in one sentence for operators");
    policy_string_dup(&info->settings_schema, "{\"type\": \"object\", \"additionalProperties\": false}");
}

// The gateway hands over {} where the operator set nothing.
bool exports_plugin_configure(policy_string_t *settings, policy_string_t *error) {
    bool is_empty = settings->len == 2 && memcmp(settings->ptr, "{}", 2) == 0;
    if (!is_empty) {
        policy_string_dup(error, "there are no settings");
    }
    return is_empty;
}

static bool is_wanted(const types_node_address_t *address) {
    static const char kind[] = "InternalDNS";
    bool is_of_kind = address->kind.len == sizeof kind - 1 && memcmp(address->kind.ptr, kind, sizeof kind - 1) == 0;
    return is_of_kind && address->address.len >= 1 && address->address.len <= 253;
}

void exports_address_candidates(exports_address_node_t *node, exports_address_choice_t *choice) {
    enum { MOST = 16 };
    exports_address_candidate_t *candidates = calloc(MOST, sizeof *candidates);
    size_t count = 0;
    for (size_t i = 0; i < node->addresses.len && count < MOST; i++) {
        const types_node_address_t *address = &node->addresses.ptr[i];
        if (is_wanted(address)) {
            policy_string_dup_n(&candidates[count++].host, (const char *)address->address.ptr, address->address.len);
        }
    }
    if (count > 0) {
        choice->tag = EXPORTS_ADDRESS_CHOICE_DIAL;
        choice->val.dial = (exports_address_list_candidate_t){candidates, count};
    } else {
        choice->tag = EXPORTS_ADDRESS_CHOICE_PASS;
        free(candidates);
    }
    exports_address_node_free(node);
}
