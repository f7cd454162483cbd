use std::cell::Cell;

use super::*;

const MEMBER: &[u8] = b"a library";
const MEMBER_SHA256: &str = "31f109ab38348582abdc9e1c9942f74505c719e98c6d0ab6fbcfdccfd8c9935b";

fn wheel() -> Wheel {
    Wheel {
        os: "any",
        arch: "any",
        tag: "any",
        sha256: "unused: the download is replaced",
        member: "onnxruntime/capi/libonnxruntime.so.1",
        member_sha256: MEMBER_SHA256,
        library: "libonnxruntime.so",
    }
}

fn bring(member: &'static [u8]) -> impl Fn(&Wheel, &Path) -> Result<()> {
    move |wheel, folder| {
        let library = folder.join(wheel.member);
        fs::create_dir_all(library.parent().unwrap()).unwrap();
        fs::write(library, member).unwrap();
        for name in NOTICES {
            fs::write(folder.join("onnxruntime").join(name), "terms").unwrap();
        }
        Ok(())
    }
}

fn refuse(_: &Wheel, _: &Path) -> Result<()> {
    Err(Error::new("no network"))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_library_comes_with_its_licence_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (library, how) = provide(&wheel(), folder.path(), bring(MEMBER)).unwrap();
    assert_eq!(fs::read(library).unwrap(), MEMBER);
    assert_eq!(how, "fetched");
    assert_eq!(
        names(folder.path()),
        [
            ".lock",
            "LICENSE",
            "ThirdPartyNotices.txt",
            "libonnxruntime.so"
        ]
    );
}

#[test]
fn a_whole_library_is_used_again_without_downloading() {
    let folder = tempfile::tempdir().unwrap();
    provide(&wheel(), folder.path(), bring(MEMBER)).unwrap();
    provide(&wheel(), folder.path(), refuse).unwrap();
}

#[test]
fn a_damaged_library_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    provide(&wheel(), folder.path(), bring(MEMBER)).unwrap();
    fs::write(folder.path().join("libonnxruntime.so"), b"a librarz").unwrap();
    let calls = Cell::new(0);
    let (library, how) = provide(&wheel(), folder.path(), |wheel, folder| {
        calls.set(calls.get() + 1);
        bring(MEMBER)(wheel, folder)
    })
    .unwrap();
    assert_eq!(calls.get(), 1);
    assert_eq!(fs::read(library).unwrap(), MEMBER);
    assert!(how.contains("fetched again"));
}

#[test]
fn a_missing_licence_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    provide(&wheel(), folder.path(), bring(MEMBER)).unwrap();
    fs::remove_file(folder.path().join("LICENSE")).unwrap();
    provide(&wheel(), folder.path(), bring(MEMBER)).unwrap();
    assert!(folder.path().join("LICENSE").is_file());
}

#[test]
fn a_foreign_library_is_never_put_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let error = provide(&wheel(), folder.path(), bring(b"something else"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!("SHA-256 expected: {MEMBER_SHA256}")),
        "{error}"
    );
    assert!(error.contains("SHA-256 found:    "), "{error}");
    assert_eq!(names(folder.path()), [".lock"]);
}

#[test]
fn a_failed_download_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("libonnxruntime.so"), b"older").unwrap();
    assert_eq!(
        provide(&wheel(), folder.path(), refuse)
            .unwrap_err()
            .to_string(),
        "no network"
    );
    assert_eq!(names(folder.path()), [".lock", "libonnxruntime.so"]);
}

#[test]
fn the_rest_of_an_interrupted_run_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("incoming")).unwrap();
    fs::write(folder.path().join("incoming/half.whl"), b"half").unwrap();
    provide(&wheel(), folder.path(), bring(MEMBER)).unwrap();
    assert!(!folder.path().join("incoming").exists());
}
