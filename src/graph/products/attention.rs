//! Attention of a single row: the operator that takes the place of ONNX Runtime's GroupQueryAttention where a text grows
//! by a token at a time.
//!
//! Queries and keys are turned by their position (RoPE, Su et al., arXiv 2104.09864: pairs `(i, i + h/2)`); the key and the
//! value of the row are put behind those before; and of each head `out = Σ_t softmax_t(scale·⟨query, key_t⟩ + bias_t)·value_t`
//! over the keys and values of its group (grouped-query attention, Ainslie et al., arXiv 2305.13245).

use std::sync::Arc;

use ort::operator::{
    ComputeContext, Kernel, KernelContext, Operator, OperatorInput, OperatorOutput,
};
use ort::value::{TensorElementType, ValueRefMut};
use parking_lot::Mutex;
use pulp::{Arch, Simd, WithSimd};

use super::super::onnx::Node;
use super::RUNTIME;
use super::crew::Crew;
use super::operator::{guarded, input};
use crate::exponential::exponential;

pub(super) const NAME: &str = "GroupQueryAttention";

const LANES: usize = 16;

/// The inputs: queries, keys and values in one row; nothing and nothing; keys and values before; the place of the row, the
/// number of rows; cosines and sines; the position; the bias.
const INPUTS: usize = 11;

const MOST_HEADS: usize = 1 << 12;

/// The operator, for one session.
pub(super) struct Attention {
    pub(super) crew: Option<Arc<Crew>>,
}

/// A node.
pub(super) struct OfNode {
    heads: usize,
    kv_heads: usize,
    /// Of the products; 1/√h if not given, or 0.
    scale: Option<f32>,
    crew: Option<Arc<Crew>>,
}

/// Whether the operator takes a node.
pub(super) fn is_known(node: &Node) -> bool {
    let known = ["num_heads", "kv_num_heads", "do_rotary", "scale"];
    let attribute = |name: &str| {
        let mut attributes = node.attribute.iter();
        let found = attributes.find(|attribute| attribute.name == name);
        found.map_or(0, |attribute| attribute.i)
    };
    let is_there = |place: usize| node.input.get(place).is_some_and(|name| !name.is_empty());
    let heads = [attribute("num_heads"), attribute("kv_num_heads")];
    let mut attributes = node.attribute.iter();
    node.op_type == NAME
        && node.domain == RUNTIME
        && node.input.len() == INPUTS
        && (0..INPUTS).all(|place| is_there(place) != [1, 2].contains(&place))
        && attributes.all(|attribute| known.contains(&attribute.name.as_str()))
        && attribute("do_rotary") == 1
        && heads
            .iter()
            .all(|count| (1..=MOST_HEADS as i64).contains(count))
        && heads[0] % heads[1] == 0
}

impl Operator for Attention {
    type Kernel<'node> = OfNode;

    fn name(&self) -> &str {
        NAME
    }

    fn inputs(&self) -> impl IntoIterator<Item = OperatorInput> {
        use TensorElementType::{Float32, Int32, Int64};
        let optional = || OperatorInput::optional(Float32);
        [
            OperatorInput::required(Float32),
            optional(),
            optional(),
            OperatorInput::required(Float32),
            OperatorInput::required(Float32),
            OperatorInput::required(Int32),
            OperatorInput::required(Int32),
            OperatorInput::required(Float32),
            OperatorInput::required(Float32),
            OperatorInput::required(Int64),
            OperatorInput::required(Float32),
        ]
    }

    fn outputs(&self) -> impl IntoIterator<Item = OperatorOutput> {
        [TensorElementType::Float32; 3].map(OperatorOutput::required)
    }

    fn create_kernel<'node>(&self, node: &KernelContext<'node>) -> ort::Result<OfNode> {
        let count = |name: &str| {
            let found: Option<i64> = node.get(name);
            let found = found.and_then(|count| usize::try_from(count).ok());
            found.ok_or_else(|| ort::Error::new(format!("no attribute `{name}`")))
        };
        let (heads, kv_heads) = (count("num_heads")?, count("kv_num_heads")?);
        let known = 1..=MOST_HEADS;
        if !known.contains(&heads) || !known.contains(&kv_heads) || heads % kv_heads != 0 {
            return Err(wrong(format!(
                "{heads} heads, {kv_heads} of keys and values"
            )));
        }
        Ok(OfNode {
            heads,
            kv_heads,
            scale: node.get("scale").filter(|&scale: &f32| scale != 0.0),
            crew: self.crew.clone(),
        })
    }
}

