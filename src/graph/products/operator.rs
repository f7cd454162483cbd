//! The operator that takes the place of ONNX Runtime's MatMulNBits.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorDomain, OperatorInput, OperatorOutput,
};
use ort::value::{TensorElementType, ValueRef};
use parking_lot::Mutex;

use super::attention::Attention;
use super::crew::Crew;
use super::kernel::{Chunk, Product, Shape, Vectors, round};
use super::{NAME, OURS, shape_of};

/// So many pieces of work are enough for threads to end together.
const PIECES: usize = 32;

/// Weights of so many bytes are one piece of work: some microseconds, where sharing takes one.
const PIECE_BYTES: usize = 64 << 10;

/// Multiplications of numbers that are one piece of work, where there are many rows.
const PIECE_PRODUCTS: usize = 4 << 20;

/// The operators, for one session with so many threads.
pub(in super::super) fn domain(threads: usize) -> ort::Result<OperatorDomain> {
    let crew = Crew::of(threads);
    let products = MatMulNBits {
        chunks: Arc::default(),
        crew: crew.clone(),
    };
    OperatorDomain::new(OURS)?
        .add(products)?
        .add(Attention { crew })
}

/// Products of rows `[…, K]` with weights `[N, K]`.
struct MatMulNBits {
    /// Rounded rows: the nodes of a session run one after the other.
    chunks: Arc<Mutex<Vec<Chunk>>>,
    /// Who helps, unless there is one thread only.
    crew: Option<Arc<Crew>>,
}

/// A node.
struct Node {
    vectors: Vectors,
    shape: Shape,
    chunks: Arc<Mutex<Vec<Chunk>>>,
    crew: Option<Arc<Crew>>,
}

impl Operator for MatMulNBits {
    type Kernel<'node> = Node;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        let kinds = [
            TensorElementType::Float32,
            TensorElementType::Uint8,
            TensorElementType::Float32,
        ];
        kinds.map(OperatorInput::required)
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [OperatorOutput::required(TensorElementType::Float32)]
    }

    fn create_kernel<'node>(&self, node: &KernelContext<'node>) -> ort::Result<Node> {
        let shape = shape_of(|name| node.get(name));
        let vectors = Vectors::best();
        Ok(Node {
            vectors: vectors.ok_or_else(|| ort::Error::new("no vectors that are known"))?,
            shape: shape.ok_or_else(|| ort::Error::new("attributes that are not known"))?,
            chunks: Arc::clone(&self.chunks),
            crew: self.crew.clone(),
        })
    }
}

impl Kernel for Node {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        guarded(|| self.multiply(context))
    }
}

impl Node {
    fn multiply(&self, context: &ComputeContext) -> ort::Result<()> {
        let shape = self.shape;
        let (rows, weights, scales) = (input(context, 0)?, input(context, 1)?, input(context, 2)?);
        let (dims, rows) = rows.try_extract_tensor::<f32>()?;
        let (_, weights) = weights.try_extract_tensor::<u8>()?;
        let (_, scales) = scales.try_extract_tensor::<f32>()?;
        let mut dims = dims.to_vec();
        match dims.last_mut() {
            Some(last) if usize::try_from(*last) == Ok(shape.k) => *last = shape.n as i64,
            _ => {
                return Err(ort::Error::new(format!(
                    "rows of {dims:?}, expected [.., {}]",
                    shape.k
                )));
            }
        }
        let out = context.output(0, dims)?;
        let mut out = out.ok_or_else(|| ort::Error::new("no output"))?;
        let (_, out) = out.try_extract_tensor_mut::<f32>()?;
        let count = rows.len() / shape.k;
        if count == 0 {
            return Ok(());
        }

        let mut chunks = self.chunks.lock();
        let needed = count * shape.chunks();
        let more = needed.saturating_sub(chunks.len());
        chunks
            .try_reserve(more)
            .map_err(|_| ort::Error::new(format!("no memory for {count} rounded rows")))?;
        if more > 0 {
            chunks.resize(needed, Chunk::EMPTY);
        }
        let chunks = &mut chunks[..needed];
        for (row, chunks) in rows
            .chunks_exact(shape.k)
            .zip(chunks.chunks_exact_mut(shape.chunks()))
        {
            round(self.vectors, shape.bits, row, chunks);
        }
        let product = Product::new(self.vectors, shape, weights, scales, chunks, out);
        let product =
            product.ok_or_else(|| ort::Error::new("tensors that do not fit the attributes"))?;
        let columns = columns(shape, count);
        let pieces = shape.n.div_ceil(columns);
        // SAFETY: each piece has columns of its own.
        let piece =
            |piece: usize| unsafe { product.columns(piece * columns..(piece + 1) * columns) };
        match &self.crew {
            Some(crew) if pieces > 1 => crew.share(pieces, &piece),
            _ => {
                (0..pieces).for_each(piece);
                Ok(())
            }
        }
    }
}

/// What an operator does: ONNX Runtime calls it from C++, where no panic may go.
pub(super) fn guarded(body: impl FnOnce() -> ort::Result<()>) -> ort::Result<()> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    outcome.unwrap_or_else(|_| Err(ort::Error::new("an operator has panicked")))
}

/// How many columns are one piece of work where so many rows are multiplied.
fn columns(shape: Shape, rows: usize) -> usize {
    let by_bytes = PIECE_BYTES.div_ceil(shape.row_bytes());
    let by_products = PIECE_PRODUCTS / (rows * shape.k);
    let least = by_bytes.min(by_products);
    least.max(shape.n / PIECES).max(1).next_multiple_of(8)
}

/// An input that is there.
pub(super) fn input(context: &ComputeContext, place: usize) -> ort::Result<ValueRef<'_>> {
    let input = context.input(place)?;
    input.ok_or_else(|| ort::Error::new(format!("no input {place}")))
}
