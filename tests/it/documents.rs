//! What documents say exists, exists; what lies among the fixtures is used.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use metrics_gateway::args::{self, Invocation, UsageError};
use metrics_gateway::config::check::check;
use metrics_gateway::config::file::RawConfig;
use metrics_gateway::doctor::cause::Cause;
use metrics_gateway::telemetry::Metrics;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository").to_owned()
}

/// All files below a directory of the repository that `wanted` picks.
fn files(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("a directory can be read to its end").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(files(&path, wanted));
        } else if path.is_file() && wanted(&path) {
            found.push(path);
        }
    }
    found
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|own| own == extension)
}

#[test]
fn every_fixture_is_used_by_a_test() {
    let sources: Vec<String> = files(&root(), &|path| has_extension(path, "rs"))
        .iter()
        .map(|path| fs::read_to_string(path).expect("sources are text"))
        .collect();
    let fixtures = files(&root().join("tests/fixtures"), &|path| !has_extension(path, "md"));
    assert!(fixtures.len() > 20, "{fixtures:?}");
    let unused: Vec<&PathBuf> = fixtures
        .iter()
        .filter(|fixture| {
            let name = fixture.file_name().unwrap_or_default().to_string_lossy();
            // By its path, or by its name alone where a test has the path in one place; a guest by its name without `.wat`. Of
            // what is there once for every hook or scenario, tests name the directory.
            let directory = fixture.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
            let ways = match &*directory {
                "guests" => vec![format!("\"{}\"", name.trim_end_matches(".wat"))],
                "plots" | "plugins" => vec![format!("fixtures/{directory}")],
                _ => vec![format!("/{name}\""), format!("\"{name}\"")],
            };
            !sources.iter().any(|source| ways.iter().any(|way| source.contains(way)))
        })
        .collect();
    assert!(unused.is_empty(), "{unused:#?}");
}

/// Everything that people read, with its name.
fn documents() -> Vec<(String, String)> {
    let is_document = |path: &Path| has_extension(path, "md") || has_extension(path, "yaml");
    let name = |path: &Path| path.strip_prefix(root()).unwrap_or(path).display().to_string();
    let text = |path: &Path| fs::read_to_string(path).expect("documents are text");
    files(&root(), &is_document).iter().map(|path| (name(path), text(path))).collect()
}

/// What stands between backticks on one line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The sections of gateway.toml with their keys, as it names them itself to whoever writes none of them.
fn keys() -> Vec<(&'static str, Vec<String>)> {
    let known = |section: &&'static str| {
        let (_, problems) = RawConfig::read("nothing", &format!("[{section}]\nno_key_is_called_like_this = 1\n"));
        let text = problems.first().map(ToString::to_string).unwrap_or_default();
        let (_, names) = text.split_once("known are ").unwrap_or_else(|| panic!("no keys are named in {text:?}"));
        (*section, names.split(", ").map(|name| name.trim_matches('"').to_owned()).collect())
    };
    SECTIONS.iter().map(known).collect()
}

/// The page that shows gateway.toml whole.
const CONFIGURATION: &str = "docs/configuration.md";

const SECTIONS: [&str; 5] = ["scrape", "history", "api", "serving", "plugin_engine"];

#[test]
fn the_configuration_page_shows_every_key_of_gateway_toml_with_its_default() {
    let page = fs::read_to_string(root().join(CONFIGURATION)).expect("it is there");
    let (_, after) = page.split_once("```toml\n").expect("it shows a file");
    let (file, _) = after.split_once("```").expect("and its end");
    let (raw, problems) = RawConfig::read(CONFIGURATION, file);
    assert!(problems.is_empty(), "{problems:?}");
    for (section, keys) in keys() {
        let (_, of_section) = file.split_once(&format!("[{section}]\n")).unwrap_or_else(|| panic!("no [{section}]"));
        let of_section = of_section.split("\n[").next().unwrap_or_default();
        let shown: Vec<&str> = of_section.lines().filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
        assert!(keys.iter().all(|key| shown.contains(&&**key)), "[{section}] has {keys:?}, and {shown:?} are shown");
    }
    // The manifests' resolution, of which one default is a multiple.
    let Ok(Invocation::Run(args)) = args::parse(["--metric-resolution=15s".into()]) else { panic!("it can be parsed") };
    let config = |raw: &RawConfig| format!("{:#?}", check(raw, &args).expect("nothing is wrong with it").config);
    assert_eq!(config(&raw), config(&RawConfig::default()), "what is shown are the defaults");
}

