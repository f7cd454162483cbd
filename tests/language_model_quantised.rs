//! Language models of 4 and 8 bits answer as the numbers that their weights stand for, by our kernels and by ONNX
//! Runtime's.
//!
//! `models/tiny-lm-int` has one Llama in int4 (`lm`), with the same weights multiplied in f32 (`exact`) and in `int8`, and
//! a `qwen2` with biases in int4. `golden_lm.py` wrote what transformers answers with those weights read back as f32.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]
#![cfg(feature = "llm")]

mod changed;

use std::fs;
use std::path::Path;

use oneiro::{
    Bundle, Cancel, Engine, EngineOptions, GenerateOptions, Kernels, LanguageModel, Prompt,
    ScoreOptions,
};
use safetensors::SafeTensors;

const BUNDLE: &str = "models/tiny-lm-int";
const PROMPTS: usize = 5;

/// The models whose products with weights of 4 bits can all be ours.
const OURS: [&str; 2] = ["lm", "qwen2"];

fn engine(bundle: impl AsRef<Path>, kernels: Kernels) -> Engine {
    threaded(bundle, kernels, 1)
}

fn threaded(bundle: impl AsRef<Path>, kernels: Kernels, threads: usize) -> Engine {
    let mut options = EngineOptions::default();
    (options.graph.kernels, options.graph.threads) = (kernels, threads);
    Engine::from_bundle(Bundle::open(bundle.as_ref()).unwrap(), &options).unwrap()
}

fn model(engine: &Engine, name: &str) -> LanguageModel {
    engine.language_model(Some(name)).unwrap()
}

/// Whether this processor is one that our kernels are for.
fn has_kernels() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Tokens as a prompt; the model puts its begin token in front by itself.
fn prompt(ids: &[u32]) -> Prompt {
    ids[1..]
        .iter()
        .fold(Prompt::new(), |prompt, &token| prompt.token(token))
}

struct Golden(Vec<u8>);

impl Golden {
    fn read() -> Self {
        Self(fs::read("tests/golden/tiny-lm-int.safetensors").unwrap())
    }

    fn data(&self, name: &str) -> Vec<u8> {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        file.tensor(name).unwrap().data().to_vec()
    }

    /// The tokens of each prompt, the begin token first.
    fn prompts(&self) -> Vec<Vec<u32>> {
        let token = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap());
        let ids = |number| self.data(&format!("text{number}.ids"));
        let prompt = |number| {
            let ids = ids(number);
            let tokens = ids.chunks_exact(8).map(token);
            tokens.map(|token| u32::try_from(token).unwrap()).collect()
        };
        (0..PROMPTS).map(prompt).collect()
    }

    /// The logits of a network after each token of a prompt.
    fn logits(&self, network: &str, number: usize, rows: usize) -> Vec<Vec<f32>> {
        let data = self.data(&format!("{network}.text{number}"));
        let float = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
        let floats: Vec<f32> = data.chunks_exact(4).map(float).collect();
        floats
            .chunks(floats.len() / rows)
            .map(<[f32]>::to_vec)
            .collect()
    }
}

/// How logits compare with what they should be, all positions together.
struct Apart {
    /// The root of the mean square of the differences, as a part of that of the logits.
    rms: f64,
    /// The greatest difference, as the same part.
    most: f64,
    /// In how many positions the likeliest token is the same, of all.
    same: (usize, usize),
}

impl Apart {
    fn of(found: &[Vec<f32>], expected: &[Vec<f32>]) -> Self {
        let (mut square, mut size, mut count, mut most) = (0.0, 0.0, 0, 0.0_f64);
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                let apart = f64::from(found - expected);
                square += apart * apart;
                size += f64::from(*expected) * f64::from(*expected);
                count += 1;
                most = most.max(apart.abs());
            }
        }
        let best = |logits: &[f32]| {
            let places = 0..logits.len();
            places.max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
        };
        let pairs = found.iter().zip(expected);
        let same = pairs.filter(|(found, expected)| best(found) == best(expected));
        Self {
            rms: (square / size).sqrt(),
            most: most / (size / f64::from(count)).sqrt(),
            same: (same.count(), expected.len()),
        }
    }

    fn agreement(&self) -> f64 {
        self.same.0 as f64 / self.same.1 as f64
    }
}

