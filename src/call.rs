//! What a single call may be told beside its arguments.

#![forbid(unsafe_code)]

use crate::cancel::Cancel;

/// What a single call may be told beside its arguments.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CallOptions {
    /// Stops the call when requested.
    pub cancel: Cancel,
    /// Threads that share the scan over the catalog; 1 by default. The result does not depend on it.
    pub threads: usize,
    /// The encoder of ways that use one; the recipe's by default.
    pub encoder: Option<String>,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self {
            cancel: Cancel::new(),
            threads: 1,
            encoder: None,
        }
    }
}
