//! The loader as a service sees it: text and variables in, settings or every mistake out.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use super::*;
use crate::secret::Secret;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Sample {
    log: LogSettings,
    http: HttpSettings,
    runtime: RuntimeSettings,
    shutdown: ShutdownSettings,
    sink: Sink,
    labels: BTreeMap<String, String>,
    tables: Vec<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Sink {
    topic: String,
    linger_ms: u16,
    password: Secret,
    note: Option<String>,
}

impl Default for Sink {
    fn default() -> Self {
        Self { topic: "twins".to_owned(), linger_ms: 5, password: Secret::default(), note: None }
    }
}

impl Settings for Sample {
    fn base(&self) -> Base<'_> {
        Base { log: &self.log, http: &self.http, runtime: &self.runtime, shutdown: &self.shutdown }
    }

    fn problems(&self) -> Vec<Problem> {
        [
            check::non_zero("sink.linger_ms", &self.sink.linger_ms),
            check::not_empty("sink.topic", &self.sink.topic, "name it"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn load_sample(text: &str, env: &[(&str, &str)]) -> Result<Sample, Vec<String>> {
    let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    load_text::<Sample>(Ok(text.to_owned()), env)
        .map_err(|errors| errors.problems.iter().map(ToString::to_string).collect())
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(load_sample("", &[]), Ok(Sample::default()));
    assert_eq!(load_sample("# only a comment\nsink:\n", &[]), Ok(Sample::default()));
}

#[test]
fn the_file_replaces_defaults_and_variables_replace_both() {
    let text = "sink:\n  topic: 007\n  linger_ms: 7\nlabels: {site: a}\ntables: [x, y]\n";
    let env = [
        ("TWINROUTE__SINK__LINGER_MS", "9"),
        ("TWINROUTE__sink__NOTE", "12 # not a comment"),
        ("TWINROUTE__LABELS__ZONE", "3"),
        ("TWINROUTE__TABLES", "[z]"),
        ("TWINROUTE__SINK__PASSWORD", "{odd: 1}"),
        ("TWINROUTE__HTTP", "{listen: '127.0.0.1:1', connections_max: 3}"),
        ("TWINROUTE_SECRET_KEY", "belongs to somebody else"),
    ];
    let sample = load_sample(text, &env).unwrap();
    assert_eq!(sample.sink.topic, "007", "a text keeps what is written");
    assert_eq!(sample.sink.linger_ms, 9);
    assert_eq!(sample.sink.note.as_deref(), Some("12 # not a comment"));
    assert_eq!(sample.labels, BTreeMap::from([("site".into(), "a".into()), ("zone".into(), "3".into())]));
    assert_eq!(sample.tables, ["z"]);
    assert_eq!(sample.http.connections_max, 3);
    assert_eq!(sample.sink.password, Secret::Value("{odd: 1}".into()));
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text =
        "sink:\n  linger_ms: many\n  tpoic: x\nlog: loud\nhttp:\n  listen: nowhere\n  connections_max: 0\n";
    let env = [("TWINROUTE__RUNTIME__WORKERS", "1"), ("TWINROUTE__SINK__TOPIC", "")];
    assert_eq!(
        load_sample(text, &env).unwrap_err(),
        [
            "sink.tpoic: line 3: no such key; did you mean sink.topic?",
            "log: line 4: a section with the keys format, level is expected",
            "runtime.workers: TWINROUTE__RUNTIME__WORKERS: no such key; known here: worker_threads",
            "sink.linger_ms: line 2: expected u16, found another text; the default is 5",
            "http.listen: line 6: invalid socket address syntax; the default is \"127.0.0.1:0\"",
            "http.connections_max: line 7: 0 is outside 1 to 10000",
            "sink.topic: TWINROUTE__SINK__TOPIC: is empty; name it",
        ]
    );
}

#[test]
fn a_number_out_of_range_says_so() {
    let mistakes = load_sample("", &[("TWINROUTE__SINK__LINGER_MS", "70000")]).unwrap_err();
    assert_eq!(
        mistakes,
        [
            "sink.linger_ms: TWINROUTE__SINK__LINGER_MS: invalid value: integer `70000`, expected u16; the default is 5"
        ]
    );
}

#[test]
fn broken_yaml_names_its_line_and_hides_its_text() {
    let mistakes = load_sample("sink:\n  topic: x\n  password: 'hunter2\n", &[]).unwrap_err();
    let [mistake] = mistakes.as_slice() else { unreachable!("one mistake: {mistakes:?}") };
    assert!(mistake.starts_with("the file: line "), "{mistake}");
    assert!(!mistake.contains("hunter2"), "{mistake}");
}

#[test]
fn a_key_given_twice_is_a_mistake() {
    let mistakes = load_sample("sink:\n  topic: x\n  topic: y\n", &[]).unwrap_err();
    assert!(mistakes.concat().contains("line 3"), "{mistakes:?}");
}

#[test]
fn a_secret_is_never_told() {
    let text = "sink:\n  password: hunter2\n  linger_ms: hunter2\n";
    let mistakes = load_sample(text, &[("TWINROUTE__HTTP__LISTEN", "hunter2")]).unwrap_err();
    assert_eq!(mistakes.len(), 2);
    assert!(!mistakes.concat().contains("hunter2"), "{mistakes:?}");
    let sample = load_sample("sink: {password: hunter2}", &[]).unwrap();
    assert!(!format!("{sample:?} {}", serde_json::to_string(&sample).unwrap()).contains("hunter2"));
}

#[test]
fn a_missing_file_is_named_with_a_remedy() {
    let errors = load::<Sample>(Some(Path::new("/does/not/exist.yaml")), []).unwrap_err();
    let text = errors.to_string();
    assert!(
        text.starts_with("1 mistake in the configuration:\n  /does/not/exist.yaml: cannot be read"),
        "{text}"
    );
    assert!(text.contains("--config"), "{text}");
}

#[test]
fn an_example_is_held_against_the_defaults() {
    let told = |text: &str| check_example(text, &Sample::default());
    let good = "# Logging.\nlog:\n  format: text # for people\n  # A level.\n  level: info\n";
    let problems = told(good);
    assert!(problems.iter().all(|problem| problem.message.starts_with("is missing")), "{problems:?}");
    assert!(problems.iter().any(|problem| problem.key == "sink"));
    let problems = told("log:\n  format: json # changed\n  color: true # unknown\n");
    let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert!(
        keys.contains(&"log.format") && keys.contains(&"log.color") && keys.contains(&"log"),
        "{problems:?}"
    );
}