impl Kernel for OfNode {
    fn compute(&mut self, context: &ComputeContext) -> ort::Result<()> {
        guarded(|| self.attend(context))
    }
}

impl OfNode {
    fn attend(&self, context: &ComputeContext) -> ort::Result<()> {
        let Self {
            heads, kv_heads, ..
        } = *self;
        let [row, cos, sin, bias] = [0, 7, 8, 10].map(|place| input(context, place));
        let [row, cos, sin, bias] = [row?, cos?, sin?, bias?];
        let (last, position) = (input(context, 5)?, input(context, 9)?);
        let (row_dims, row) = row.try_extract_tensor::<f32>()?;
        let (turn_dims, cos) = cos.try_extract_tensor::<f32>()?;
        let (_, sin) = sin.try_extract_tensor::<f32>()?;
        let (bias_dims, bias) = bias.try_extract_tensor::<f32>()?;
        let (_, last) = last.try_extract_tensor::<i32>()?;
        let (_, position) = position.try_extract_tensor::<i64>()?;

        let size = row.len() / (heads + 2 * kv_heads);
        let half = size / 2;
        let width = row.len() as i64;
        let (&[last], &[position]) = (last, position) else {
            return Err(wrong("more rows than one".into()));
        };
        let last = usize::try_from(last).map_err(|_| wrong(format!("row {last}")))?;
        let place = usize::try_from(position).ok();
        let place = place.filter(|&place| place < cos.len() / half.max(1));
        let place = place.ok_or_else(|| wrong(format!("position {position}")))?;
        let fits = size > 0
            && size.is_multiple_of(LANES)
            && row.len() == size * (heads + 2 * kv_heads)
            && row_dims[..] == [1, 1, width]
            && turn_dims.len() == 2
            && turn_dims[1] == half as i64
            && sin.len() == cos.len()
            && bias_dims[..] == [1, 1, 1, bias.len() as i64]
            && bias.len() == last + 1;
        if !fits {
            let found = format!("{row_dims:?}, {turn_dims:?}, {bias_dims:?}, row {last}");
            return Err(wrong(found));
        }
        let turns = place * half..(place + 1) * half;
        let (cos, sin) = (&cos[turns.clone()], &sin[turns]);
        let mut row = row.to_vec();
        let (turned, new_values) = row.split_at_mut((heads + kv_heads) * size);
        for head in turned.chunks_exact_mut(size) {
            turn(head, cos, sin);
        }
        let (queries, new_keys) = turned.split_at(heads * size);
        let (mut keys, mut values) = (kept(context, 3, 1)?, kept(context, 4, 2)?);
        let (capacity, keys) = self.append(&mut keys, last, size, new_keys)?;
        let (of_values, values) = self.append(&mut values, last, size, new_values)?;
        if of_values != capacity {
            return Err(wrong(format!("{capacity} keys, {of_values} values")));
        }

        let group = heads / kv_heads * size;
        let out = context.output(0, [1, 1, (heads * size) as i64])?;
        let mut out = out.ok_or_else(|| wrong("no output".into()))?;
        let (_, out) = out.try_extract_tensor_mut::<f32>()?;
        let outs: Vec<Mutex<&mut [f32]>> = out.chunks_exact_mut(group).map(Mutex::new).collect();
        let scale = self.scale.unwrap_or_else(|| (size as f32).sqrt().recip());
        let attend = |head: usize| {
            let rows = head * capacity * size..(head * capacity + last + 1) * size;
            Arch::new().dispatch(Attend {
                queries: &queries[head * group..][..group],
                keys: &keys[rows.clone()],
                values: &values[rows],
                bias,
                scale,
                size,
                out: &mut outs[head].lock(),
            });
        };
        match &self.crew {
            Some(crew) if kv_heads > 1 => crew.share(kv_heads, &attend),
            _ => {
                (0..kv_heads).for_each(attend);
                Ok(())
            }
        }
    }

