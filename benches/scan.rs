//! The scan over a catalog against other ways to score its rows, and against the memory they are read from.
//!
//! `cargo bench --bench scan`, or `cargo xtask scan`, which writes `docs/scan.md` from it. One query by dot product, one thread and two, on 1M x 64 and 100k x 256 rows in f32, f16
//! and i8, mapped from a file. In turns, 15 times each:
//!
//! - `read`: a plain sum of the bytes as u64, four vectors at once: what this machine reads at most;
//! - `plain`: 16 lanes of f32 as the compiler vectorises them for any processor of the target;
//! - `pulp`: the same loop, compiled for the vectors that this processor has;
//! - `simsimd`: its `dot` for each row (f16 and i8 with a point of the same type, so other numbers than ours);
//! - `oneiro`: `Recommender::similar` with 100 results, everything included: scores, top-k, filter; `exact` is i8 rows
//!   beside f32 ones.
//!
//! Beside the medians stands the speed of reading the rows, for `oneiro` with the scales and errors that it reads too, as
//! a share of `read`'s.

#![allow(unsafe_code, reason = "maps a file")]

#[allow(dead_code, reason = "`opening` uses the rest")]
mod made_up;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use half::f16;
use oneiro::{CallOptions, Engine, Filter, Recommender};
use pulp::{Arch, Simd, WithSimd};
use serde_json::{Value, json};
use simsimd::SpatialSimilarity;

type Anything<T> = Result<T, Box<dyn std::error::Error>>;

const SIZES: [(usize, usize); 2] = [(1_000_000, 64), (100_000, 256)];
const WAYS: [&str; 5] = ["read", "plain", "pulp", "simsimd", "oneiro"];
const TURNS: usize = 15;

fn main() -> Anything<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scan");
    println!("| rows | type | threads | {} |", WAYS.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(WAYS.len()));
    for (items, width) in SIZES {
        let rows = made_up_rows(items * width);
        for dtype in ["f32", "f16", "i8", "exact"] {
            let table = Table::write(&folder, dtype, &rows, items, width)?;
            for threads in [1, 2] {
                table.compare(threads)?;
            }
        }
    }
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// Any numbers will do, but the same ones on every machine.
fn made_up_rows(count: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut number = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    (0..count).map(|_| number()).collect()
}

/// A bundle of one space, and its rows as they are mapped.
struct Table {
    dtype: &'static str,
    items: usize,
    width: usize,
    map: memmap2::Mmap,
    user: Recommender,
}

impl Table {
    fn write(
        folder: &Path,
        dtype: &'static str,
        rows: &[f32],
        items: usize,
        width: usize,
    ) -> Anything<Self> {
        std::fs::create_dir_all(folder)?;
        let shape = vec![items, width];
        let floats = |numbers: &[f32]| bytemuck::cast_slice(numbers).to_vec();
        let exact = BTreeMap::from([("rows".to_owned(), ("F32", shape.clone(), floats(rows)))]);
        let tensors = match dtype {
            "f32" => exact.clone(),
            "f16" => {
                let halves: Vec<f16> = rows.iter().map(|&x| f16::from_f32(x)).collect();
                let bytes = bytemuck::cast_slice(&halves).to_vec();
                BTreeMap::from([("rows".to_owned(), ("F16", shape, bytes))])
            }
            _ => quantised(rows, shape),
        };
        let mut parts = serde_json::Map::new();
        let mut part = |name: &str, bytes: &[u8]| -> Anything<PathBuf> {
            let path = folder.join(name);
            std::fs::write(&path, bytes)?;
            std::fs::File::open(&path)?.sync_all()?;
            let entry = json!({ "file": name, "bytes": bytes.len(), "sha256": "0".repeat(64) });
            parts.insert(name.into(), entry);
            Ok(path)
        };
        part("catalog", &made_up::catalog(items))?;
        let path = part("items", &made_up::safetensors(&tensors))?;
        let kind = if dtype == "exact" { "i8" } else { dtype };
        let mut space = json!({ "part": "items", "rows": items, "width": width, "dtype": kind, "metric": "dot" });
        if dtype == "exact" {
            part("exact", &made_up::safetensors(&exact))?;
            space["exact"] = "exact".into();
        }
        let manifest = json!({
            "format": 1, "name": "scan", "seen": "allow", "similar": "items",
            "parts": Value::Object(parts),
            "catalog": { "part": "catalog", "items": items },
            "spaces": { "items": space },
            "recipe": { "steps": [{ "retrieve": "popularity", "count": 100 }], "cold": "popularity" },
        });
        std::fs::write(folder.join("manifest.json"), manifest.to_string())?;
        // SAFETY: nobody else writes into this folder while the benchmark runs.
        let map = unsafe { memmap2::Mmap::map(&std::fs::File::open(path)?)? };
        Ok(Self {
            dtype,
            items,
            width,
            map,
            user: Engine::open(folder)?.recommender(),
        })
    }

