//! Says over which window usage is computed. This one takes the mean rate since the oldest sample that it is shown, or since
//! the container started.
//!
//! The module `policy` is made from the contract: C's view of it, in Zig's words. Arguments belong to the function that
//! gets them, results to the host once they are returned: they must have come from malloc.

const std = @import("std");
const policy = @import("policy");

export fn exports_plugin_describe(info: *policy.exports_plugin_info_t) void {
    policy.policy_string_dup(&info.name, "my-plugin");
    policy.policy_string_dup(&info.version, "0.1.0");
    policy.policy_string_dup(&info.description, "What it does, in one sentence for operators");
    policy.policy_string_dup(&info.settings_schema, "{\"type\": \"object\", \"additionalProperties\": false}");
}

/// The gateway hands over {} where the operator set nothing.
export fn exports_plugin_configure(settings: *policy.policy_string_t, why: *policy.policy_string_t) bool {
    if (std.mem.eql(u8, settings.ptr[0..settings.len], "{}")) return true;
    policy.policy_string_dup(why, "there are no settings");
    return false;
}

export fn exports_window_history() u64 {
    return 60 * std.time.ns_per_s;
}

export fn exports_window_measure(batch: *policy.exports_window_batch_t, usages: *policy.exports_window_usages_t) void {
    const ends = batch.ends.ptr[0..batch.ends.len];
    usages.* = .{
        .taken_at = column(ends.len),
        .window_ns = column(ends.len),
        .nanocores = column(ends.len),
        .memory_bytes = column(ends.len),
    };
    var start: usize = 0;
    for (ends, 0..) |end, row| {
        if (usageOf(batch, start, end)) |usage| {
            usages.taken_at.ptr[row] = usage.taken_at;
            usages.window_ns.ptr[row] = usage.window;
            usages.nanocores.ptr[row] = usage.nanocores;
            usages.memory_bytes.ptr[row] = usage.memory;
        }
        start = end;
    }
    policy.exports_window_batch_free(batch);
}

/// Zeros: a row with a window of 0 serves nothing.
fn column(rows: usize) policy.policy_list_u64_t {
    return .{ .ptr = @ptrCast(@alignCast(std.c.calloc(rows, @sizeOf(u64)))), .len = rows };
}

const Usage = struct { taken_at: u64, window: u64, nanocores: u64, memory: u64 };

/// What is served of the samples start..end.
fn usageOf(batch: *const policy.exports_window_batch_t, start: usize, end: usize) ?Usage {
    if (start == end) return null;
    const newest = end - 1;
    var oldest = start;
    while (batch.started_at.ptr[oldest] != batch.started_at.ptr[newest]) oldest += 1;
    const window = batch.taken_at.ptr[newest] - batch.taken_at.ptr[oldest];
    if (window == 0 or batch.cpu_ns.ptr[newest] < batch.cpu_ns.ptr[oldest]) return null;
    const used: f64 = @floatFromInt(batch.cpu_ns.ptr[newest] - batch.cpu_ns.ptr[oldest]);
    const rate = used / @as(f64, @floatFromInt(window)) * 1e9;
    const memory = batch.memory_bytes.ptr[newest];
    if (rate > 1e15 or memory > 1 << 60) return null;
    return .{ .taken_at = batch.taken_at.ptr[newest], .window = window, .nanocores = @intFromFloat(rate), .memory = memory };
}
