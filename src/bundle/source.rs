//! Where a bundle's parts come from, and the bytes themselves: mapped, copied, or lent by the host.
//!
//! A part is opened once, without following links; its length is checked and its bytes are mapped through that
//! same descriptor, so nothing can be swapped between the check and the use.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};

use crate::error::{Error, Result};

/// Where a bundle lies: a folder, or a set of named files that the host hands over one by one.
///
/// ```no_run
/// # use std::fs::File;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let folder = oneiro::Parts::folder("models/demo");
///
/// let mut parts = oneiro::Parts::new();
/// parts.bytes("manifest.json", include_bytes!("../../models/tiny/manifest.json"))?;
/// parts.range("items.safetensors", File::open("app.apk")?, 8192, 1096)?;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Parts {
    folder: Option<PathBuf>,
    files: BTreeMap<String, Lent>,
    copied: bool,
}

enum Lent {
    Range {
        file: File,
        offset: u64,
        length: u64,
    },
    Bytes(HostBytes),
}

/// What every number type of a part can be read at.
const ALIGNMENT: u64 = 8;

type HostBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Range { offset, length, .. } => write!(f, "{length} bytes from {offset}"),
            Self::Bytes(bytes) => write!(f, "{} bytes lent", bytes.as_ref().as_ref().len()),
        }
    }
}

impl Parts {
    /// The files of a folder. Nothing is opened yet.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self {
            folder: Some(path.into()),
            ..Self::default()
        }
    }

    /// No files yet: add each with [`range`](Self::range) or [`bytes`](Self::bytes), `manifest.json` among them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies every part to private memory when the bundle is opened instead of mapping it: slower and larger, but
    /// safe if somebody may truncate the files while they are in use (which kills a process that maps them).
    #[must_use]
    pub fn copied(mut self) -> Self {
        self.copied = true;
        self
    }

    /// Adds the file `name` as `length` bytes from `offset` of an open file, for example an asset inside an APK. At an
    /// offset that is not a multiple of 8 they are copied when the bundle is opened, whatever else is chosen.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the name was added before or the range overflows.
    pub fn range(
        &mut self,
        name: impl Into<String>,
        file: File,
        offset: u64,
        length: u64,
    ) -> Result<()> {
        if offset.checked_add(length).is_none() {
            return Err(Error::argument("offset", "offset + length overflows"));
        }
        self.add(
            name.into(),
            Lent::Range {
                file,
                offset,
                length,
            },
        )
    }

    /// Adds the file `name` as bytes that the host keeps in memory. Their address must be a multiple of 8.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the name was added before or the bytes are misaligned.
    pub fn bytes(
        &mut self,
        name: impl Into<String>,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<()> {
        if !bytes.as_ref().is_empty() && bytes.as_ref().as_ptr().addr() % 8 != 0 {
            return Err(Error::argument(
                "bytes",
                "their address is not a multiple of 8",
            ));
        }
        self.add(name.into(), Lent::Bytes(Arc::new(bytes)))
    }

    fn add(&mut self, name: String, lent: Lent) -> Result<()> {
        if self.files.contains_key(&name) {
            return Err(Error::argument("name", format!("`{name}` was added twice")));
        }
        self.files.insert(name, lent);
        Ok(())
    }

    /// Opens the file `name` of the part `part`, mapped (or copied, if so chosen), if it is as long as expected.
    pub(super) fn open(&self, part: &str, name: &str, expected: Expected) -> Result<Bytes> {
        let missing = || Error::part(part, format!("a file `{name}`"), NO_FILE);
        let check = |found: u64| match expected.fits(found) {
            true => Ok(found),
            false => Err(Error::part(
                part,
                format!("{expected} in `{name}`"),
                format!("{found} bytes"),
            )),
        };
        let storage = match (self.files.get(name), &self.folder) {
            (Some(Lent::Bytes(bytes)), _) => {
                check(bytes.as_ref().as_ref().len() as u64)?;
                Storage::Host(Arc::clone(bytes))
            }
            (
                Some(Lent::Range {
                    file,
                    offset,
                    length,
                }),
                _,
            ) => {
                let io = |source| Error::Io {
                    path: name.into(),
                    source,
                };
                let end = file.metadata().map_err(io)?.len();
                if offset.checked_add(*length).is_none_or(|last| last > end) {
                    return Err(Error::part(
                        part,
                        format!("{length} bytes from {offset} of its file"),
                        format!("a file of {end} bytes"),
                    ));
                }
                self.read(file, *offset, check(*length)?)
                    .map_err(|fault| fault.at(name.into(), part))?
            }
            (None, Some(folder)) => {
                let path = folder.join(name);
                let io = |source| Error::Io {
                    path: path.clone(),
                    source,
                };
                let file = open_without_links(&path).map_err(|source| match source.kind() {
                    ErrorKind::NotFound => missing(),
                    _ => io(source),
                })?;
                let metadata = file.metadata().map_err(io)?;
                if !metadata.is_file() || metadata.is_symlink() {
                    return Err(Error::part(part, "a plain file", kind_of(&metadata)));
                }
                self.read(&file, 0, check(metadata.len())?)
                    .map_err(|fault| fault.at(path, part))?
            }
            (None, None) => return Err(missing()),
        };
        Ok(Bytes::whole(storage))
    }

    fn read(&self, file: &File, offset: u64, length: u64) -> Result<Storage, Fault> {
        let length = usize::try_from(length).map_err(|_| Fault::Memory(usize::MAX))?;
        if length == 0 || self.copied || !offset.is_multiple_of(ALIGNMENT) {
            return copy(file, offset, length);
        }
        // SAFETY: the map is read-only and private to this module; the host promises (`Parts::copied` says what to do
        // where it cannot) that nobody truncates or rewrites the file while it is mapped.
        let map = unsafe { MmapOptions::new().offset(offset).len(length).map(file) };
        map.map(Storage::Mapped).map_err(Fault::Io)
    }

    /// What this is called in messages: the folder, or `the bundle`.
    pub(super) fn describe(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(|| "the bundle".into())
    }

    /// A folder that is not there, or is no folder, deserves an error of its own.
    pub(super) fn check_folder(&self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let io = |source| Error::Io {
            path: folder.clone(),
            source,
        };
        let metadata = std::fs::metadata(folder).map_err(io)?;
        if metadata.is_dir() {
            return Ok(());
        }
        Err(io(std::io::Error::new(
            ErrorKind::NotADirectory,
            "a bundle is a folder with a manifest.json",
        )))
    }
}

