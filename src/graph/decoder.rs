//! A decoder's graph: rows in, states or logits out, over a past of keys and values that stays where it is.
//!
//! The past of each layer is one buffer that is longer than what it holds, bound as what goes in and what comes out at
//! once: GroupQueryAttention writes the new keys and values behind those that count. To forget some, count fewer.
//!
//! Two contracts are known (`models/README.md`). A *packed* graph is told the position of every row and which rows it
//! may look at, so that the branches of a tree can share one run. A *plain* one, as onnxruntime-genai's builder makes
//! it, knows only sequences.

use std::ffi::CString;
use std::sync::Arc;

use ort::AsPointer;
use ort::session::RunOptions;
use ort::value::{DynTensor, TensorRef, TensorRefMut};

use super::adapter::Adapter;
use super::bound::{ready, zeros};
use super::{Dim, Graph, Numbers, Outline, Tensor, runtime};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// What a row that may not be looked at adds to its logit: no chance, and finite, so that no row of a softmax is empty.
const NEVER: f32 = -1e30;

/// The past grows by at least so many rows.
const GROWTH: usize = 64;

/// How many layers of which size a decoder has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) layers: usize,
    /// Heads of keys and values in a layer.
    pub(crate) kv_heads: usize,
    /// Numbers in a key or value.
    pub(crate) head_size: usize,
    /// D: numbers in a row that goes in.
    pub(crate) width: usize,
}

/// What comes out for each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The state `[D]` after the last norm, of which a head makes logits.
    HiddenStates,
    /// Logits `[V]`.
    Logits(usize),
}

/// How a graph is told where its rows stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Packed,
    Plain,
}

/// A graph that continues a past.
#[derive(Debug)]
pub(crate) struct Decoder {
    graph: Arc<Graph>,
    form: Form,
    sizes: Sizes,
    output: Output,
    inputs: Vec<CString>,
    outputs: Vec<CString>,
}

/// The keys and values of the rows before, `[1, kv_heads, capacity, head_size]` each: key and value of every layer.
pub(crate) struct Past {
    /// What made them, with the graph.
    adapter: Option<Arc<Adapter>>,
    values: Vec<DynTensor>,
    capacity: usize,
    sizes: Sizes,
}

/// What one run is given.
pub(crate) struct Step<'a> {
    /// How many rows of the past count.
    pub(crate) past: usize,
    /// The new rows, `[S, D]`.
    pub(crate) rows: &'a [f32],
    pub(crate) layout: Layout<'a>,
}

/// How the new rows stand to each other.
pub(crate) enum Layout<'a> {
    /// Each after the one before.
    Sequence,
    /// Branches: only where [`Decoder::takes_trees`].
    Tree {
        /// `[S]`, counted from the first row of the past.
        positions: &'a [i64],
        /// `[S]`: the new row before, an earlier one; none where that is the last row of the past.
        parents: &'a [Option<usize>],
    },
    /// One more row for each of several branches, whose rows lie between each other's behind a shared beginning: only
    /// where [`Decoder::takes_trees`].
    Branches {
        /// How many rows of the past all share.
        shared: usize,
        /// `[S]`, counted from the first row of the past.
        positions: &'a [i64],
        /// `[S]`: the places of the rows before, of a branch's own, in the past and among the new rows.
        before: &'a [Vec<usize>],
    },
}