/// The text of its fenced pieces of TOML.
fn shown_files() -> Vec<String> {
    let page = fs::read_to_string(root().join(CONFIGURATION)).expect("it is there");
    page.split("```toml\n").skip(1).map(|after| after.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_configuration_page_shows_every_key_of_plugins_and_policies() {
    let file = shown_files().into_iter().nth(1).expect("a second file is shown");
    let (raw, problems) = RawConfig::read(CONFIGURATION, &file);
    assert!(problems.is_empty(), "{problems:?}");
    let Ok(Invocation::Run(args)) = args::parse(["--metric-resolution=15s".into()]) else { panic!("it can be parsed") };
    let checked = check(&raw, &args).unwrap_or_else(|problems| panic!("{problems:?}"));
    // A tag may be moved, which is what the warning says.
    assert!(checked.warnings.is_empty(), "{:?}", checked.warnings);
    let places = [
        "plugins.x = { K = 1, source = 'x' }",
        "plugins.x = { source = 'x', limits = { K = 1 } }",
        "plugins.x = { source = 'x', reuse = { K = 1 } }",
        "node_pool = [{ K = 1, name = 'x' }]",
        "node_pool = [{ name = 'x', address = { K = 1, plugin = 'x' } }]",
        "tenant = [{ K = 1, name = 'x' }]",
        "tenant = [{ name = 'x', filter = [{ K = 1, plugin = 'x' }] }]",
        "tenant = [{ name = 'x', window = { K = 1, plugin = 'x' } }]",
        "default = { K = 1 }",
    ];
    for place in places {
        let (_, problems) = RawConfig::read("nothing", &place.replace("K ", "no_key_is_called_like_this "));
        let text = problems.first().map(ToString::to_string).unwrap_or_default();
        let (_, names) = text.split_once("known are ").unwrap_or_else(|| panic!("no keys are named in {text:?}"));
        for name in names.split(", ").map(|name| name.trim_matches('"')) {
            let is_shown = file.contains(&format!("{name} = ")) || file.contains(&format!(".{name}]"));
            assert!(is_shown, "{name:?}, which {place:?} may have, is not shown");
        }
    }
}

#[test]
fn documents_name_only_keys_and_values_that_gateway_toml_has() {
    let mut checked = 0;
    for (name, text) in documents() {
        for quote in quoted(&text) {
            let (key, value) = quote.split_once(" = ").unwrap_or((quote, ""));
            let is_key = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let Some((section, leaf)) = key.split_once('.') else { continue };
            if !SECTIONS.contains(&section) || !is_key(leaf) || leaf == "rs" {
                continue;
            }
            // Without a value, one that no key takes: then the problem is the value's, unless there is no such key.
            let line = if value.is_empty() { format!("{key} = {{}}") } else { quote.to_owned() };
            let (_, problems) = RawConfig::read("document", &line);
            let faults: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let is_wrong = |fault: &String| !value.is_empty() || fault.contains("unknown key");
            assert!(!faults.iter().any(is_wrong), "{name} says `{quote}`: {faults:?}");
            checked += 1;
        }
    }
    assert!(checked >= 6, "{checked} keys are named");
}

#[test]
fn documents_name_only_flags_that_there_are() {
    let mut checked = 0;
    for (name, text) in documents() {
        // Other programs have flags as well; ours are told apart by the documents that speak of nothing else.
        let is_ours = !["tests", "sdk", "plugins", "deploy/chart"].iter().any(|directory| name.starts_with(directory))
            && ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "deployment.yaml"]
                .iter()
                .any(|ours| name.ends_with(ours));
        for word in text.split(|c: char| c.is_whitespace() || "`,;()|".contains(c)).filter(|_| is_ours) {
            let Some(flag) = word.strip_prefix("--").filter(|flag| flag.starts_with(|c: char| c.is_ascii_lowercase()))
            else {
                continue;
            };
            let flag = flag.split('=').next().unwrap_or_default().trim_end_matches(['.', ':', '*']);
            let parsed = args::parse([OsString::from(format!("--{flag}=x"))]);
            let is_known = !matches!(parsed, Err(UsageError::UnknownFlag(_)));
            // `--requestheader-*` stands for all that begin so; demo, bench, commands, kubectl, helm and docker have
            // arguments of their own.
            let is_of_make = ["once", "server"].contains(&flag);
            let is_of_commands = ["no-plugins", "namespace-labels", "containers"].contains(&flag);
            let is_of_others = ["input", "namespace", "reuse-values", "set", "timeout"].contains(&flag);
            let is_others = is_of_make || is_of_commands || is_of_others;
            assert!(is_known || flag.ends_with('-') || is_others, "{name} names --{flag}");
            checked += 1;
        }
    }
    assert!(checked >= 5, "{checked} flags are named");
}

/// Tables that the code has are in the documents as the code has them; `UPDATE_DOCUMENTS=1` writes them anew.
fn assert_table(page: &str, heading: &str, made: &str) {
    let path = root().join(page);
    let text = fs::read_to_string(&path).expect("it is there");
    let (before, table) = text.split_once(heading).unwrap_or_else(|| panic!("{page} has no table {heading:?}"));
    let (_, after) = table.split_once("\n\n").unwrap_or_default();
    let expected = format!("{before}{made}\n{after}").trim_end().to_owned() + "\n";
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        fs::write(&path, &expected).expect("it can be written");
    }
    assert_eq!(text, expected, "UPDATE_DOCUMENTS=1 writes {page} anew");
}

