//! Stopping: before, during and after a call, from any thread; and what outlives what.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod changed;

use std::panic::{self, AssertUnwindSafe};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use oneiro::{
    Bundle, By, CallOptions, Cancel, Engine, EngineOptions, Error, Filter, Judge, Ranking,
};

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
    // On a busy machine a request may come too late many times over.
    let rounds = (0..20_000).take_while(|&round| round < 200 || !stopped.load(Ordering::Relaxed));
    for round in rounds {
        let together = Barrier::new(2);
        let options = CallOptions::default();
        let button = options.cancel.clone();
        thread::scope(|scope| {
            let together = &together;
            scope.spawn(move || {
                together.wait();
                for _ in 0..round % 200 * 20 {
                    std::hint::spin_loop();
                }
                button.request();
                button.request();
            });
            let mut user = engine.recommender();
            user.observe_items(&[1, 2, 3]).unwrap();
            together.wait();
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

/// A call for a user with so many items in the history: more than one, and [`changed::endless`] has no end.
fn call(engine: &Engine, items: u32, cancel: &Cancel) -> oneiro::Result<Ranking> {
    let mut options = CallOptions::default();
    options.cancel = cancel.clone();
    let mut user = engine.recommender();
    user.observe_items(&(0..items).collect::<Vec<u32>>())?;
    user.retrieve_with(By::Encoder, 5, &Filter::new(), &options)
}

#[test]
fn a_graph_that_would_never_end_is_stopped_and_so_is_who_waits_for_it() {
    let folder = changed::endless();
    let engine = Engine::open(folder.path()).unwrap();
    let (running, waiting) = (Cancel::new(), Cancel::new());
    let stopped = |cancel: &Cancel| {
        let outcome = call(&engine, 2, cancel);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| stopped(&running));
        thread::sleep(Duration::from_millis(100));
        let second = scope.spawn(|| stopped(&waiting));
        thread::sleep(Duration::from_millis(100));
        assert!(!first.is_finished() && !second.is_finished());
        waiting.request();
        second.join().unwrap();
        assert!(!first.is_finished());
        running.request();
        first.join().unwrap();
    });
    // Nothing is broken: the same engine still answers.
    assert_eq!(call(&engine, 1, &Cancel::new()).unwrap().len(), 5);
}

#[test]
fn a_batch_in_a_graph_that_would_never_end_is_stopped() {
    let folder = changed::endless();
    let engine = Engine::open(folder.path()).unwrap();
    let mut users = vec![engine.recommender(); 1];
    users[0].observe_items(&[1, 2]).unwrap();
    let options = CallOptions::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            options.cancel.request();
        });
        let outcome = engine.recommend_batch(&mut users, 5, &Filter::new(), &options);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    });
}

/// Calls `body` with an engine of so many replicas, while so many of them are busy for ever.
fn while_busy(replicas: usize, runs: usize, body: impl FnOnce(&Engine)) {
    let folder = changed::endless();
    let mut options = EngineOptions::default();
    options.graph.replicas = replicas;
    let engine = Engine::from_bundle(Bundle::open(folder.path()).unwrap(), &options).unwrap();
    let stop = Cancel::new();
    thread::scope(|scope| {
        let busy: Vec<_> = (0..runs)
            .map(|_| scope.spawn(|| call(&engine, 2, &stop)))
            .collect();
        thread::sleep(Duration::from_millis(100));
        // Whatever comes of it, the endless runs end.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| body(&engine)));
        let busy_still = busy.iter().all(|run| !run.is_finished());
        stop.request();
        for run in busy {
            assert!(matches!(run.join().unwrap(), Err(Error::Cancelled)));
        }
        outcome.unwrap_or_else(|cause| panic::resume_unwind(cause));
        assert!(busy_still);
    });
}

#[test]
fn a_second_replica_runs_while_the_first_is_busy() {
    while_busy(2, 1, |engine| {
        // Not for ever, even if it fails.
        let patience = Cancel::new();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..600 {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    thread::sleep(Duration::from_millis(100));
                }
                patience.request();
            });
            let outcome = call(engine, 1, &patience);
            over.store(true, Ordering::Relaxed);
            assert_eq!(outcome.unwrap().len(), 5);
        });
    });
}

#[test]
fn when_all_replicas_are_busy_the_next_run_waits_and_can_be_cancelled() {
    for replicas in [1, 2] {
        while_busy(replicas, replicas, |engine| {
            // A busy replica may not have begun yet: then the short call gets an answer, and another one is made.
            for _ in 0..100 {
                let patience = Cancel::new();
                let outcome = thread::scope(|scope| {
                    let short = scope.spawn(|| call(engine, 1, &patience));
                    thread::sleep(Duration::from_millis(100));
                    patience.request();
                    short.join().unwrap()
                });
                match outcome {
                    Err(Error::Cancelled) => return,
                    other => assert_eq!(other.unwrap().len(), 5),
                }
            }
            panic!("a run went on although every replica was busy");
        });
    }
}

#[test]
fn a_graph_that_would_never_end_is_stopped_at_the_deadline_and_so_is_who_waits_for_it() {
    let folder = changed::endless();
    let engine = Engine::open(folder.path()).unwrap();
    let cancel = Cancel::new();
    let call = |deadline: Option<Duration>| {
        let mut options = CallOptions::default();
        options.cancel = cancel.clone();
        options.deadline = deadline;
        let mut user = engine.recommender();
        user.observe_items(&[1, 2]).unwrap();
        user.recommend_with(5, &Filter::new(), &options)
            .unwrap_err()
    };
    let soon = Some(Duration::from_millis(50));
    assert!(matches!(call(soon), Error::DeadlineExceeded));
    thread::scope(|scope| {
        let endless = scope.spawn(|| call(None));
        thread::sleep(Duration::from_millis(100));
        assert!(matches!(call(soon), Error::DeadlineExceeded));
        assert!(!endless.is_finished());
        cancel.request();
        assert!(matches!(endless.join().unwrap(), Error::Cancelled));
    });
    // A call that is cancelled before its deadline says so.
    let cancelled = call(Some(Duration::from_secs(3600)));
    assert!(matches!(cancelled, Error::Cancelled));
}

#[test]
fn no_time_at_all_is_enough_for_nothing_and_for_ever_is_no_deadline() {
    let mut user = Engine::open("models/tiny").unwrap().recommender();
    user.observe_items(&[1]).unwrap();
    let mut options = CallOptions::default();
    options.deadline = Some(Duration::ZERO);
    let filter = Filter::new();
    let judge = Judge::Encoder;
    for outcome in [
        user.recommend_with(5, &filter, &options).map(drop),
        user.retrieve_with(By::Popularity, 5, &filter, &options)
            .map(drop),
        user.similar_with(1, 5, &filter, &options).map(drop),
        user.rank_with(judge, &[2, 3], 2, &filter, &options)
            .map(drop),
        user.score(judge, &[2, 3], &options).map(drop),
        user.rank_of(2, By::Encoder, &filter, &options).map(drop),
        user.state(&options).map(drop),
    ] {
        assert!(matches!(outcome, Err(Error::DeadlineExceeded)));
    }
    options.deadline = Some(Duration::MAX);
    let best = user.recommend_with(5, &filter, &options).unwrap();
    assert_eq!((best.len(), best.stopped_after()), (5, None));
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
