//! The race's own header of ONNX Runtime's C API (`benches/race/ort.h`) names every function at its place.
#![allow(clippy::unwrap_used, reason = "tests may")]

use std::collections::BTreeMap;
use std::fs;
use std::mem::offset_of;

macro_rules! places {
    ($($function:ident)*) => {
        BTreeMap::from([$((stringify!($function), offset_of!(ort::sys::OrtApi, $function) / size_of::<usize>())),*])
    };
}

#[test]
fn every_function_is_at_its_place_in_the_table() {
    let known = places!(
        GetErrorMessage CreateEnv CreateSession CreateSessionOptions SetSessionGraphOptimizationLevel
        SetIntraOpNumThreads CreateTensorWithDataAsOrtValue CreateCpuMemoryInfo AddSessionConfigEntry RunWithBinding
        CreateIoBinding BindInput BindOutput
    );
    let header = fs::read_to_string("benches/race/ort.h").unwrap();
    let named: BTreeMap<&str, usize> = header
        .lines()
        .filter_map(|line| {
            line.strip_prefix("PLACE(")?
                .strip_suffix(");")?
                .split_once(", ")
        })
        .map(|(function, place)| (function, place.parse().unwrap()))
        .collect();
    assert_eq!(named, known);
    let declared = header.matches(" *(*").count();
    // GetApi and GetVersionString stand in the other table.
    assert_eq!(declared, known.len() + 2);
    let version = format!("#define ORT_API_VERSION {}\n", ort::sys::ORT_API_VERSION);
    assert!(header.contains(&version));
}