impl Decoder {
    /// Finds out which contract a graph keeps, and checks that it does.
    ///
    /// `vocabulary`: how many logits there are, where the graph makes them itself.
    pub(crate) fn open(
        graph: Arc<Graph>,
        outline: &Outline,
        sizes: Sizes,
        vocabulary: usize,
    ) -> Result<Self> {
        let Sizes {
            layers,
            kv_heads,
            head_size,
            width,
        } = sizes;
        let form = match outline.takes_trees() {
            true => Form::Packed,
            false => Form::Plain,
        };
        if outline.attentions != layers {
            let what = "operators `GroupQueryAttention`, which keep the past in place";
            let expected = format!("{layers}, one a layer");
            let found = outline.attentions.to_string();
            return Err(Error::graph(graph.name(), what, expected, found));
        }
        let has_states = outline.outputs.iter().any(|name| name == "hidden_states");
        let output = match has_states {
            true => Output::HiddenStates,
            false => Output::Logits(vocabulary),
        };
        let of_layers = |kind: &str| -> Vec<String> {
            let layer = |layer| {
                [
                    format!("{kind}.{layer}.key"),
                    format!("{kind}.{layer}.value"),
                ]
            };
            (0..layers).flat_map(layer).collect()
        };
        let (past, present) = (of_layers("past_key_values"), of_layers("present"));
        let one = Dim::Exactly(1);
        let rows = [one, Dim::Any, Dim::Exactly(width)];
        let buffer = [
            one,
            Dim::Exactly(kv_heads),
            Dim::Any,
            Dim::Exactly(head_size),
        ];
        let square = [one, one, Dim::Any, Dim::Any];
        let [single, list, square] = [&[one][..], &[one, Dim::Any], &square];
        let mut inputs: Vec<(&str, Numbers, &[Dim])> = vec![("inputs_embeds", Numbers::F32, &rows)];
        match form {
            Form::Packed => inputs.extend([
                ("position_ids", Numbers::I64, list),
                ("attention_bias", Numbers::F32, square),
                ("seqlens_k", Numbers::I32, single),
                ("total_sequence_length", Numbers::I32, &[]),
            ]),
            Form::Plain => inputs.push(("attention_mask", Numbers::I64, list)),
        }
        inputs.extend(
            past.iter()
                .map(|name| (name.as_str(), Numbers::F32, &buffer[..])),
        );
        graph.expect_inputs(&inputs)?;
        let (name, last) = output.tensor(width);
        graph.expect_output(name, Numbers::F32, &[one, Dim::Any, Dim::Exactly(last)])?;
        for name in &present {
            graph.expect_output(name, Numbers::F32, &buffer)?;
        }
        let names = |names: &mut dyn Iterator<Item = &str>| -> Result<Vec<CString>> {
            let names = names.map(CString::new).collect::<Result<_, _>>();
            names.map_err(|_| Error::Internal {
                reason: "a NUL in the name of a tensor of ours".into(),
            })
        };
        Ok(Self {
            form,
            sizes,
            output,
            inputs: names(&mut inputs.iter().map(|(name, ..)| *name))?,
            outputs: names(&mut [name].into_iter().chain(present.iter().map(String::as_str)))?,
            graph,
        })
    }

    /// The graph's name.
    pub(crate) fn graph(&self) -> &str {
        self.graph.name()
    }

    /// Whether the branches of a tree can share a run.
    pub(crate) fn takes_trees(&self) -> bool {
        self.form == Form::Packed
    }

    /// What comes out for each row.
    pub(crate) fn output(&self) -> Output {
        self.output
    }

    /// How many numbers come out for each row.
    pub(crate) fn output_width(&self) -> usize {
        self.output.tensor(self.sizes.width).1
    }

    /// A past that holds nothing and takes nothing, for runs with an adapter or without.
    pub(crate) fn past(&self, adapter: Option<Arc<Adapter>>) -> Past {
        Past {
            adapter,
            values: Vec::new(),
            capacity: 0,
            sizes: self.sizes,
        }
    }