    /// The cache `[1, kv_heads, capacity, h]` with the key or value of every head put at a row, and its capacity.
    fn append<'a>(
        &self,
        cache: &'a mut ValueRefMut<'_>,
        row: usize,
        size: usize,
        new: &[f32],
    ) -> ort::Result<(usize, &'a [f32])> {
        let (dims, cache) = cache.try_extract_tensor_mut::<f32>()?;
        let dims = dims.to_vec();
        let capacity = match dims[..] {
            [1, heads, capacity, width]
                if (heads, width) == (self.kv_heads as i64, size as i64) =>
            {
                usize::try_from(capacity).unwrap_or_default()
            }
            _ => 0,
        };
        let wanted = capacity.checked_mul(self.kv_heads * size);
        if row >= capacity || wanted != Some(cache.len()) {
            return Err(wrong(format!("keys or values {dims:?}, row {row}")));
        }
        let heads = cache.chunks_exact_mut(capacity * size);
        for (cache, new) in heads.zip(new.chunks_exact(size)) {
            cache[row * size..][..size].copy_from_slice(new);
        }
        Ok((capacity, cache))
    }
}

fn wrong(what: String) -> ort::Error {
    ort::Error::new(format!("attention of one row: {what}"))
}

/// The buffer of keys or values that comes out: the one that went in, or a copy of it.
fn kept<'a>(context: &'a ComputeContext, from: usize, to: usize) -> ort::Result<ValueRefMut<'a>> {
    let before = input(context, from)?;
    let (dims, numbers) = before.try_extract_tensor::<f32>()?;
    let (dims, start) = (dims.to_vec(), numbers.as_ptr());
    let after = context.output(to, dims)?;
    let mut after = after.ok_or_else(|| wrong(format!("no output {to}")))?;
    let (_, numbers) = after.try_extract_tensor_mut::<f32>()?;
    if numbers.as_ptr() != start {
        numbers.copy_from_slice(before.try_extract_tensor::<f32>()?.1);
    }
    Ok(after)
}

/// Turns a head by the angles of its position.
fn turn(head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, second) = head.split_at_mut(cos.len());
    for (((x, y), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
    }
}

/// The heads that share keys and values.
struct Attend<'a> {
    /// `[group, h]`
    queries: &'a [f32],
    /// `[T, h]`
    keys: &'a [f32],
    /// `[T, h]`
    values: &'a [f32],
    /// `[T]`
    bias: &'a [f32],
    scale: f32,
    /// h, a multiple of the lanes.
    size: usize,
    /// `[group, h]`
    out: &'a mut [f32],
}

impl WithSimd for Attend<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let total = self.bias.len();
        let blocks = self.size / LANES;
        let (keys, _) = self.keys.as_chunks::<LANES>();
        let (values, _) = self.values.as_chunks::<LANES>();
        let mut weights = vec![0.0_f32; total.next_multiple_of(LANES)];
        let heads = self.queries.chunks_exact(self.size);
        for (query, out) in heads.zip(self.out.chunks_exact_mut(self.size)) {
            let (query, _) = query.as_chunks::<LANES>();
            let mut greatest = f32::NEG_INFINITY;
            for at in 0..total {
                let key = &keys[at * blocks..(at + 1) * blocks];
                let mut sums = [0.0_f32; LANES];
                for (query, key) in query.iter().zip(key) {
                    for lane in 0..LANES {
                        sums[lane] += query[lane] * key[lane];
                    }
                }
                let weight = folded(sums) * self.scale + self.bias[at];
                weights[at] = weight;
                greatest = greatest.max(weight);
            }
            // Beyond the rows there is nothing.
            for weight in &mut weights[total..] {
                *weight = f32::NEG_INFINITY;
            }
            let mut sums = [0.0_f32; LANES];
            let (chunks, _) = weights.as_chunks_mut::<LANES>();
            for chunk in chunks {
                for lane in 0..LANES {
                    chunk[lane] = exponential(chunk[lane] - greatest);
                    sums[lane] += chunk[lane];
                }
            }
            let sum = folded(sums);
            let (out, _) = out.as_chunks_mut::<LANES>();
            for (block, out) in out.iter_mut().enumerate() {
                let mut sums = [0.0_f32; LANES];
                for at in 0..total {
                    let value = &values[at * blocks + block];
                    let weight = weights[at];
                    for lane in 0..LANES {
                        sums[lane] += weight * value[lane];
                    }
                }
                for lane in 0..LANES {
                    out[lane] = sums[lane] / sum;
                }
            }
        }
    }
}