    /// The rows: they stand at the end of their file.
    fn rows<T: bytemuck::AnyBitPattern>(&self) -> &[T] {
        let bytes = self.items * self.width * size_of::<T>();
        bytemuck::cast_slice(&self.map[self.map.len() - bytes..])
    }

    fn compare(&self, threads: usize) -> Anything<()> {
        let (row_bytes, beside, ways) = match self.dtype {
            "f32" => (4 * self.width, 0, self.ways::<f32>(threads, |x| x)),
            "f16" => (2 * self.width, 0, self.ways::<f16>(threads, f16::from_f32)),
            dtype => {
                let beside = if dtype == "exact" { 8 } else { 4 };
                let ways = self.ways::<i8>(threads, |x| x as i8);
                (self.width, beside, ways)
            }
        };
        let mut times = vec![Vec::new(); ways.len()];
        for _ in 0..TURNS {
            for ((_, way), times) in ways.iter().zip(&mut times) {
                let started = Instant::now();
                way();
                times.push(started.elapsed().as_secs_f64());
            }
        }
        let dtype = if self.dtype == "exact" {
            "i8, exact"
        } else {
            self.dtype
        };
        print!("| {} x {} | {dtype} | {threads} |", self.items, self.width);
        let mut read = None;
        for name in WAYS {
            let Some(way) = ways.iter().position(|(way, _)| *way == name) else {
                print!(" |");
                continue;
            };
            times[way].sort_by(f64::total_cmp);
            let time = times[way][TURNS / 2];
            let bytes = match name {
                "read" => self.map.len(),
                "oneiro" => (row_bytes + beside) * self.items,
                _ => row_bytes * self.items,
            };
            let speed = bytes as f64 / time / 1e9;
            match read {
                None => print!(" {speed:.1} GB/s |"),
                Some(read) => print!(" {:.1} ms, {:.0} % |", time * 1e3, 100.0 * speed / read),
            }
            read = read.or(Some(speed));
        }
        println!();
        Ok(())
    }

    fn ways<'a, T>(&'a self, threads: usize, narrow: fn(f32) -> T) -> Vec<(&'static str, Way<'a>)>
    where
        T: Number + 'a,
    {
        let rows = self.rows::<T>();
        let width = self.width;
        let point: Vec<f32> = rows[..width].iter().map(|x| x.widen()).collect();
        let same: Vec<T> = point.iter().map(|&x| narrow(x)).collect();
        let (plain, fast) = (point.clone(), point);
        let whole = &self.map[..self.map.len() / 64 * 64];
        let mut options = CallOptions::default();
        options.threads = threads;
        let mut ways: Vec<(&'static str, Way<'a>)> = vec![(
            "read",
            Box::new(move || {
                shared(whole, 64, threads, |bytes| {
                    black_box(Arch::new().dispatch(Read(bytes)));
                });
            }),
        )];
        if self.dtype != "exact" {
            ways.push((
                "plain",
                Box::new(move || {
                    shared(rows, width, threads, |rows| {
                        rows.chunks_exact(width).for_each(|row| {
                            black_box(lanes(row, &plain));
                        });
                    });
                }),
            ));
            ways.push((
                "pulp",
                Box::new(move || {
                    shared(rows, width, threads, |rows| {
                        Arch::new().dispatch(Lanes(rows, &fast));
                    });
                }),
            ));
            ways.push((
                "simsimd",
                Box::new(move || {
                    shared(rows, width, threads, |rows| {
                        rows.chunks_exact(width).for_each(|row| {
                            black_box(T::simsimd(row, &same));
                        });
                    });
                }),
            ));
        }
        ways.push((
            "oneiro",
            Box::new(move || {
                let found = self.user.similar_with(0, 100, &Filter::default(), &options);
                assert!(found.is_ok_and(|found| found.len() == 100));
            }),
        ));
        ways
    }
}

