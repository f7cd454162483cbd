use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result, While};

/// The SHA-256 of a file, as 64 hex digits.
pub fn of_file(path: &Path) -> Result<String> {
    let reading = || format!("read {}", path.display());
    let mut file = File::open(path).while_doing(reading)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).while_doing(reading)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// An error that shows both digests, unless the file has the expected one.
pub fn expect(path: &Path, expected: &str) -> Result<()> {
    let found = of_file(path)?;
    if found == expected {
        return Ok(());
    }
    Err(Error::new(format!(
        "{} is damaged or not the published file\n  SHA-256 expected: {expected}\n  SHA-256 found:    {found}",
        path.file_name().unwrap_or_default().display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_digest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_file(&path).unwrap(), expected);
    }
}