/// The sum of lanes, halves first.
#[inline(always)]
fn folded(mut lanes: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::super::onnx::Attribute;
    use super::*;

    fn number(at: usize) -> f32 {
        ((at * 7919 + 13) % 2003) as f32 / 1000.0 - 1.0
    }

    /// One that is known.
    pub(in super::super) fn node() -> Node {
        let attribute = |(name, i): (&str, i64)| Attribute {
            name: name.into(),
            i,
            ..Attribute::default()
        };
        let attributes = [
            ("num_heads", 6),
            ("kv_num_heads", 2),
            ("do_rotary", 1),
            ("scale", 0),
        ];
        let inputs = ["x", "", "", "k", "v", "l", "t", "c", "s", "p", "b"];
        Node {
            input: inputs.map(Into::into).into(),
            op_type: NAME.into(),
            attribute: attributes.map(attribute).into(),
            domain: RUNTIME.into(),
        }
    }

    #[test]
    fn a_head_attends_as_in_f64() {
        for (total, size, group) in [(1, 16, 1), (5, 32, 2), (40, 64, 3), (300, 128, 7)] {
            let numbers = |count: usize, from: usize| -> Vec<f32> {
                (from..from + count).map(number).collect()
            };
            let (queries, keys) = (numbers(group * size, 3), numbers(total * size, 1000));
            let values = numbers(total * size, 5000);
            let mut bias = numbers(total, 77);
            // One may not be looked at.
            if total > 3 {
                bias[2] = -1e30;
            }
            let mut out = vec![f32::NAN; group * size];
            Arch::new().dispatch(Attend {
                queries: &queries,
                keys: &keys,
                values: &values,
                bias: &bias,
                scale: 0.3,
                size,
                out: &mut out,
            });
            for (query, out) in queries.chunks(size).zip(out.chunks(size)) {
                let weight = |at: usize| {
                    let key = &keys[at * size..][..size];
                    let product = query
                        .iter()
                        .zip(key)
                        .map(|(a, b)| f64::from(a * b))
                        .sum::<f64>();
                    (product * 0.3 + f64::from(bias[at])).exp()
                };
                let weights: Vec<f64> = (0..total).map(weight).collect();
                let sum: f64 = weights.iter().sum();
                for (lane, found) in out.iter().enumerate() {
                    let terms = weights.iter().enumerate();
                    let terms =
                        terms.map(|(at, weight)| weight * f64::from(values[at * size + lane]));
                    let expected = terms.sum::<f64>() / sum;
                    let apart = (f64::from(*found) - expected).abs();
                    assert!(apart < 1e-5, "{total}, {size}: {found}, {expected}");
                }
            }
        }
    }

    #[test]
    fn a_head_is_turned_pair_by_pair() {
        let mut head = [1.0, 0.0, 0.0, 2.0];
        turn(&mut head, &[0.0, 0.6], &[1.0, 0.8]);
        assert_eq!(head, [0.0, -1.6, 1.0, 1.2]);
    }

    #[test]
    fn only_the_attention_of_the_packed_form_is_known() {
        let node = |edit: &dyn Fn(&mut Node)| {
            let mut node = node();
            edit(&mut node);
            is_known(&node)
        };
        assert!(node(&|_| ()));
        let edits: [&dyn Fn(&mut Node); 8] = [
            &|node| node.domain = String::new(),
            &|node| node.op_type = "Attention".into(),
            &|node| node.input[1] = "keys".into(),
            &|node| node.input[10] = String::new(),
            &|node| node.input.truncate(9),
            &|node| node.attribute[0].i = 5,
            &|node| node.attribute[2].i = 0,
            &|node| node.attribute[3].name = "softcap".into(),
        ];
        for (place, edit) in edits.into_iter().enumerate() {
            assert!(!node(edit), "{place}");
        }
    }
}
