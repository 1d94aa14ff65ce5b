// What an operator may set: {"containers": ["istio-proxy", "linkerd-*"], "namespaces": ["shop"]}.

#ifndef SETTINGS_H
#define SETTINGS_H

#include "policy.h"

struct setting {
    const char *name;
    // What is said where it is something else.
    const char *wanted;
    policy_list_string_t patterns;
    bool is_set;
};

enum { CONTAINERS, NAMESPACES, SETTINGS };

struct settings {
    struct setting all[SETTINGS];
};

// Reads JSON into the settings; those that it does not name stay as they are. Takes over `text`, into which the patterns
// point. Returns NULL, or why the settings are refused.
const char *read_settings(policy_string_t *text, struct settings *settings);

#endif