type Way<'a> = Box<dyn Fn() + 'a>;

/// Runs `search` over equal shares of some rows, each in a thread.
fn shared<T: Sync>(rows: &[T], width: usize, threads: usize, search: impl Fn(&[T]) + Sync) {
    let share = (rows.len() / width).div_ceil(threads) * width;
    std::thread::scope(|scope| {
        let (first, rest) = rows.split_at(share.min(rows.len()));
        for rows in rest.chunks(share) {
            let search = &search;
            scope.spawn(move || search(rows));
        }
        search(first);
    });
}

/// `row ≈ scale·q`, as `oneiro_models` writes it.
fn quantised(
    rows: &[f32],
    shape: Vec<usize>,
) -> BTreeMap<String, (&'static str, Vec<usize>, Vec<u8>)> {
    let (mut q, mut scales, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows.chunks(shape[1]) {
        let scale = row.iter().fold(0f32, |most, x| most.max(x.abs())) / 127.0;
        let mut squares = 0.0;
        for x in row {
            let rounded = (x / scale).round_ties_even().clamp(-127.0, 127.0);
            squares += (f64::from(*x) - f64::from(scale) * f64::from(rounded)).powi(2);
            q.push(rounded as i8);
        }
        scales.push(scale);
        errors.push(squares.sqrt() as f32);
    }
    let list = |numbers: &[f32]| {
        (
            "F32",
            vec![shape[0]],
            bytemuck::cast_slice(numbers).to_vec(),
        )
    };
    BTreeMap::from([
        ("scale".to_owned(), list(&scales)),
        ("error".to_owned(), list(&errors)),
        (
            "rows".to_owned(),
            ("I8", shape, bytemuck::cast_slice(&q).to_vec()),
        ),
    ])
}

trait Number: bytemuck::AnyBitPattern + Send + Sync {
    fn widen(self) -> f32;
    fn simsimd(row: &[Self], point: &[Self]) -> Option<f64>;
}

impl Number for f32 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    fn simsimd(row: &[Self], point: &[Self]) -> Option<f64> {
        <f32 as SpatialSimilarity>::dot(row, point)
    }
}

impl Number for i8 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from(self)
    }

    fn simsimd(row: &[Self], point: &[Self]) -> Option<f64> {
        <i8 as SpatialSimilarity>::dot(row, point)
    }
}

impl Number for f16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        self.to_f32()
    }

    fn simsimd(row: &[Self], point: &[Self]) -> Option<f64> {
        // SAFETY: both are one u16, transparent or alone in a C struct.
        let theirs = |numbers: &[Self]| unsafe {
            std::slice::from_raw_parts(numbers.as_ptr().cast::<simsimd::f16>(), numbers.len())
        };
        <simsimd::f16 as SpatialSimilarity>::dot(theirs(row), theirs(point))
    }
}

#[inline(always)]
fn lanes<T: Number>(row: &[T], point: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let (rows, points) = (row.as_chunks::<16>().0, point.as_chunks::<16>().0);
    for (row, point) in rows.iter().zip(points) {
        for lane in 0..16 {
            sums[lane] += row[lane].widen() * point[lane];
        }
    }
    sums.iter().sum()
}

struct Lanes<'a, T>(&'a [T], &'a [f32]);

impl<T: Number> WithSimd for Lanes<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for row in self.0.chunks_exact(self.1.len()) {
            black_box(lanes(row, self.1));
        }
    }
}

struct Read<'a>(&'a [u8]);

impl WithSimd for Read<'_> {
    type Output = u64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> u64 {
        let mut sums = [0u64; 16];
        for block in bytemuck::cast_slice::<u8, u64>(self.0).as_chunks::<16>().0 {
            for lane in 0..16 {
                sums[lane] = sums[lane].wrapping_add(block[lane]);
            }
        }
        sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
    }
}
