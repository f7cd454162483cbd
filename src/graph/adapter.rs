//! Weights of a graph that can be exchanged from one run to the next: low-rank adapters in ONNX Runtime's own format.

use ort::session::Adapter as Parameters;

use super::environment;
use crate::bundle::Bundle;
use crate::error::{Error, Result};

/// The largest file of an adapter.
const MAX_BYTES: usize = 1 << 30;

/// An adapter: values for inputs of a graph that have others without it.
pub(crate) struct Adapter(Parameters);

// SAFETY: ONNX Runtime never changes an adapter once it is loaded; runs only read it.
unsafe impl Send for Adapter {}
// SAFETY: as above.
unsafe impl Sync for Adapter {}

impl Adapter {
    /// Reads a part, an `.onnx_adapter`.
    pub(crate) fn open(bundle: &Bundle, part: &str) -> Result<Self> {
        environment::get()?;
        let bytes = bundle.part(part)?;
        if bytes.len() > MAX_BYTES {
            let expected = format!("an adapter of at most {MAX_BYTES} bytes");
            return Err(Error::part(
                part,
                expected,
                format!("{} bytes", bytes.len()),
            ));
        }
        let parameters = Parameters::from_memory(&bytes, None);
        let parameters = parameters
            .map_err(|error| Error::part(part, "an `.onnx_adapter`", error.message().trim_end()))?;
        Ok(Self(parameters))
    }

    pub(super) fn parameters(&self) -> &Parameters {
        &self.0
    }
}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Adapter")
    }
}
