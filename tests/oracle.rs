//! An oracle dreams what PyTorch dreams under the same noise, whatever the way, and ranks accordingly.
//!
//! `models/tiny-oracle` has two: `affine`, of T = 500 steps by `linear`, and `mlp2`, of 2000 by `cosine`, by its graph.
//! `oneiro_models/golden.py` says what the golden file holds.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::thread;
use std::time::Duration;

use oneiro::{
    Arrangement, By, CallOptions, Cancel, Engine, Error, Filter, OracleOptions, Origin, Ranking,
    Recommender, Sampler,
};
use safetensors::SafeTensors;

const BUNDLE: &str = "models/tiny-oracle";
const WIDTH: usize = 16;
const DRAWS: usize = 3;
const TOP: usize = 10;
/// What numbers may differ by, as a part of the greatest among them: chains of 500 and 2000 steps in f32.
const TOLERANCE: f32 = 1e-4;

struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    fn read() -> Self {
        let bytes = fs::read("tests/golden/tiny-oracle.safetensors").unwrap();
        Self { bytes }
    }

    fn words(&self, name: &str) -> Vec<u32> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let data = tensors.tensor(name).unwrap().data().to_vec();
        let words = data.chunks_exact(4);
        words
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()))
            .collect()
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        self.words(name).into_iter().map(f32::from_bits).collect()
    }

    fn histories(&self) -> Vec<Vec<u32>> {
        let mut items = self.words("histories");
        let lengths = self.words("lengths").into_iter();
        lengths
            .map(|length| items.drain(..length as usize).collect())
            .collect()
    }

    fn seeds(&self) -> Vec<u64> {
        let words = self.words("seeds");
        let seeds = words.chunks_exact(2);
        seeds
            .map(|word| u64::from(word[0]) | u64::from(word[1]) << 32)
            .collect()
    }

    /// Each history as a user, with its seed.
    fn users(&self, engine: &Engine) -> Vec<(Recommender, u64)> {
        let histories = self.histories().into_iter();
        let user = |history: Vec<u32>| {
            let mut user = engine.recommender();
            user.observe_items(&history).unwrap();
            user
        };
        histories.map(user).zip(self.seeds()).collect()
    }
}

fn options(change: impl FnOnce(&mut OracleOptions)) -> CallOptions {
    let mut options = CallOptions::default();
    change(&mut options.oracle);
    options
}

fn engine() -> Engine {
    Engine::open(BUNDLE).unwrap()
}

#[track_caller]
fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let largest = expected
        .iter()
        .fold(0.0_f32, |most, value| most.max(value.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= tolerance * largest,
            "{found}, PyTorch {expected}"
        );
    }
}

/// Every dream of every history by one way, against a tensor of the golden file, `[R, draws, d]`.
fn check(oracle: &str, sampler: Sampler, steps: Option<usize>, draws: usize, tensor: &str) {
    let (golden, engine) = (Golden::read(), engine());
    let expected = golden.floats(&format!("{oracle}.{tensor}"));
    let rows = expected.chunks(expected.len() / golden.seeds().len());
    for ((mut user, seed), expected) in golden.users(&engine).into_iter().zip(rows) {
        let options = options(|options| {
            options.name = Some(oracle.into());
            options.sampler = sampler;
            options.steps = steps;
            options.draws = draws;
            options.seed = seed;
        });
        let points = user.oracle(&options).unwrap();
        assert_eq!(points.len(), draws);
        for (point, expected) in points.iter().zip(expected.chunks(WIDTH)) {
            assert_close(point, expected, TOLERANCE);
        }
    }
}

#[test]
fn chains_of_500_and_2000_steps_are_those_of_pytorch() {
    check("affine", Sampler::Chain, None, DRAWS, "chain");
    check("affine", Sampler::Graph, None, DRAWS, "chain");
    check("mlp2", Sampler::Auto, None, DRAWS, "chain");
}

#[test]
fn the_collapsed_chain_the_mean_and_skipped_steps_are_those_of_pytorch() {
    check("affine", Sampler::Auto, None, DRAWS, "collapsed");
    for oracle in ["affine", "mlp2"] {
        check(oracle, Sampler::Mean, None, 1, "mean");
        check(oracle, Sampler::Auto, Some(50), 1, "skipped");
        check(oracle, Sampler::Graph, Some(50), 1, "skipped");
    }
}

