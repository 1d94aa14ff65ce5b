//! Says where a node's kubelet is asked. This one dials the internal DNS names of the node.
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

export fn exports_address_candidates(node: *policy.exports_address_node_t, choice: *policy.exports_address_choice_t) void {
    defer policy.exports_address_node_free(node);
    const most = 16;
    const candidates: [*]policy.exports_address_candidate_t =
        @ptrCast(@alignCast(std.c.calloc(most, @sizeOf(policy.exports_address_candidate_t)) orelse return));
    var count: usize = 0;
    for (node.addresses.ptr[0..node.addresses.len]) |address| {
        if (count < most and isWanted(address)) {
            policy.policy_string_dup_n(&candidates[count].host, address.address.ptr, address.address.len);
            count += 1;
        }
    }
    if (count == 0) {
        choice.tag = policy.EXPORTS_ADDRESS_CHOICE_PASS;
        return;
    }
    choice.tag = policy.EXPORTS_ADDRESS_CHOICE_DIAL;
    choice.val.dial = .{ .ptr = candidates, .len = count };
}

fn isWanted(address: policy.types_node_address_t) bool {
    const kind = address.kind.ptr[0..address.kind.len];
    return std.mem.eql(u8, kind, "InternalDNS") and address.address.len >= 1 and address.address.len <= 253;
}
