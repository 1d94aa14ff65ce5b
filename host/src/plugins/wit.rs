//! The contract of `sdk/wit/policy.wit` as Rust types, made by wasmtime's macro.
//!
//! One world with every interface in it: a plugin exports some of them, and each is looked up by itself.

wasmtime::component::bindgen!({
    path: "../sdk/wit",
    inline: "
        package metrics-gateway:host;
        world every {
            include metrics-gateway:policy/address-policy@1.0.0;
            include metrics-gateway:policy/value-filter-policy@1.0.0;
            include metrics-gateway:policy/window-policy@1.0.0;
        }
    ",
    world: "metrics-gateway:host/every",
});
