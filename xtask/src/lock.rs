use std::fs::File;
use std::path::Path;

use crate::error::{Result, While};

/// Waits until no other run holds the lock; it is given back when the file is dropped, or the process ends.
pub fn hold(path: &Path) -> Result<File> {
    let taking = || format!("take the lock {}", path.display());
    let file = File::create(path).while_doing(taking)?;
    file.lock().while_doing(taking)?;
    Ok(file)
}
