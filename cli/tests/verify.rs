//! `oneiro verify`: sound bundles pass, damaged ones do not, and it can be stopped.

mod command;

use std::fs;

use command::{bundle, copy_of, oneiro};
use serde_json::json;

#[test]
fn shipped_bundles_are_sound() {
    for name in ["tiny", "demo"] {
        let answer = oneiro(&["verify", &bundle(name)]);
        let lines = answer.lines();
        assert!(
            lines[0].starts_with("OK: ") && lines[0].ends_with(" bytes"),
            "{}",
            lines[0]
        );
        assert_eq!((lines.len(), answer.stderr.as_str()), (1, ""));
    }
    let report = oneiro(&["verify", &bundle("tiny"), "--json"]).json();
    assert_eq!(
        (&report["ok"], &report["parts"]),
        (&json!(true), &json!(17))
    );
    assert!(report["bytes"].is_u64());
}

#[test]
fn a_half_copied_part_is_named() {
    let (_keep, folder) = copy_of("tiny");
    let part = folder.join("items.safetensors");
    let bytes = fs::read(&part).unwrap();
    fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
    let folder = folder.to_str().unwrap();
    for command in ["verify", "inspect", "recommend"] {
        let answer = oneiro(&[command, folder]);
        assert_eq!(
            answer.error(11),
            "part `items`: expected 2864 bytes in `items.safetensors`, found 1432 bytes"
        );
    }
}

#[test]
fn a_flipped_bit_is_found_by_verify() {
    let (_keep, folder) = copy_of("tiny");
    let part = folder.join("encoder.weights");
    let mut bytes = fs::read(&part).unwrap();
    bytes[1000] ^= 1;
    fs::write(&part, bytes).unwrap();
    let folder = folder.to_str().unwrap();
    let answer = oneiro(&["verify", folder]);
    assert!(
        answer
            .error(11)
            .starts_with("part `encoder.weights`: expected SHA-256 ")
    );

    let answer = oneiro(&["verify", folder, "--json"]);
    assert_eq!(answer.code, Some(11));
    let report: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(
        (&report["ok"], &report["code"]),
        (&json!(false), &json!(11))
    );
    assert!(
        report["error"]
            .as_str()
            .unwrap()
            .contains("encoder.weights")
    );
}

/// A part of gigabytes, nearly none of which is on the disk, gives the time to press Ctrl-C.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_stops_it() {
    use std::process::{Command, Stdio};
    use std::thread::sleep;
    use std::time::Duration;

    let (_keep, folder) = copy_of("tiny");
    let bytes = 8u64 << 30;
    fs::File::create(folder.join("a.large"))
        .unwrap()
        .set_len(bytes)
        .unwrap();
    let manifest = folder.join("manifest.json");
    let mut json: serde_json::Value =
        serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    json["parts"]["a.large"] =
        json!({ "file": "a.large", "bytes": bytes, "sha256": "0".repeat(64) });
    fs::write(&manifest, json.to_string()).unwrap();

    let child = command::command(&["verify", folder.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let is_handled = || {
        let status = fs::read_to_string(&status).unwrap();
        let caught = status
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .unwrap_or("0");
        u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0
    };
    while !is_handled() {
        sleep(Duration::from_millis(5));
    }
    sleep(Duration::from_millis(50));
    assert!(
        Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    let answer = command::answer(&child.wait_with_output().unwrap());
    assert_eq!(answer.error(30), "cancelled");
}