/// Compares the model `name` with the golden logits of `network`.
fn compare(golden: &Golden, name: &str, network: &str, kernels: Kernels) -> Apart {
    let engine = engine(BUNDLE, kernels);
    let mut model = model(&engine, name);
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (number, ids) in golden.prompts().iter().enumerate() {
        for end in 1..=ids.len() {
            model.forget();
            found.push(model.logits(&prompt(&ids[..end]), &Cancel::new()).unwrap());
        }
        expected.extend(golden.logits(network, number, ids.len()));
    }
    Apart::of(&found, &expected)
}

#[test]
fn what_multiplies_in_f32_answers_as_the_numbers_do_that_weights_stand_for() {
    let golden = Golden::read();
    for kernels in [Kernels::Own, Kernels::Runtime] {
        let Apart { rms, most, same } = compare(&golden, "exact", "lm", kernels);
        assert!(
            most <= 1e-3 && same.0 == same.1,
            "{kernels:?}: apart by {rms:.1e} of their size, {most:.1e} at most; the same token in {same:?}"
        );
    }
}

#[test]
fn what_rounds_rows_to_8_bits_is_close_to_it() {
    let golden = Golden::read();
    for kernels in [Kernels::Own, Kernels::Runtime] {
        for name in ["lm", "int8", "qwen2"] {
            let apart = compare(&golden, name, name, kernels);
            let told = format!(
                "`{name}`, {kernels:?}: apart by {:.2} % of their size, the same token in {:?}",
                100.0 * apart.rms,
                apart.same
            );
            println!("{told}");
            assert!(apart.rms <= 3e-2 && apart.agreement() >= 0.98, "{told}");
        }
    }
}

#[test]
fn our_kernels_take_weights_as_they_lie() {
    // Without the models whose weights ONNX Runtime rearranges.
    let folder = changed::copy(BUNDLE, |manifest| {
        for name in ["exact", "int8"] {
            let head = format!("{name}.head");
            for (kind, name) in [
                ("language_models", name),
                ("graphs", name),
                ("graphs", &head),
            ] {
                manifest[kind]
                    .as_object_mut()
                    .unwrap()
                    .remove(name)
                    .unwrap();
            }
        }
    });
    // Name, mapped and private bytes of each part with weights that a graph has.
    let weights = |kernels| {
        let parts = engine(folder.path(), kernels).memory().parts.into_iter();
        let weights = parts.map(|part| (part.name, part.mapped_bytes, part.private_bytes));
        weights
            .filter(|(name, ..)| name.ends_with("weights") && !name.starts_with("int8"))
            .collect::<Vec<_>>()
    };
    let own = weights(Kernels::Own);
    assert_eq!(own.len(), 3, "{own:?}");
    for (name, mapped, private) in own {
        assert!(mapped > 0, "{name}");
        assert_eq!(private, if has_kernels() { 0 } else { mapped }, "{name}");
    }
    for (name, mapped, private) in weights(Kernels::Runtime) {
        assert_eq!(private, mapped, "{name}");
    }
}

