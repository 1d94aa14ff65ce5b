use super::check_name;

#[test]
fn a_name_has_to_serve_as_file_package_and_interface() {
    let longest = "a".repeat(63);
    for name in ["ewma", "skip-sidecars", "p95-window", "a", &longest] {
        assert!(check_name(name).is_ok(), "{name}");
    }
    let too_long = "a".repeat(64);
    for name in ["", "Ewma", "my_plugin", "-a", "a-", "a--b", "9lives", "top-5", "../up", "a b", "größe", &too_long] {
        let error = check_name(name).expect_err(name).to_string();
        assert!(error.contains(&format!("\"{name}\"")), "{error}");
    }
}
