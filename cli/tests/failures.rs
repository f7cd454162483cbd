//! Whatever goes wrong is one line and an exit code under 100.

mod command;

use std::fs;
use std::process::Stdio;

use command::{answer, bundle, command, copy_of, oneiro};

#[test]
fn a_wrong_path_is_named() {
    for command in ["recommend", "inspect", "verify"] {
        let answer = oneiro(&[command, "no/such/bundle"]);
        assert!(
            answer.error(10).starts_with("no/such/bundle: "),
            "{}",
            answer.stderr
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let answer = oneiro(&["recommend", folder.path().to_str().unwrap()]);
    assert!(answer.error(10).contains("manifest.json"));
}

#[test]
fn a_newer_bundle_asks_for_a_newer_oneiro() {
    let (_keep, folder) = copy_of("tiny");
    let manifest = folder.join("manifest.json");
    let json = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        json.replace("\"requires\": []", "\"requires\": [\"telepathy\"]"),
    )
    .unwrap();
    assert!(
        oneiro(&["inspect", folder.to_str().unwrap()])
            .error(12)
            .contains("telepathy")
    );
}

#[test]
fn a_missing_network_or_attribute_is_named() {
    let tiny = bundle("tiny");
    let recommend = |arguments: &[&str]| oneiro(&[&["recommend", &tiny], arguments].concat());
    assert!(
        recommend(&["--by", "encoder", "--encoder", "bert4rec"])
            .error(3)
            .contains("`bert4rec`")
    );
    assert!(
        recommend(&["--tag", "mood=Gloomy"])
            .error(3)
            .contains("`mood`")
    );
    assert!(
        recommend(&["--tag", "genres=Gloomy"])
            .error(1)
            .contains("`Gloomy`")
    );
    assert!(
        recommend(&["--tag", "year=1999"])
            .error(1)
            .contains("`year`")
    );
}

#[test]
fn a_missing_onnx_runtime_lists_what_was_tried() {
    let tiny = bundle("tiny");
    let mut command = command(&["recommend", &tiny]);
    let answer = answer(&command.env("ORT_DYLIB_PATH", "nowhere").output().unwrap());
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(20), ""));
    assert!(
        answer.stderr.starts_with("error: no usable ONNX Runtime"),
        "{}",
        answer.stderr
    );
    assert!(
        answer.stderr.contains("nowhere: no such file"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    let tiny = bundle("tiny");
    let wrong: [&[&str]; 9] = [
        &[],
        &["recommend"],
        &["dream", &tiny],
        &["recommend", &tiny, "-k", "0"],
        &["recommend", &tiny, "--by", "magic"],
        &["recommend", &tiny, "--threads", "0"],
        &["recommend", &tiny, "--allow-seen", "--exclude-seen"],
        &["recommend", &tiny, "--between", "year=1999..1990"],
        &[
            "recommend",
            &tiny,
            "--by",
            "popularity",
            "--encoder",
            "sasrec",
        ],
    ];
    for arguments in wrong {
        let answer = oneiro(arguments);
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}"
        );
        assert!(!answer.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    for command in ["recommend", "similar", "score", "eval", "inspect", "verify"] {
        assert!(
            oneiro(&[command, "--help"])
                .stdout
                .contains("Examples:\n  oneiro ")
        );
    }
    assert!(oneiro(&["--help"]).stdout.contains("Exit codes:"));
    assert_eq!(
        oneiro(&["--version"]).lines(),
        [concat!("oneiro ", env!("CARGO_PKG_VERSION"))]
    );
}

#[test]
fn a_closed_pipe_is_no_error() {
    let tiny = bundle("tiny");
    let commands: [&[&str]; 4] = [
        &["recommend", &tiny, "--seen", "film-3"],
        &["recommend", &tiny, "--seen", "film-3", "--json"],
        &["inspect", &tiny],
        &["verify", &tiny],
    ];
    for arguments in commands {
        let mut child = command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let answer = answer(&child.wait_with_output().unwrap());
        assert_eq!(answer.code, Some(0), "{}", answer.stderr);
        assert!(!answer.stderr.contains("error"), "{}", answer.stderr);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(&["verify", &bundle("tiny")])
        .stdout(full)
        .output()
        .unwrap();
    assert!(answer(&output).error(10).starts_with("standard output: "));
}
