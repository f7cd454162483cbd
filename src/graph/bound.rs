//! Runs of a graph over tensors that stay where they are: nothing is made anew between two runs of the same shapes.

use std::array;
use std::ffi::CString;
use std::ptr;
use std::sync::Arc;

use ort::AsPointer;
use ort::session::{RunOptions, Session};
use ort::value::{DynTensor, DynValue};

#[cfg(feature = "llm")]
use super::adapter::Adapter;
use super::replicas::Taken;
use super::{Graph, Numbers, runtime};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// The largest tensors that wait for the next run, in bytes; larger ones are made for each.
const KEPT_BYTES: usize = 1 << 20;

/// A session, and what its last run went over.
pub(super) struct Runner {
    session: Session,
    /// The same graph for runs of a single row, with our attention and one thread of ONNX Runtime's, where there is one.
    #[cfg_attr(not(feature = "llm"), expect(dead_code, reason = "rows one by one"))]
    lone: Option<Session>,
    options: Arc<RunOptions>,
    /// Those of runs with an adapter.
    #[cfg(feature = "llm")]
    adapted: Vec<(Arc<Adapter>, Arc<RunOptions>)>,
    tensors: Option<Tensors>,
}

/// A tensor of a graph: its name, what its numbers are, and its shape.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    pub(crate) numbers: Numbers,
    pub(crate) shape: &'a [i64],
}

/// What goes in, and the one that comes out.
struct Tensors {
    inputs: Vec<Made>,
    output: Made,
}

/// A tensor with its memory.
struct Made {
    name: CString,
    numbers: Numbers,
    shape: Vec<i64>,
    value: DynTensor,
}

impl Runner {
    pub(super) fn new(session: Session, lone: Option<Session>) -> ort::Result<Self> {
        Ok(Self {
            session,
            lone,
            options: Arc::new(RunOptions::new()?),
            #[cfg(feature = "llm")]
            adapted: Vec::new(),
            tensors: None,
        })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Makes runs possible again after one that was stopped, and gives what stops the next.
    pub(super) fn ready(&self) -> ort::Result<impl Fn() + Clone + Send + use<>> {
        ready(&self.options)
    }

    /// Makes the next run one with an adapter, or without: the options it is to be given.
    #[cfg(feature = "llm")]
    pub(super) fn adapt(&mut self, adapter: Option<&Arc<Adapter>>) -> ort::Result<Arc<RunOptions>> {
        let Some(adapter) = adapter else {
            return Ok(Arc::clone(&self.options));
        };
        let known = self
            .adapted
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, adapter));
        if let Some((_, options)) = known {
            return Ok(Arc::clone(options));
        }
        let mut options = RunOptions::new()?;
        options.add_adapter(adapter.parameters())?;
        let options = Arc::new(options);
        self.adapted
            .push((Arc::clone(adapter), Arc::clone(&options)));
        Ok(options)
    }

    /// The session for a run of so many rows through the C interface.
    #[cfg(feature = "llm")]
    pub(super) fn session_for(&mut self, rows: usize) -> *mut ort::sys::OrtSession {
        match &mut self.lone {
            Some(lone) if rows == 1 => lone.ptr_mut(),
            _ => self.session.ptr_mut(),
        }
    }
}

/// Makes runs with these options possible again after one that was stopped, and gives what stops the next.
pub(super) fn ready(options: &Arc<RunOptions>) -> ort::Result<impl Fn() + Clone + Send + use<>> {
    options.unterminate()?;
    let stop = Arc::clone(options);
    Ok(move || {
        let _ = stop.terminate();
    })
}

impl Made {
    /// Of zeros.
    fn new(graph: &str, tensor: Tensor) -> Result<Self> {
        let Tensor {
            name,
            numbers,
            shape,
        } = tensor;
        let value = match numbers {
            Numbers::F32 => ort::value::Tensor::from_array((shape, zeros::<f32>(tensor)?))
                .map(|made| made.upcast()),
            #[cfg(feature = "llm")]
            Numbers::I32 => ort::value::Tensor::from_array((shape, zeros::<i32>(tensor)?))
                .map(|made| made.upcast()),
            Numbers::I64 => ort::value::Tensor::from_array((shape, zeros::<i64>(tensor)?))
                .map(|made| made.upcast()),
        };
        Ok(Self {
            name: CString::new(name).map_err(|_| Error::Internal {
                reason: format!("the tensor `{name}` has a NUL in its name"),
            })?,
            numbers,
            shape: shape.into(),
            value: value.map_err(|error| runtime(graph, &error))?,
        })
    }

    fn is(&self, tensor: Tensor) -> bool {
        self.name.as_bytes() == tensor.name.as_bytes()
            && self.numbers == tensor.numbers
            && self.shape == tensor.shape
    }

    fn bytes(&self) -> usize {
        // The memory is there, so that the product is in range.
        self.shape.iter().product::<i64>() as usize * self.numbers.bytes()
    }
}

/// Room for the numbers of a tensor.
pub(super) fn zeros<T: Copy + Default>(tensor: Tensor) -> Result<Vec<T>> {
    let len = tensor.shape.iter().try_fold(1_usize, |len, &length| {
        len.checked_mul(usize::try_from(length).ok()?)
    });
    let mut room = Vec::new();
    match len.map(|len| room.try_reserve_exact(len).map(|()| len)) {
        Some(Ok(len)) => {
            room.resize(len, T::default());
            Ok(room)
        }
        _ => Err(Error::OutOfMemory {
            what: format!("the tensor `{}`, {:?}", tensor.name, tensor.shape),
            bytes: len.unwrap_or(usize::MAX).saturating_mul(size_of::<T>()),
        }),
    }
}

