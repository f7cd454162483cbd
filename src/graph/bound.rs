//! A graph that runs again and again over the same tensors: nothing is made anew between two runs.

use std::ffi::CString;
use std::sync::Arc;

use ort::AsPointer;
use ort::session::{RunOptions, Session};
use ort::value::{DynTensor, Tensor};

use super::replicas::Taken;
use super::{Graph, runtime};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// A tensor going in: numbers that stay where they are, and their shape.
pub(crate) enum Owned<'a> {
    F32(Vec<f32>, &'a [i64]),
    I64(Vec<i64>, &'a [i64]),
}

impl Owned<'_> {
    fn tensor(self) -> ort::Result<DynTensor> {
        Ok(match self {
            Self::F32(data, shape) => Tensor::from_array((shape, data))?.upcast(),
            Self::I64(data, shape) => Tensor::from_array((shape, data))?.upcast(),
        })
    }
}

/// A session of a graph with its tensors: N go in, one of f32 comes out.
pub(crate) struct Bound<'a, const N: usize> {
    graph: &'a str,
    session: Taken<'a, Session>,
    options: Arc<RunOptions>,
    cancel: &'a Cancel,
    names: [CString; N],
    inputs: [DynTensor; N],
    name: CString,
    output: Tensor<f32>,
}

impl Graph {
    /// Lets `body` run the graph as often as it likes. Nobody else has its session meanwhile.
    ///
    /// `output`: its name, and the shape that it has after each run.
    pub(crate) fn bind<T, const N: usize>(
        &self,
        inputs: [(&str, Owned); N],
        output: (&str, &[i64]),
        cancel: &Cancel,
        body: impl FnOnce(&mut Bound<N>) -> Result<T>,
    ) -> Result<T> {
        let failed = |error: ort::Error| runtime(&self.name, &error);
        let name_of = |name: &str| {
            CString::new(name).map_err(|_| Error::Internal {
                reason: format!("the tensor `{name}` has a NUL in its name"),
            })
        };
        let mut names = Vec::with_capacity(N);
        let mut tensors = Vec::with_capacity(N);
        for (name, input) in inputs {
            names.push(name_of(name)?);
            tensors.push(input.tensor().map_err(failed)?);
        }
        let miscounted = || Error::Internal {
            reason: "tensors were lost on their way".into(),
        };
        let numbers: i64 = output.1.iter().product();
        let room = vec![0.0; usize::try_from(numbers).unwrap_or_default()];
        let options = Arc::new(RunOptions::new().map_err(failed)?);
        let stop = Arc::clone(&options);
        let mut bound = Bound {
            graph: &self.name,
            session: self.sessions.take(cancel)?,
            options,
            cancel,
            names: names.try_into().map_err(|_| miscounted())?,
            inputs: tensors.try_into().map_err(|_| miscounted())?,
            name: name_of(output.0)?,
            output: Tensor::from_array((output.1, room)).map_err(failed)?,
        };
        cancel.during(
            move || {
                let _ = stop.terminate();
            },
            || body(&mut bound),
        )
    }
}

impl<const N: usize> Bound<'_, N> {
    /// The graph's name.
    pub(crate) fn graph(&self) -> &str {
        self.graph
    }

    /// The numbers of the input at `place`.
    pub(crate) fn f32s(&mut self, place: usize) -> Result<&mut [f32]> {
        let tensor = self.inputs[place].try_extract_tensor_mut();
        let (_, numbers) = tensor.map_err(|error| runtime(self.graph, &error))?;
        Ok(numbers)
    }

    /// The whole numbers of the input at `place`.
    pub(crate) fn i64s(&mut self, place: usize) -> Result<&mut [i64]> {
        let tensor = self.inputs[place].try_extract_tensor_mut();
        let (_, numbers) = tensor.map_err(|error| runtime(self.graph, &error))?;
        Ok(numbers)
    }

    /// What came out of the last run.
    pub(crate) fn output(&self) -> &[f32] {
        self.output.extract_tensor().1
    }

    /// Runs the graph.
    ///
    /// # Errors
    /// [`Error::Runtime`], also if the output would have another shape; [`Error::Cancelled`],
    /// [`Error::DeadlineExceeded`].
    pub(crate) fn run(&mut self) -> Result<()> {
        let names = self.names.each_ref().map(|name| name.as_ptr());
        let inputs = self.inputs.each_ref().map(AsPointer::ptr);
        let mut output = self.output.ptr_mut();
        // SAFETY: the session, the options and every value are alive and of their types; names end with NUL; the counts
        // are those of the arrays. The session is this thread's alone, and so are the tensors, whose numbers nobody
        // borrows while `self` is. An output that is given is written in place, if it has the right shape.
        let status = unsafe {
            (ort::api().Run)(
                self.session.ptr_mut(),
                self.options.ptr(),
                names.as_ptr(),
                inputs.as_ptr(),
                N,
                &self.name.as_ptr(),
                1,
                &raw mut output,
            )
        };
        // SAFETY: the status comes from the call above and is consumed once.
        unsafe { ort::Error::result_from_status(status) }.map_err(|error| {
            match self.cancel.check() {
                Err(stopped) => stopped,
                Ok(()) => runtime(self.graph, &error),
            }
        })
    }
}