#[test]
fn rankings_are_those_of_pytorch() {
    let (golden, engine) = (Golden::read(), engine());
    let filter = Filter::default();
    for oracle in ["affine", "mlp2"] {
        let scores = golden.floats(&format!("{oracle}.top_scores"));
        let items = golden.words(&format!("{oracle}.top_items"));
        let merged = golden.words(&format!("{oracle}.merged"));
        // Debug builds go through the graph's chains at leisure.
        let rows = if oracle == "mlp2" { 4 } else { usize::MAX };
        let users = golden.users(&engine).into_iter().take(rows);
        for (row, (mut user, seed)) in users.enumerate() {
            let own = row * TOP..(row + 1) * TOP;
            let mut options = options(|options| {
                options.name = Some(oracle.into());
                options.seed = seed;
            });
            let one = user.retrieve_with(By::Oracle, TOP, &filter, &options);
            let one = one.unwrap();
            assert_eq!(one.items(), &items[own.clone()]);
            assert_close(one.scores(), &scores[own.clone()], TOLERANCE);
            assert_eq!(one.origins(), [Origin::Oracle; TOP]);
            let mut rank = |place: usize, items: &[u32], options: &CallOptions| {
                let found = user.rank_of(items[place], By::Oracle, &filter, options);
                assert_eq!(found.unwrap(), Some(place as u32 + 1));
            };
            rank(row % TOP, one.items(), &options);
            options.oracle.draws = DRAWS;
            rank(row % TOP, &merged[own.clone()], &options);
            let several = user.retrieve_with(By::Oracle, TOP, &filter, &options);
            let several = several.unwrap();
            assert_eq!(several.items(), &merged[own]);
            assert_eq!(several.scores()[..2], [1.0, 0.5]);
        }
    }
}

fn same(one: &Ranking, other: &Ranking) {
    assert_eq!(one.items(), other.items());
    assert_eq!(one.origins(), other.origins());
    assert_close(one.scores(), other.scores(), 1e-5);
    let names = |ranking: &Ranking| -> Vec<String> {
        let stages = ranking.stages().iter();
        stages.map(|stage| stage.name.clone()).collect()
    };
    assert_eq!(names(one), names(other));
}

#[test]
fn a_batch_gives_each_user_what_it_gets_alone() {
    let (golden, engine) = (Golden::read(), engine());
    let users: Vec<Recommender> = golden
        .users(&engine)
        .into_iter()
        .map(|(user, _)| user)
        .collect();
    let filter = Filter::new().exclude([3]);
    for (oracle, sampler, draws) in [
        ("affine", Sampler::Auto, 1),
        ("affine", Sampler::Auto, DRAWS),
        ("affine", Sampler::Chain, 1),
        ("affine", Sampler::Graph, 1),
        ("mlp2", Sampler::Auto, 2),
    ] {
        let mut options = options(|options| {
            options.name = Some(oracle.into());
            options.sampler = sampler;
            options.draws = draws;
            options.seed = 7;
        });
        options.arrangement = Arrangement::new().boost(5, 0.3).pin(9, 2).diversity(0.8);
        let (mut together, mut alone) = (users.clone(), users.clone());
        let batch = engine
            .retrieve_batch(&mut together, By::Oracle, TOP, &filter, &options)
            .unwrap();
        for (user, ranking) in alone.iter_mut().zip(&batch) {
            let own = user
                .retrieve_with(By::Oracle, TOP, &filter, &options)
                .unwrap();
            same(ranking, &own);
            assert!(!own.items().contains(&3));
        }
    }
}

/// A run of the graph takes 2¹⁵ numbers, 2048 users of 16 each: those that are left go into a second one.
#[test]
fn users_beyond_one_run_of_the_graph_dream_what_they_do_alone() {
    const USERS: u32 = 2060;
    let engine = engine();
    let user = |number: u32| {
        let mut user = engine.recommender();
        user.observe_items(&[number % 15, 16 + number / 15 % 20])
            .unwrap();
        user
    };
    let mut users: Vec<Recommender> = (0..USERS).map(user).collect();
    let options = options(|options| {
        options.name = Some("mlp2".into());
        options.steps = Some(3);
    });
    let filter = Filter::default();
    let batch = engine
        .retrieve_batch(&mut users, By::Oracle, TOP, &filter, &options)
        .unwrap();
    assert_eq!(batch.len(), USERS as usize);
    for number in [0, 1, 2047, 2048, 2059] {
        let alone = user(number).retrieve_with(By::Oracle, TOP, &filter, &options);
        same(&batch[number as usize], &alone.unwrap());
    }
}

#[test]
fn the_recipe_dreams_and_the_cold_do_not() {
    let engine = engine();
    let mut user = engine.recommender();
    let cold = user.recommend(5).unwrap();
    assert!(
        cold.origins()
            .iter()
            .all(|&origin| origin == Origin::Popularity)
    );
    user.observe_items(&[3, 7]).unwrap();
    let best = user.recommend(5).unwrap();
    assert_eq!(best.origins(), [Origin::Oracle; 5]);
    let by = user.retrieve(By::Oracle, 5, &Filter::default()).unwrap();
    assert_eq!(best.items(), by.items());
    let stages: Vec<&str> = best
        .stages()
        .iter()
        .map(|stage| stage.name.as_str())
        .collect();
    assert_eq!(stages, ["encode affine", "dream affine", "scan items"]);
    let mut users = [engine.recommender(), user];
    let batch = engine
        .recommend_batch(&mut users, 5, &Filter::default(), &CallOptions::default())
        .unwrap();
    assert_eq!(batch[0].items(), cold.items());
    assert_eq!(batch[1].items(), best.items());
}

