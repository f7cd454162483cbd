//! Tensors of a safetensors part, checked once and then read in place.

#![forbid(unsafe_code)]

use std::fmt::Write;
use std::marker::PhantomData;
use std::ops::Deref;

use bytemuck::Pod;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};

use super::json;
use super::source::Bytes;
use crate::error::{Error, Result};

/// The longest header a part may have: far above any real one, small enough to parse at once.
const MAX_HEADER_BYTES: u64 = 1 << 20;

#[cfg(not(target_endian = "little"))]
compile_error!("bundles are little-endian and read in place: big-endian targets are not supported");

/// The header of a safetensors part beside its mapped bytes.
#[derive(Debug)]
pub(crate) struct Tensors {
    part: String,
    bytes: Bytes,
    data_start: usize,
    metadata: Metadata,
}

/// A number type that tables are made of.
pub(crate) trait Element: Pod {
    const DTYPE: Dtype;
}

macro_rules! elements {
    ($($type:ty => $dtype:ident),*) => { $(impl Element for $type { const DTYPE: Dtype = Dtype::$dtype; })* };
}
elements!(f32 => F32, half::f16 => F16, i8 => I8, u8 => U8, u32 => U32, i64 => I64);

impl Tensors {
    /// Reads the header: O(number of tensors), whatever their size.
    pub(crate) fn open(part: &str, bytes: Bytes) -> Result<Self> {
        let wrong = |found: String| Error::part(part, "a safetensors file", found);
        let Some(Ok(prefix)) = bytes.get(..8).map(<[u8; 8]>::try_from) else {
            return Err(wrong(format!("{} bytes", bytes.len())));
        };
        let header = u64::from_le_bytes(prefix);
        if header > MAX_HEADER_BYTES {
            return Err(wrong(format!("a header of {header} bytes")));
        }
        let text = bytes.get(8..).and_then(|rest| rest.get(..header as usize));
        if let Some(text) = text {
            json::parse(text).map_err(wrong)?;
        }
        let (header, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            part: part.into(),
            data_start: 8 + header,
            bytes,
            metadata,
        })
    }

    pub(crate) fn part(&self) -> &str {
        &self.part
    }

    pub(crate) fn has(&self, tensor: &str) -> bool {
        self.metadata.info(tensor).is_some()
    }

    /// Whether the tensor `tensor` is there and of these numbers.
    pub(crate) fn holds<T: Element>(&self, tensor: &str) -> bool {
        let info = self.metadata.info(tensor);
        info.is_some_and(|info| info.dtype == T::DTYPE)
    }

    /// Fails on the first tensor whose name is not `known`.
    pub(crate) fn only(&self, known: impl Fn(&str) -> bool) -> Result<()> {
        match self
            .metadata
            .offset_keys()
            .into_iter()
            .find(|name| !known(name))
        {
            Some(name) => Err(Error::tensor(
                &self.part,
                &name,
                "only tensors of format 1",
                "an unknown name",
            )),
            None => Ok(()),
        }
    }

    /// The tensor `tensor` of exactly this shape.
    pub(crate) fn array<T: Element>(&self, tensor: &str, shape: &[usize]) -> Result<Array<T>> {
        self.read(tensor, |found| found == shape, || describe(T::DTYPE, shape))
    }

    /// The tensor `tensor` of rank 1 and any length.
    pub(crate) fn list<T: Element>(&self, tensor: &str) -> Result<Array<T>> {
        self.read(
            tensor,
            |found| found.len() == 1,
            || format!("{:?} of rank 1", T::DTYPE),
        )
    }

    fn read<T: Element>(
        &self,
        tensor: &str,
        fits: impl Fn(&[usize]) -> bool,
        expected: impl Fn() -> String,
    ) -> Result<Array<T>> {
        let wrong = |found: String| Error::tensor(&self.part, tensor, expected(), found);
        let info: &TensorInfo = self
            .metadata
            .info(tensor)
            .ok_or_else(|| wrong("no such tensor".into()))?;
        if info.dtype != T::DTYPE || !fits(&info.shape) {
            return Err(wrong(describe(info.dtype, &info.shape)));
        }
        let (start, end) = info.data_offsets;
        // The header was checked against the file's length when it was read; sums cannot overflow a real file.
        let bytes = self
            .data_start
            .checked_add(start)
            .zip(self.data_start.checked_add(end))
            .and_then(|(start, end)| self.bytes.slice(start, end))
            .ok_or_else(|| wrong(format!("bytes {start} to {end} of a shorter part")))?;
        if bytemuck::try_cast_slice::<u8, T>(&bytes).is_err() {
            return Err(wrong(format!(
                "an address that is not a multiple of {}",
                align_of::<T>()
            )));
        }
        Ok(Array {
            bytes,
            element: PhantomData,
        })
    }
}

fn describe(dtype: Dtype, shape: &[usize]) -> String {
    let mut text = format!("{dtype:?} [");
    for (axis, length) in shape.iter().enumerate() {
        let comma = if axis > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{length}");
    }
    text + "]"
}

/// A mapped tensor as a slice of its numbers.
#[derive(Clone, Debug)]
pub(crate) struct Array<T> {
    bytes: Bytes,
    element: PhantomData<T>,
}

impl<T: Element> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // Length and alignment were checked when the array was made, so the cast does not fail.
        bytemuck::try_cast_slice(&self.bytes).unwrap_or_default()
    }
}
