//! Leaves containers out by name, such as the proxies of a service mesh.
//!
//! The module `policy` is made from the contract: C's view of it, in Zig's words. Arguments belong to the function that
//! gets them, results to the host once they are returned: they must have come from malloc.

const std = @import("std");
const policy = @import("policy");

/// What an operator may set.
const Settings = struct {
    /// Names of containers, or patterns of names (*, ?), that are not served.
    containers: []const []const u8 = &.{ "istio-proxy", "linkerd-proxy" },
    /// Names or patterns of the namespaces in which that holds; all where there is none.
    namespaces: []const []const u8 = &.{},
};

const schema =
    \\{"type": "object", "additionalProperties": false, "properties": {
    \\  "containers": {"type": "array", "minItems": 1, "items": {"type": "string"},
    \\    "description": "Names of containers, or patterns of names (*, ?), that are not served."},
    \\  "namespaces": {"type": "array", "items": {"type": "string"},
    \\    "description": "Names or patterns of the namespaces in which that holds; all where there is none."}}}
;

var settings: Settings = .{};

export fn exports_plugin_describe(info: *policy.exports_plugin_info_t) void {
    policy.policy_string_dup(&info.name, "skip-sidecars");
    policy.policy_string_dup(&info.version, "0.1.0");
    policy.policy_string_dup(&info.description, "Leaves out containers by name, such as the proxies of a service mesh");
    policy.policy_string_dup(&info.settings_schema, schema);
}

export fn exports_plugin_configure(text: *policy.policy_string_t, why: *policy.policy_string_t) bool {
    const refusal = take(bytes(text.*)) orelse return true;
    policy.policy_string_dup_n(why, refusal.ptr, refusal.len);
    return false;
}

/// Takes the settings. Returns why they are refused, if they are.
fn take(text: []const u8) ?[]const u8 {
    const allocator = std.heap.c_allocator;
    var place: std.json.Diagnostics = .{};
    var json = std.json.Scanner.initCompleteInput(allocator, text);
    json.enableDiagnostics(&place);
    settings = std.json.parseFromTokenSourceLeaky(Settings, allocator, &json, .{}) catch |err| switch (err) {
        error.UnknownField => return unknown(lastText(text[0..@intCast(place.getByteOffset())])),
        else => return wanted,
    };
    if (settings.containers.len == 0) return "\"containers\" is empty: name at least one container";
    for ([_][]const []const u8{ settings.containers, settings.namespaces }) |patterns| {
        for (patterns) |pattern| {
            if (pattern.len == 0 or pattern.len > 253) return wanted;
        }
    }
    return null;
}

const wanted =
    \\"containers" and "namespaces" must be lists of names or patterns, such as ["istio-proxy", "linkerd-*"]
;

fn unknown(name: []const u8) []const u8 {
    const parts = [_][]const u8{ "unknown field `", name, "`, expected `containers` or `namespaces`" };
    return std.mem.concat(std.heap.c_allocator, u8, &parts) catch wanted;
}

/// What stands between the last two quotes.
fn lastText(text: []const u8) []const u8 {
    const end = std.mem.lastIndexOfScalar(u8, text, '"') orelse return "";
    const start = std.mem.lastIndexOfScalar(u8, text[0..end], '"') orelse return "";
    return text[start + 1 .. end];
}

export fn exports_filter_classify(pods: *policy.exports_filter_list_pod_t, verdicts: *policy.policy_list_u8_t) void {
    var count: usize = 0;
    for (pods.ptr[0..pods.len]) |pod| count += pod.containers.len;
    verdicts.ptr = @ptrCast(std.c.malloc(count));
    verdicts.len = 0;
    for (pods.ptr[0..pods.len]) |pod| {
        for (pod.containers.ptr[0..pod.containers.len]) |container| {
            verdicts.ptr[verdicts.len] = @intFromEnum(verdict(bytes(pod.namespace_), bytes(container)));
            verdicts.len += 1;
        }
    }
    policy.exports_filter_list_pod_free(pods);
}

const Verdict = enum(u8) { keep = 0, drop = 1 };

fn verdict(namespace: []const u8, container: []const u8) Verdict {
    const is_meant = settings.namespaces.len == 0 or isOneOf(namespace, settings.namespaces);
    return if (is_meant and isOneOf(container, settings.containers)) .drop else .keep;
}

fn bytes(text: policy.policy_string_t) []const u8 {
    return text.ptr[0..text.len];
}

fn isOneOf(name: []const u8, patterns: []const []const u8) bool {
    for (patterns) |pattern| {
        if (matches(pattern, name)) return true;
    }
    return false;
}

/// Whether all of a name is what a pattern says: * stands for any characters, ? for one.
fn matches(pattern: []const u8, name: []const u8) bool {
    var at: usize = 0;
    var reached: usize = 0;
    var after_star: usize = 0;
    var taken: usize = 0;
    while (reached < name.len) {
        if (at < pattern.len and pattern[at] == '*') {
            at += 1;
            after_star = at;
            taken = reached;
        } else if (at < pattern.len and (pattern[at] == '?' or pattern[at] == name[reached])) {
            at += 1;
            reached += 1;
        } else if (after_star > 0) {
            // What follows the latest star does not fit here: the star takes one character more.
            taken += 1;
            at = after_star;
            reached = taken;
        } else return false;
    }
    return std.mem.allEqual(u8, pattern[at..], '*');
}