    /// Makes room in a past for `rows` rows, of which the first `kept` stay.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn reserve(&self, past: &mut Past, rows: usize, kept: usize) -> Result<()> {
        past.reserve(self.graph.name(), rows, kept)
    }

    /// Runs the graph: what comes out for each new row into `out`, `[S, `[`output_width`](Self::output_width)`]`. The
    /// rows are then behind the first `step.past` of the past, which has grown if need be.
    ///
    /// # Errors
    /// [`Error::Runtime`], [`Error::OutOfMemory`], [`Error::Cancelled`], [`Error::DeadlineExceeded`]: what counted of
    /// the past before is still there.
    pub(crate) fn run(
        &self,
        past: &mut Past,
        step: &Step,
        cancel: &Cancel,
        out: &mut Vec<f32>,
    ) -> Result<()> {
        let rows = step.rows.len() / self.sizes.width;
        let total = step.past + rows;
        past.reserve(self.graph.name(), total, step.past)?;
        resize(out, rows * self.output_width(), "what a decoder gives")?;
        let (mut positions, mut bias, mut mask) = (Vec::new(), Vec::new(), Vec::new());
        match (self.form, &step.layout) {
            (Form::Packed, layout) => {
                positions = positions_of(layout, step.past, rows);
                resize(&mut bias, rows * total, "the attention bias of a run")?;
                fill_bias(&mut bias, layout, step.past, rows);
            }
            (Form::Plain, Layout::Sequence) => mask = vec![1_i64; total],
            (Form::Plain, Layout::Tree { .. } | Layout::Branches { .. }) => {
                return Err(Error::Internal {
                    reason: format!("a tree for the plain graph `{}`", self.graph.name()),
                });
            }
        }
        let lengths = self.lengths(total)?;
        let failed = |error: ort::Error| runtime(self.graph.name(), &error);
        let mut runner = self.graph.runners.take(cancel)?;
        let s = rows as i64;
        let embeddings = TensorRef::from_array_view(([1, s, self.sizes.width as i64], step.rows));
        let embeddings = embeddings.map_err(failed)?;
        // At most one of each; all live until the run is over.
        let (bias, positions, last, all, mask) = match self.form {
            Form::Packed => (
                Some(
                    TensorRef::from_array_view(([1, 1, s, total as i64], &bias[..]))
                        .map_err(failed)?,
                ),
                Some(TensorRef::from_array_view(([1, s], &positions[..])).map_err(failed)?),
                Some(TensorRef::from_array_view(([1_i64], &lengths[..1])).map_err(failed)?),
                Some(TensorRef::from_array_view(((), &lengths[1..])).map_err(failed)?),
                None,
            ),
            Form::Plain => (
                None,
                None,
                None,
                None,
                Some(TensorRef::from_array_view(([1, total as i64], &mask[..])).map_err(failed)?),
            ),
        };
        let width = self.output_width() as i64;
        let output =
            TensorRefMut::from_array_view_mut(([1, s, width], &mut out[..])).map_err(failed)?;
        // In the order of `self.inputs`.
        let own = [
            Some(embeddings.ptr()),
            positions.as_ref().map(|tensor| tensor.ptr()),
            bias.as_ref().map(|tensor| tensor.ptr()),
            last.as_ref().map(|tensor| tensor.ptr()),
            all.as_ref().map(|tensor| tensor.ptr()),
            mask.as_ref().map(|tensor| tensor.ptr()),
        ];
        let kept = past.values.iter().map(|value| value.ptr());
        let inputs: Vec<*const ort::sys::OrtValue> =
            own.into_iter().flatten().chain(kept).collect();
        let mut outputs = vec![output.ptr().cast_mut()];
        outputs.extend(past.values.iter_mut().map(|value| value.ptr_mut()));
        let options = runner.adapt(past.adapter.as_ref()).map_err(failed)?;
        let session = runner.session_for(rows);
        self.call(session, &options, &inputs, &mut outputs, cancel)
    }

    /// `seqlens_k`, the place of the last row, and `total_sequence_length`.
    fn lengths(&self, total: usize) -> Result<[i32; 2]> {
        match i32::try_from(total) {
            Ok(total) => Ok([total - 1, total]),
            Err(_) => Err(Error::Internal {
                reason: format!("{total} rows for the graph `{}`", self.graph.name()),
            }),
        }
    }

    fn call(
        &self,
        session: *mut ort::sys::OrtSession,
        options: &Arc<RunOptions>,
        inputs: &[*const ort::sys::OrtValue],
        outputs: &mut [*mut ort::sys::OrtValue],
        cancel: &Cancel,
    ) -> Result<()> {
        if (inputs.len(), outputs.len()) != (self.inputs.len(), self.outputs.len()) {
            let reason = format!("tensors for the graph `{}` are missing", self.graph.name());
            return Err(Error::Internal { reason });
        }
        let names =
            |names: &[CString]| -> Vec<_> { names.iter().map(|name| name.as_ptr()).collect() };
        let (input_names, output_names) = (names(&self.inputs), names(&self.outputs));
        let stop = ready(options).map_err(|error| runtime(self.graph.name(), &error))?;
        let run = || {
            // SAFETY: the session, the options and every value are alive and of their types; names end with NUL; the
            // counts are those of the arrays. The session is this thread's alone, and so are the values. Those of the
            // past stand among inputs and outputs, where GroupQueryAttention expects one buffer; ONNX Runtime counts
            // their references. Outputs are written in place, if they have the right shape.
            let status = unsafe {
                (ort::api().Run)(
                    session,
                    options.ptr(),
                    input_names.as_ptr(),
                    inputs.as_ptr(),
                    inputs.len(),
                    output_names.as_ptr(),
                    outputs.len(),
                    outputs.as_mut_ptr(),
                )
            };
            // SAFETY: the status comes from the call above and is consumed once.
            unsafe { ort::Error::result_from_status(status) }
        };
        let Err(error) = cancel.during(stop, run) else {
            return Ok(());
        };
        cancel.check()?;
        Err(runtime(self.graph.name(), &error))
    }
}