impl Tensors {
    fn new(graph: &str, inputs: &[Tensor], output: Tensor) -> Result<Self> {
        let inputs = inputs.iter().map(|&input| Made::new(graph, input));
        Ok(Self {
            inputs: inputs.collect::<Result<_>>()?,
            output: Made::new(graph, output)?,
        })
    }

    fn are(&self, inputs: &[Tensor], output: Tensor) -> bool {
        let each = self.inputs.iter().zip(inputs);
        self.inputs.len() == inputs.len()
            && self.output.is(output)
            && each.into_iter().all(|(made, &input)| made.is(input))
    }

    fn bytes(&self) -> usize {
        self.inputs.iter().map(Made::bytes).sum::<usize>() + self.output.bytes()
    }
}

/// A session of a graph with its tensors: N go in, one of f32 comes out.
pub(crate) struct Bound<'a, const N: usize> {
    graph: &'a str,
    runner: Taken<'a, Runner>,
    tensors: Tensors,
    cancel: &'a Cancel,
}

impl Graph {
    /// Lets `body` run the graph as often as it likes. Nobody else has its session meanwhile.
    ///
    /// `output`: of f32, with the shape that it has after each run. What the tensors hold before `body` writes is not said.
    pub(crate) fn bind<T, const N: usize>(
        &self,
        inputs: [Tensor; N],
        output: (&str, &[i64]),
        cancel: &Cancel,
        body: impl FnOnce(&mut Bound<N>) -> Result<T>,
    ) -> Result<T> {
        let output = Tensor {
            name: output.0,
            numbers: Numbers::F32,
            shape: output.1,
        };
        let mut runner = self.runners.take(cancel)?;
        let kept = runner.tensors.take();
        let tensors = match kept.filter(|tensors| tensors.are(&inputs, output)) {
            Some(tensors) => tensors,
            None => Tensors::new(&self.name, &inputs, output)?,
        };
        let stop = runner
            .ready()
            .map_err(|error| runtime(&self.name, &error))?;
        let mut bound = Bound {
            graph: &self.name,
            runner,
            tensors,
            cancel,
        };
        let outcome = cancel.during(stop, || body(&mut bound));
        let Bound {
            mut runner,
            tensors,
            ..
        } = bound;
        runner.tensors = Some(tensors).filter(|tensors| tensors.bytes() <= KEPT_BYTES);
        outcome
    }
}

impl<const N: usize> Bound<'_, N> {
    /// The graph's name.
    pub(crate) fn graph(&self) -> &str {
        self.graph
    }

    /// The numbers of the input at `place`.
    pub(crate) fn f32s(&mut self, place: usize) -> Result<&mut [f32]> {
        let tensor = self.tensors.inputs[place].value.try_extract_tensor_mut();
        let (_, numbers) = tensor.map_err(|error| runtime(self.graph, &error))?;
        Ok(numbers)
    }

    /// The whole numbers of the input at `place`.
    pub(crate) fn i64s(&mut self, place: usize) -> Result<&mut [i64]> {
        let tensor = self.tensors.inputs[place].value.try_extract_tensor_mut();
        let (_, numbers) = tensor.map_err(|error| runtime(self.graph, &error))?;
        Ok(numbers)
    }

    /// What came out of the last run.
    pub(crate) fn output(&self) -> Result<&[f32]> {
        let tensor = self.tensors.output.value.try_extract_tensor();
        let (_, numbers) = tensor.map_err(|error| runtime(self.graph, &error))?;
        Ok(numbers)
    }

    /// Runs the graph.
    ///
    /// # Errors
    /// [`Error::Runtime`]; [`Error::Graph`] if the output has another shape; [`Error::Cancelled`],
    /// [`Error::DeadlineExceeded`].
    pub(crate) fn run(&mut self) -> Result<()> {
        let mut output = self.tensors.output.value.ptr_mut();
        let Err(error) = self.run_into(&mut output) else {
            return Ok(());
        };
        self.cancel.check()?;
        Err(match self.shape_of_output() {
            Some(shape) if shape != self.tensors.output.shape => {
                let name = self.tensors.output.name.to_string_lossy();
                let expected = format!("shape {:?}", self.tensors.output.shape);
                Error::graph(
                    self.graph,
                    format!("output `{name}`"),
                    expected,
                    format!("{shape:?}"),
                )
            }
            _ => runtime(self.graph, &error),
        })
    }

    /// The shape of the output where it is left to the graph.
    fn shape_of_output(&mut self) -> Option<Vec<i64>> {
        let mut output = ptr::null_mut();
        self.run_into(&mut output).ok()?;
        // SAFETY: the run has put a value of its own there, which nobody else will release.
        let value = unsafe { DynValue::from_ptr(ptr::NonNull::new(output)?, None) };
        Some(value.shape().to_vec())
    }

    /// Runs the graph with an output that is given, or with the one that is made if it is null.
    fn run_into(&mut self, output: &mut *mut ort::sys::OrtValue) -> ort::Result<()> {
        let inputs = &self.tensors.inputs;
        let names: [_; N] = array::from_fn(|place| inputs[place].name.as_ptr());
        let values: [_; N] = array::from_fn(|place| inputs[place].value.ptr());
        // SAFETY: the session, the options and every value are alive and of their types; names end with NUL; the counts
        // are those of the arrays. The session is this thread's alone, and so are the tensors, whose numbers nobody
        // borrows while `self` is. An output that is given is written in place, if it has the right shape.
        let status = unsafe {
            (ort::api().Run)(
                self.runner.session.ptr_mut(),
                self.runner.options.ptr(),
                names.as_ptr(),
                values.as_ptr(),
                N,
                &self.tensors.output.name.as_ptr(),
                1,
                output,
            )
        };
        // SAFETY: the status comes from the call above and is consumed once.
        unsafe { ort::Error::result_from_status(status) }
    }
}
