use super::Language;

fn told_by(names: &[&str]) -> Result<Language, String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Language::told_by(&names).map_err(|error| error.to_string())
}

#[test]
fn the_files_of_a_plugin_tell_its_language() {
    let check = |names: &[&str], expected| assert_eq!(told_by(names), Ok(expected), "{names:?}");
    check(&["Cargo.toml", "src"], Language::Rust);
    check(&["plugin.c", "settings.c", "settings.h", "plugin.wit"], Language::C);
    check(&["plugin.zig", "plugin.wit", "README.md"], Language::Zig);
    check(&["go.mod", "plugin.go"], Language::Go);
    check(&["package.json", "plugin.ts"], Language::TypeScript);
    check(&["plugin.py"], Language::Python);
}

#[test]
fn a_manifest_says_more_than_the_files_beside_it() {
    assert_eq!(told_by(&["Cargo.toml", "plot.py", "compare.c"]), Ok(Language::Rust));
    assert_eq!(told_by(&["package.json", "make_fixtures.py"]), Ok(Language::TypeScript));
}

#[test]
fn no_language_and_two_languages_are_refused_by_what_lies_there() {
    let error = told_by(&["README.md", "plugin.wit"]).expect_err("it is no plugin");
    assert!(error.contains("Cargo.toml"), "{error}");
    let error = told_by(&["plugin.c", "plugin.zig"]).expect_err("it is two");
    assert!(error.contains("both C and Zig"), "{error}");
}