#[test]
fn the_table_of_metrics_is_that_of_the_code() {
    assert_table("docs/metrics.md", "| name |", &metrics_table());
}

#[test]
fn the_table_of_causes_is_that_of_the_code() {
    let mut table = "| cause | what it means | how it is mended |\n|---|---|---|\n".to_owned();
    for cause in Cause::ALL {
        table.push_str(&format!("| `{}` | {} | {} |\n", cause.word(), cause.meaning(), cause.mend()));
    }
    assert_table("docs/troubleshoot.md", "| cause | what it means | how", &table);
}

/// What the page says `like-this` in its table of failed discoveries, and elsewhere, is a cause.
#[test]
fn every_cause_that_the_symptoms_name_is_one() {
    let page = fs::read_to_string(root().join("docs/troubleshoot.md")).expect("it is there");
    let (symptoms, _) = page.split_once("\n## By alert").expect("it has parts");
    let is_one = |word: &str| Cause::ALL.iter().any(|cause| cause.word() == word);
    let prefixes = ["node-", "discovery-", "metrics-", "rbac-", "api-service-"];
    let named: Vec<&str> = quoted(symptoms)
        .filter(|word| prefixes.iter().any(|prefix| word.starts_with(prefix)) && !word.contains(' '))
        .filter(|word| !["metrics-gateway", "metrics-server"].contains(word))
        .collect();
    assert!(named.len() >= 15, "{named:?}");
    let invented: Vec<&&str> = named.iter().filter(|word| !is_one(word)).collect();
    assert!(invented.is_empty(), "{invented:?}");
}

#[test]
fn every_alert_leads_to_what_to_do_about_it() {
    let rules = fs::read_to_string(root().join("deploy/chart/files/rules.yaml")).expect("it is there");
    let runbooks: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).collect();
    assert_eq!(runbooks.len(), rules.matches("- alert: ").count(), "{runbooks:?}");
    for runbook in runbooks {
        let (page, anchor) = runbook.trim_matches('"').split_once('#').unwrap_or((runbook, ""));
        let text = fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{runbook}: {error}"));
        assert!(anchors(&text).any(|known| known == anchor), "{runbook} leads nowhere");
    }
}

fn metrics_table() -> String {
    let mut table = "| name | type | labels | what it says |\n|---|---|---|---|\n".to_owned();
    for family in Metrics::new(Duration::from_secs(15)).families() {
        let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let help = family.help.replace('|', "\\|");
        table.push_str(&format!("| `{}` | {} | {} | {help} |\n", family.name, family.kind, labels.join(", ")));
    }
    table
}

/// What the end-to-end suite runs is marked `sh`; what needs another machine says so, and is at least a shell's language.
#[test]
fn every_command_in_the_documents_is_run_or_says_that_it_is_not() {
    let pages = files(&root().join("docs"), &|path| has_extension(path, "md"));
    assert!(pages.len() >= 8, "{pages:?}");
    for page in pages {
        let text = fs::read_to_string(&page).expect("documents are text");
        for block in text.split("\n```").skip(1).step_by(2) {
            let (kind, code) = block.split_once('\n').expect("a fence ends its line");
            let known = ["sh", "sh by-hand", "sh demo", "toml", "yaml", "text", "json"];
            assert!(known.contains(&kind), "{}: a block of {kind:?}", page.display());
            if kind.starts_with("sh") {
                let checked = Command::new("bash").args(["-n", "-c", code]).output().expect("bash is there");
                assert!(checked.status.success(), "{}: {code}\n{checked:?}", page.display());
            }
        }
    }
}

/// Where a page leads, something is.
#[test]
fn links_between_documents_lead_somewhere() {
    let mut checked = 0;
    for page in files(&root(), &|path| has_extension(path, "md")) {
        let text = fs::read_to_string(&page).expect("documents are text");
        for link in text.split("](").skip(1).filter_map(|after| after.split(')').next()) {
            if link.contains("://") || link.is_empty() || link.contains(char::is_whitespace) {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().expect("it lies somewhere").join(file) };
            assert!(target.exists(), "{} leads to {link}, where nothing is", page.display());
            if !anchor.is_empty() {
                let aimed = fs::read_to_string(&target).expect("documents are text");
                assert!(anchors(&aimed).any(|known| known == anchor), "{} leads to {link}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "{checked} links");
}

/// What the headings of a page can be called by.
fn anchors(page: &str) -> impl Iterator<Item = String> {
    let of_heading = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    page.lines().filter(|line| line.starts_with('#')).map(move |line| of_heading(line.trim_start_matches('#').trim()))
}