/// What is found where a part's file should be.
pub(super) const NO_FILE: &str = "no such file";

/// How long a file should be. It is asked before anything is read.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    Exactly(u64),
    AtMost(u64),
}

impl Expected {
    fn fits(self, found: u64) -> bool {
        match self {
            Self::Exactly(bytes) => found == bytes,
            Self::AtMost(bytes) => found <= bytes,
        }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(bytes) => write!(f, "{bytes} bytes"),
            Self::AtMost(bytes) => write!(f, "at most {bytes} bytes"),
        }
    }
}

enum Fault {
    Io(std::io::Error),
    Memory(usize),
}

impl Fault {
    fn at(self, path: PathBuf, part: &str) -> Error {
        match self {
            Self::Io(source) => Error::Io { path, source },
            Self::Memory(bytes) => Error::OutOfMemory {
                what: format!("part `{part}`"),
                bytes,
            },
        }
    }
}

/// Copies into words, so that the bytes are aligned for every element type.
fn copy(file: &File, offset: u64, length: usize) -> Result<Storage, Fault> {
    let mut words: Vec<u64> = Vec::new();
    let count = length.div_ceil(8);
    words
        .try_reserve_exact(count)
        .map_err(|_| Fault::Memory(length))?;
    words.resize(count, 0);
    let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    read_at(file, offset, &mut bytes[..length]).map_err(Fault::Io)?;
    Ok(Storage::Copied { words, length })
}

/// Leaves the position of the file where it is: a descriptor that the host has lent shares it.
#[cfg(unix)]
fn read_at(file: &File, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    file.read_exact_at(bytes, offset)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(bytes)
}

#[cfg(unix)]
fn open_without_links(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // A link gives ELOOP; O_NONBLOCK keeps a named pipe from blocking the open.
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => {
                std::io::Error::other("is a link; a bundle's files are plain files")
            }
            _ => error,
        })
}

#[cfg(windows)]
fn open_without_links(path: &Path) -> std::io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    OpenOptions::new()
        .read(true)
        .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)
}

fn kind_of(metadata: &std::fs::Metadata) -> &'static str {
    if metadata.is_dir() {
        "a folder"
    } else if metadata.is_symlink() {
        "a link"
    } else {
        "something that is not a file"
    }
}

enum Storage {
    Mapped(Mmap),
    Copied { words: Vec<u64>, length: usize },
    Host(HostBytes),
}

/// A shared, read-only stretch of a part. Cloning shares; nothing is copied.
#[derive(Clone)]
pub(crate) struct Bytes {
    storage: Arc<Storage>,
    start: usize,
    length: usize,
}

impl Bytes {
    fn whole(storage: Storage) -> Self {
        let mut bytes = Self {
            storage: Arc::new(storage),
            start: 0,
            length: 0,
        };
        bytes.length = bytes.all().len();
        bytes
    }

    fn all(&self) -> &[u8] {
        match &*self.storage {
            Storage::Mapped(map) => map,
            Storage::Copied { words, length } => &bytemuck::cast_slice(words)[..*length],
            Storage::Host(bytes) => bytes.as_ref().as_ref(),
        }
    }

    /// The bytes from `start` to `end` of these, or nothing if they do not hold so many.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Option<Self> {
        self.get(start..end)?;
        Some(Self {
            storage: Arc::clone(&self.storage),
            start: self.start + start,
            length: end - start,
        })
    }

    /// Whether the bytes are pages of a file rather than memory of this process.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(*self.storage, Storage::Mapped(_))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // A host whose `AsRef` gives shorter bytes later gets an empty slice, not a crash.
        self.all()
            .get(self.start..self.start + self.length)
            .unwrap_or_default()
    }
}

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.length)
    }
}