#[test]
fn by_our_kernels_a_prompt_in_parts_of_several_rows_is_the_same_to_the_bit() {
    if !has_kernels() {
        return;
    }
    let (golden, cancel) = (Golden::read(), Cancel::new());
    let engine = engine(BUNDLE, Kernels::Own);
    for name in OURS {
        let mut kept = model(&engine, name);
        for ids in golden.prompts() {
            let whole = prompt(&ids);
            let expected = model(&engine, name).logits(&whole, &cancel).unwrap();
            // ONNX Runtime's attention takes 32 rows at a time, and adds up in another order for a row by itself.
            let alone = |rows: usize| rows % 32 == 1;
            for cut in 2..ids.len() {
                if alone(cut) || alone(ids.len() - cut) {
                    continue;
                }
                let what = format!("`{name}`, {cut} rows of {} first", ids.len());
                kept.forget();
                kept.logits(&prompt(&ids[..cut]), &cancel).unwrap();
                let found = kept.logits(&whole, &cancel).unwrap();
                assert!(found == expected, "{what}");
                let other = [&ids[..cut], &[17, 23, 5]].concat();
                kept.logits(&prompt(&other), &cancel).unwrap();
                let found = kept.logits(&whole, &cancel).unwrap();
                assert!(found == expected, "{what}, and others behind them before");
            }
        }
    }
}

/// Logits of each position, and scores of all titles after each prompt: as they are by themselves, and as they are one
/// after the other and along a tree.
fn both_ways(engine: &Engine, name: &str) -> [[Vec<Vec<f32>>; 2]; 2] {
    let (golden, cancel) = (Golden::read(), Cancel::new());
    let catalog = engine.catalog();
    let title = |item| catalog.title(item).unwrap().unwrap().to_owned();
    let titles: Vec<String> = (0..catalog.len()).map(title).collect();
    let (mut kept, mut fresh) = (model(engine, name), model(engine, name));
    let mut found = <[[Vec<_>; 2]; 2]>::default();
    for ids in golden.prompts().into_iter().take(4) {
        for end in 1..=ids.len() {
            let part = prompt(&ids[..end]);
            fresh.forget();
            found[0][0].push(fresh.logits(&part, &cancel).unwrap());
            found[0][1].push(kept.logits(&part, &cancel).unwrap());
        }
        let whole = prompt(&ids);
        let alone = titles.iter().map(|title| {
            let scores = fresh.score(&whole, &[title], &ScoreOptions::default());
            scores.unwrap()[0]
        });
        found[1][0].push(alone.collect());
        found[1][1].push(
            kept.score(&whole, &titles, &ScoreOptions::default())
                .unwrap(),
        );
    }
    found
}

#[test]
fn however_rows_are_read_they_mean_the_same_but_for_a_rounding() {
    // With our kernels, rows that come one by one attend by our operator, those of a prompt by ONNX Runtime's.
    for (kernels, threads) in [(Kernels::Own, 1), (Kernels::Own, 2), (Kernels::Runtime, 1)] {
        let engine = threaded(BUNDLE, kernels, threads);
        for (name, allowed) in [
            ("exact", 1e-5),
            ("lm", 1e-2),
            ("int8", 1e-2),
            ("qwen2", 1e-2),
        ] {
            let both = both_ways(&engine, name);
            for (what, [alone, together]) in ["logits", "scores"].into_iter().zip(both) {
                let apart = Apart::of(&together, &alone);
                let told = format!(
                    "{what} of `{name}`, {kernels:?}, {threads}: apart by {:.1e} of their size, {:.1e} at most, the best the same in {:?}",
                    apart.rms, apart.most, apart.same
                );
                println!("{told}");
                assert!(apart.rms <= allowed && apart.agreement() >= 0.98, "{told}");
            }
        }
    }
}

#[test]
fn a_text_is_the_same_written_on_and_written_anew() {
    let golden = Golden::read();
    let engine = engine(BUNDLE, Kernels::Own);
    for name in ["lm", "exact", "int8", "qwen2"] {
        let mut model = model(&engine, name);
        let mut options = GenerateOptions::default();
        options.tokens = 40;
        let ids = &golden.prompts()[3];
        let whole = model
            .generate(&prompt(ids), &options, &mut |_| {})
            .unwrap()
            .tokens;
        options.tokens = 1;
        for (place, token) in whole.iter().enumerate() {
            model.forget();
            let so_far = [ids, &whole[..place]].concat();
            let next = model.generate(&prompt(&so_far), &options, &mut |_| {});
            assert_eq!(next.unwrap().tokens, [*token], "`{name}`, at {place}");
        }
    }
}
