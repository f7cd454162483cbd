//! A copy of the tiny bundle with a changed manifest.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

/// Copies `models/tiny` to a folder of its own and edits its manifest.
pub fn tiny(edit: impl FnOnce(&mut Value)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir("models/tiny").unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let manifest = folder.path().join("manifest.json");
    let mut json = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    edit(&mut json);
    fs::write(manifest, serde_json::to_vec(&json).unwrap()).unwrap();
    folder
}