impl Output {
    /// The tensor, and how many numbers it has for a row.
    fn tensor(self, width: usize) -> (&'static str, usize) {
        match self {
            Self::HiddenStates => ("hidden_states", width),
            Self::Logits(vocabulary) => ("logits", vocabulary),
        }
    }
}

impl Past {
    /// Whether runs with this adapter, or without, made it.
    pub(crate) fn is_of(&self, adapter: Option<&Arc<Adapter>>) -> bool {
        match (&self.adapter, adapter) {
            (Some(own), Some(adapter)) => Arc::ptr_eq(own, adapter),
            (own, adapter) => own.is_none() && adapter.is_none(),
        }
    }

    /// What made it, with the graph.
    pub(crate) fn adapter(&self) -> Option<&Arc<Adapter>> {
        self.adapter.as_ref()
    }

    /// What the buffers take, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        let Sizes {
            layers,
            kv_heads,
            head_size,
            ..
        } = self.sizes;
        2 * layers * kv_heads * self.capacity * head_size * size_of::<f32>()
    }

    /// Takes the first `rows` rows of another past of the same decoder, in the place of whatever it holds.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn copy(&mut self, graph: &str, other: &Self, rows: usize) -> Result<()> {
        self.reserve(graph, rows, 0)?;
        let failed = |error: ort::Error| runtime(graph, &error);
        let head_size = self.sizes.head_size;
        let heads = |capacity: usize| (capacity * head_size).max(1);
        for (value, other_value) in self.values.iter_mut().zip(&other.values) {
            let (_, numbers) = value.try_extract_tensor_mut::<f32>().map_err(failed)?;
            let (_, others) = other_value.try_extract_tensor::<f32>().map_err(failed)?;
            let numbers = numbers.chunks_exact_mut(heads(self.capacity));
            for (numbers, others) in numbers.zip(others.chunks_exact(heads(other.capacity))) {
                numbers[..rows * head_size].copy_from_slice(&others[..rows * head_size]);
            }
        }
        Ok(())
    }

    /// Makes room for `rows` rows, of which the first `kept` stay.
    fn reserve(&mut self, graph: &str, rows: usize, kept: usize) -> Result<()> {
        if rows <= self.capacity {
            return Ok(());
        }
        let failed = |error: ort::Error| runtime(graph, &error);
        let Sizes {
            layers,
            kv_heads,
            head_size,
            ..
        } = self.sizes;
        // By half at a time, so that what is copied over a whole text is about three times its length.
        let capacity = rows
            .max(self.capacity + self.capacity / 2)
            .next_multiple_of(GROWTH);
        let shape = [1, kv_heads as i64, capacity as i64, head_size as i64];
        let mut values = Vec::with_capacity(2 * layers);
        for layer in 0..2 * layers {
            let mut numbers = zeros::<f32>(Tensor {
                name: "past_key_values",
                numbers: Numbers::F32,
                shape: &shape,
            })?;
            if let Some(before) = self.values.get(layer) {
                let (_, before) = before.try_extract_tensor::<f32>().map_err(failed)?;
                let before = before.chunks_exact((self.capacity * head_size).max(1));
                for (new, before) in numbers.chunks_exact_mut(capacity * head_size).zip(before) {
                    new[..kept * head_size].copy_from_slice(&before[..kept * head_size]);
                }
            }
            let value = ort::value::Tensor::from_array((shape, numbers)).map_err(failed)?;
            values.push(value.upcast());
        }
        (self.values, self.capacity) = (values, capacity);
        Ok(())
    }
}

