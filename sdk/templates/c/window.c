// Says over which window usage is computed. This one takes the mean rate since the oldest sample that it is shown, or since
// the container started.
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

uint64_t exports_window_history(void) {
    return 60000000000; // a minute
}

static policy_list_u64_t column(size_t rows) {
    return (policy_list_u64_t){calloc(rows, sizeof(uint64_t)), rows};
}

// One row of the answer, from the samples start..end. A window of 0 serves nothing.
static void measure(const exports_window_batch_t *batch, size_t start, size_t end, size_t row,
                    exports_window_usages_t *usages) {
    if (start == end) {
        return;
    }
    size_t newest = end - 1, oldest = start;
    while (batch->started_at.ptr[oldest] != batch->started_at.ptr[newest]) {
        oldest++;
    }
    uint64_t window = batch->taken_at.ptr[newest] - batch->taken_at.ptr[oldest];
    if (window == 0 || batch->cpu_ns.ptr[newest] < batch->cpu_ns.ptr[oldest]) {
        return;
    }
    double rate = (double)(batch->cpu_ns.ptr[newest] - batch->cpu_ns.ptr[oldest]) / (double)window * 1e9;
    uint64_t memory = batch->memory_bytes.ptr[newest];
    if (rate > 1e15 || memory > (uint64_t)1 << 60) {
        return;
    }
    usages->taken_at.ptr[row] = batch->taken_at.ptr[newest];
    usages->window_ns.ptr[row] = window;
    usages->nanocores.ptr[row] = (uint64_t)rate;
    usages->memory_bytes.ptr[row] = memory;
}

void exports_window_measure(exports_window_batch_t *batch, exports_window_usages_t *usages) {
    size_t rows = batch->ends.len, start = 0;
    *usages = (exports_window_usages_t){column(rows), column(rows), column(rows), column(rows)};
    for (size_t row = 0; row < rows; row++) {
        measure(batch, start, batch->ends.ptr[row], row, usages);
        start = batch->ends.ptr[row];
    }
    exports_window_batch_free(batch);
}
