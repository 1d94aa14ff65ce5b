use std::path::PathBuf;

use super::{CONTRACT, Declaration, in_go, put};
use crate::authoring::build::tests::Directory;

fn declaration(world: &str) -> Result<Declaration, String> {
    let text = format!("package example:skip-sidecars;\nworld policy {{ {world} }}\n");
    Declaration::parse(text).map_err(|error| format!("{error:#}"))
}

fn filter() -> Declaration {
    declaration("include metrics-gateway:policy/filter-policy@1.0.0;").expect("it is a declaration")
}

fn names(mut paths: Vec<PathBuf>) -> Vec<String> {
    paths.sort();
    let name = |path: PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    paths.into_iter().map(name).collect()
}

#[test]
fn a_declaration_names_the_plugin_and_its_world() {
    let filter = filter();
    assert_eq!((&*filter.name, &*filter.world), ("skip-sidecars", "policy"));
}

#[test]
fn a_world_that_answers_nothing_or_asks_for_another_contract_is_refused() {
    let error = declaration("").err().expect("it answers nothing");
    assert!(error.contains("answers no hook"), "{error}");
    let error = declaration("include metrics-gateway:policy/filter-policy@1.9.0;").err().expect("there is none");
    assert!(error.contains("1.9.0"), "{error}");
    let error = declaration("include metrics-gateway:policy/colour-policy@1.0.0;").err().expect("there is none");
    assert!(error.contains("colour-policy"), "{error}");
}

#[test]
fn in_c_functions_go_by_the_name_of_their_interface() {
    let directory = Directory::new("header");
    let files = filter().write_c(directory.path()).expect("it can be put into C");
    assert_eq!(names(files), ["policy.c", "policy_component_type.o"]);
    let header = std::fs::read_to_string(directory.path().join("policy.h")).expect("there is a header");
    let classify = "void exports_filter_classify(exports_filter_list_pod_t *pods, policy_list_u8_t *ret);";
    assert!(header.contains(classify), "{header}");
    assert!(header.contains("void log_log("), "{header}");
}

#[test]
fn in_go_generated_code_calls_the_functions_of_the_plugin() {
    let directory = Directory::new("go");
    let both =
        "include metrics-gateway:policy/filter-policy@1.0.0; include metrics-gateway:policy/window-policy@1.0.0;";
    let declaration = declaration(both).expect("a plugin may answer two hooks");
    declaration.write_go(directory.path(), "example/mine").expect("it can be put into Go");
    let read = |path: &str| std::fs::read_to_string(directory.path().join(path)).expect("it was written");
    let window = read("export_metrics_gateway_policy_window/plugin.go");
    assert!(window.contains("import plugin \"example/mine\""), "{window}");
    assert!(window.contains("History = plugin.History") && window.contains("Measure = plugin.Measure"), "{window}");
    let main = read("wit_exports.go");
    assert!(main.contains("export_metrics_gateway_policy_filter.Classify("), "{main}");
    assert_eq!(in_go("filter-by-value"), "FilterByValue");
}

#[test]
fn a_file_that_says_the_same_is_not_written_again() {
    let directory = Directory::new("put");
    let path = directory.path().join("a/b.txt");
    put(&path, b"one").expect("it can be written");
    let written_at = || std::fs::metadata(&path).and_then(|file| file.modified()).expect("files have times");
    let old = std::time::SystemTime::UNIX_EPOCH;
    std::fs::File::options().write(true).open(&path).and_then(|file| file.set_modified(old)).expect("times can be set");
    put(&path, b"one").expect("there is nothing to do");
    assert_eq!(written_at(), old);
    put(&path, b"two").expect("it can be written");
    assert_ne!(written_at(), old);
}

/// `kubelet-port` in JavaScript: `kubeletPort`.
fn in_javascript(name: &str) -> String {
    let pascal = in_go(name);
    pascal[..1].to_lowercase() + &pascal[1..]
}

#[test]
fn the_types_of_typescript_have_every_field_and_function_of_the_contract() {
    use wit_bindgen_core::wit_parser::{Resolve, TypeDefKind};

    let types = include_str!("../../../../../sdk/languages/typescript/policy.d.ts");
    let mut resolve = Resolve::default();
    resolve.push_str("policy.wit", CONTRACT).expect("it is WIT");
    let records = resolve.types.iter().filter_map(|(_, of)| Some((of.name.as_deref()?, &of.kind)));
    for (name, kind) in records {
        let (interface, words): (bool, Vec<String>) = match kind {
            TypeDefKind::Record(record) => {
                (true, record.fields.iter().map(|field| format!("{}: ", in_javascript(&field.name))).collect())
            }
            TypeDefKind::Variant(variant) => {
                (false, variant.cases.iter().map(|case| format!("tag: \"{}\"", case.name)).collect())
            }
            _ => continue,
        };
        let begins =
            if interface { format!("interface {} {{", in_go(name)) } else { format!("type {} =", in_go(name)) };
        let (_, rest) = types.split_once(&begins).unwrap_or_else(|| panic!("there is no {begins}"));
        let (body, _) = rest.split_once(if interface { "}" } else { ";\n" }).expect("it ends");
        for word in words {
            assert!(body.contains(&word), "{begins} lacks {word}");
        }
    }
    for (_, interface) in &resolve.interfaces {
        for function in interface.functions.keys().filter(|name| *name != "log") {
            assert!(types.contains(&format!("{}(", in_javascript(function))), "there is no {function}");
        }
    }
}