impl std::fmt::Debug for Past {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Past of up to {} rows", self.capacity)
    }
}

/// Makes a list so long, with zeros for what is new.
fn resize(list: &mut Vec<f32>, len: usize, what: &str) -> Result<()> {
    let more = len.saturating_sub(list.len());
    list.try_reserve_exact(more)
        .map_err(|_| Error::OutOfMemory {
            what: what.into(),
            bytes: len.saturating_mul(size_of::<f32>()),
        })?;
    list.resize(len, 0.0);
    Ok(())
}

/// The position of each new row.
fn positions_of(layout: &Layout, past: usize, rows: usize) -> Vec<i64> {
    match layout {
        Layout::Sequence => (past..past + rows)
            .map(|position| position as i64)
            .collect(),
        Layout::Tree { positions, .. } | Layout::Branches { positions, .. } => positions.to_vec(),
    }
}

/// 0 where a new row may look, [`NEVER`] elsewhere, `[S, past + S]`.
fn fill_bias(bias: &mut [f32], layout: &Layout, past: usize, rows: usize) {
    let total = past + rows;
    for row in 0..rows {
        let (before, own) = bias.split_at_mut(row * total);
        let own = &mut own[..total];
        let parent = match layout {
            Layout::Sequence => row.checked_sub(1),
            Layout::Tree { parents, .. } => parents.get(row).copied().flatten(),
            Layout::Branches {
                shared,
                before: places,
                ..
            } => {
                own.fill(NEVER);
                own[..*shared].fill(0.0);
                places
                    .iter()
                    .skip(row)
                    .take(1)
                    .flatten()
                    .for_each(|&place| own[place] = 0.0);
                own[past + row] = 0.0;
                continue;
            }
        };
        match parent {
            // Whoever the parent may look at, and it is one of those itself.
            Some(parent) => own.copy_from_slice(&before[parent * total..][..total]),
            None => {
                own[..past].fill(0.0);
                own[past..].fill(NEVER);
            }
        }
        own[past + row] = 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who looks at whom, as `x`.
    fn looks(layout: &Layout, past: usize, rows: usize) -> Vec<String> {
        let mut bias = vec![f32::NAN; rows * (past + rows)];
        fill_bias(&mut bias, layout, past, rows);
        let sign = |&bias: &f32| match bias {
            0.0 => 'x',
            NEVER => '.',
            _ => '?',
        };
        let line = |row: &[f32]| row.iter().map(sign).collect();
        bias.chunks(past + rows).map(line).collect()
    }

    #[test]
    fn a_sequence_looks_back_and_a_branch_along_itself() {
        assert_eq!(looks(&Layout::Sequence, 2, 3), ["xxx..", "xxxx.", "xxxxx"]);
        assert_eq!(looks(&Layout::Sequence, 0, 2), ["x.", "xx"]);
        let tree = Layout::Tree {
            positions: &[2, 3, 3, 2, 3],
            parents: &[None, Some(0), Some(0), None, Some(3)],
        };
        assert_eq!(
            looks(&tree, 2, 5),
            ["xxx....", "xxxx...", "xxx.x..", "xx...x.", "xx...xx"]
        );
        let branches = Layout::Branches {
            shared: 2,
            positions: &[4, 3],
            before: &[vec![2, 4], vec![3]],
        };
        assert_eq!(looks(&branches, 5, 2), ["xxx.xx.", "xx.x..x"]);
        assert_eq!(positions_of(&branches, 5, 2), [4, 3]);
        assert_eq!(positions_of(&tree, 2, 5), [2, 3, 3, 2, 3]);
        assert_eq!(positions_of(&Layout::Sequence, 2, 3), [2, 3, 4]);
    }
}
