//! Stopping: before, during and after a call, from any thread; and what outlives what.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod changed;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use oneiro::{Bundle, By, CallOptions, Cancel, Engine, Error, Filter};

#[test]
fn a_request_before_the_call_stops_it_and_leaves_the_user_usable() {
    let mut user = Engine::open("models/tiny").unwrap().recommender();
    user.observe_items(&[1]).unwrap();
    let options = CallOptions::default();
    options.cancel.request();
    assert!(matches!(
        user.recommend_with(5, &Filter::new(), &options),
        Err(Error::Cancelled)
    ));
    assert!(matches!(user.state(&options), Err(Error::Cancelled)));
    assert!(matches!(
        user.similar_with(1, 5, &Filter::new(), &options),
        Err(Error::Cancelled)
    ));
    assert_eq!(user.recommend(5).unwrap().len(), 5);
}

#[test]
fn a_request_during_verify_stops_it() {
    let bundle = Bundle::open("models/tiny").unwrap();
    let cancel = Cancel::new();
    let button = cancel.clone();
    let mut calls = 0;
    let outcome = bundle.verify(&cancel, &mut |_, _| {
        calls += 1;
        button.request();
    });
    assert!(matches!(outcome, Err(Error::Cancelled)));
    assert_eq!(calls, 1);
}

#[test]
fn requests_at_any_moment_end_in_an_answer_or_in_cancelled() {
    let engine = Engine::open("models/tiny").unwrap();
    let stopped = AtomicBool::new(false);
    for round in 0..200 {
        let options = CallOptions::default();
        let button = options.cancel.clone();
        thread::scope(|scope| {
            scope.spawn(move || {
                for _ in 0..round * 20 {
                    std::hint::spin_loop();
                }
                button.request();
                button.request();
            });
            let mut user = engine.recommender();
            user.observe_items(&[1, 2, 3]).unwrap();
            match user.retrieve_with(By::Encoder, 5, &Filter::new(), &options) {
                Ok(ranking) => assert_eq!(ranking.len(), 5),
                Err(Error::Cancelled) => stopped.store(true, Ordering::Relaxed),
                Err(other) => panic!("{other}"),
            }
        });
    }
    assert!(
        stopped.load(Ordering::Relaxed),
        "no request came in time to stop anything"
    );
}

#[test]
fn a_graph_that_would_never_end_is_stopped_and_so_is_who_waits_for_it() {
    let folder = changed::endless();
    let engine = Engine::open(folder.path()).unwrap();
    let (running, waiting) = (Cancel::new(), Cancel::new());
    let call = |cancel: &Cancel| {
        let mut options = CallOptions::default();
        options.cancel = cancel.clone();
        let mut user = engine.recommender();
        user.observe_items(&[1]).unwrap();
        let outcome = user.retrieve_with(By::Encoder, 5, &Filter::new(), &options);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| call(&running));
        thread::sleep(Duration::from_millis(100));
        let second = scope.spawn(|| call(&waiting));
        thread::sleep(Duration::from_millis(100));
        assert!(!first.is_finished() && !second.is_finished());
        waiting.request();
        second.join().unwrap();
        assert!(!first.is_finished());
        running.request();
        first.join().unwrap();
    });
    // Nothing is broken: the same engine still answers.
    assert_eq!(engine.recommender().recommend(5).unwrap().len(), 5);
}

#[test]
fn users_outlive_the_engine_that_made_them() {
    let mut user = {
        let engine = Engine::open("models/tiny").unwrap();
        engine.recommender()
    };
    user.observe_items(&[1, 2]).unwrap();
    assert_eq!(user.recommend(3).unwrap().len(), 3);
}

#[test]
fn users_of_one_engine_do_not_disturb_each_other() {
    let engine = Engine::open("models/tiny").unwrap();
    let expected: Vec<_> = (0..8).map(|item| answer(&engine, item)).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..100 {
                    let item = round % 8;
                    assert_eq!(answer(&engine, item), expected[item as usize]);
                }
            });
        }
    });
}

fn answer(engine: &Engine, item: u32) -> (Vec<u32>, Vec<f32>) {
    let mut user = engine.recommender();
    user.observe_items(&[item, item + 1]).unwrap();
    let ranking = user.recommend(10).unwrap();
    (ranking.items().to_vec(), ranking.scores().to_vec())
}