#[test]
fn a_dream_is_a_point_that_items_are_like() {
    let engine = engine();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let options = CallOptions::default();
    let dream = user.oracle(&options).unwrap().remove(0);
    let space = engine.bundle().space("neighbours").unwrap();
    let like = user
        .similar_to(&dream, 5, &Filter::new().exclude([1]), &options)
        .unwrap();
    assert_eq!(like.scores(), space.score(&dream, like.items()).unwrap());
    assert!(
        like.origins()
            .iter()
            .all(|&origin| origin == Origin::Similar)
    );
    assert!(!like.items().iter().any(|item| [1, 3, 7].contains(item)));
    for wrong in [&dream[1..], &[f32::NAN; WIDTH]] {
        let error = user
            .similar_to(wrong, 5, &Filter::default(), &options)
            .unwrap_err();
        assert!(
            matches!(
                error,
                Error::InvalidArgument {
                    parameter: "point",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn guidance_seeds_and_draws_matter_and_the_mean_has_no_seed() {
    let engine = engine();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    for oracle in ["affine", "mlp2"] {
        let mut dream = |change: &dyn Fn(&mut OracleOptions)| {
            let options = options(|options| {
                options.name = Some(oracle.into());
                change(options);
            });
            user.oracle(&options).unwrap()
        };
        let plain = dream(&|_| {});
        assert_eq!(plain, dream(&|options| options.guidance = Some(2.0)));
        assert_ne!(plain, dream(&|options| options.guidance = Some(0.0)));
        assert_ne!(plain, dream(&|options| options.seed = 1));
        let several = dream(&|options| options.draws = 3);
        assert_eq!(several[0], plain[0]);
        assert!(several[1] != several[0] && several[2] != several[1]);
        let mean = dream(&|options| options.sampler = Sampler::Mean);
        let seeded = dream(&|options| {
            options.sampler = Sampler::Mean;
            options.seed = 9;
        });
        assert_eq!(mean, seeded);
    }
}

#[test]
fn what_does_not_go_is_said() {
    let engine = engine();
    let mut user = engine.recommender();
    user.observe_items(&[3, 7]).unwrap();
    let mut fails = |parameter: &str, words: &str, change: &dyn Fn(&mut OracleOptions)| {
        let options = options(change);
        let outcomes = [
            user.oracle(&options).map(|_| ()),
            user.retrieve_with(By::Oracle, 5, &Filter::default(), &options)
                .map(|_| ()),
            user.rank_of(1, By::Oracle, &Filter::default(), &options)
                .map(|_| ()),
        ];
        for outcome in outcomes {
            let error = outcome.unwrap_err();
            let text = error.to_string();
            assert!(text.contains(parameter) && text.contains(words), "{text}");
        }
    };
    for guidance in [-0.5, f32::NAN, f32::INFINITY] {
        fails("`guidance`", "not below 0", &|options| {
            options.guidance = Some(guidance)
        });
    }
    fails("`guidance`", "infinite", &|options| {
        options.guidance = Some(f32::MAX)
    });
    fails("`draws`", "expected 1 to 64", &|options| options.draws = 0);
    fails("`draws`", "expected 1 to 64", &|options| options.draws = 65);
    fails("`steps`", "expected 1 to 500", &|options| {
        options.steps = Some(0)
    });
    fails("`steps`", "expected 1 to 500", &|options| {
        options.steps = Some(501)
    });
    fails("`steps`", "collapsed", &|options| {
        options.steps = Some(5);
        options.sampler = Sampler::Collapsed;
    });
    fails("`draws`", "without noise", &|options| {
        options.draws = 2;
        options.sampler = Sampler::Mean;
    });
    fails("oracle `none`", "carries no", &|options| {
        options.name = Some("none".into())
    });
    fails("oracle `mlp2`", "collapsed chain", &|options| {
        options.name = Some("mlp2".into());
        options.sampler = Sampler::Collapsed;
    });
}

/// A call of 64 draws by 2000 runs of the graph each: long enough to be stopped on the way.
fn long(engine: &Engine, options: &mut CallOptions) -> oneiro::Result<Ranking> {
    options.oracle.name = Some("mlp2".into());
    options.oracle.draws = 64;
    let mut user = engine.recommender();
    user.observe_items(&[3, 7])?;
    user.retrieve_with(By::Oracle, 5, &Filter::default(), options)
}

#[test]
fn a_chain_is_stopped_by_request_and_by_the_clock() {
    let engine = engine();
    let mut late = CallOptions::default();
    late.deadline = Some(Duration::from_millis(50));
    let outcome = long(&engine, &mut late);
    assert!(
        matches!(outcome, Err(Error::DeadlineExceeded)),
        "{outcome:?}"
    );
    let cancel = Cancel::new();
    thread::scope(|scope| {
        let call = scope.spawn(|| {
            let mut options = CallOptions::default();
            options.cancel = cancel.clone();
            long(&engine, &mut options)
        });
        thread::sleep(Duration::from_millis(50));
        assert!(!call.is_finished());
        cancel.request();
        let outcome = call.join().unwrap();
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    });
    // Nothing is broken: the same graph still dreams.
    let mut options = CallOptions::default();
    options.oracle.name = Some("mlp2".into());
    options.oracle.steps = Some(3);
    let mut user = engine.recommender();
    assert_eq!(user.oracle(&options).unwrap().len(), 1);
}
