//! Engines may be opened on many threads at once, the first of a process too.
//!
//! A test of its own process: what ONNX Runtime keeps for all sessions is written by the first ones.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![cfg(feature = "llm")]

use std::sync::Barrier;
use std::thread;

use oneiro::{Bundle, Engine, EngineOptions};

const ENGINES: usize = 16;

#[test]
fn the_first_engines_of_a_process_open_on_many_threads() {
    // Once, so that no thread waits for the library to be loaded.
    Engine::from_bundle(
        Bundle::open("models/tiny").unwrap(),
        &EngineOptions::default(),
    )
    .unwrap();
    let start = Barrier::new(ENGINES);
    let open = || {
        let bundle = Bundle::open("models/tiny-lm-int").unwrap();
        start.wait();
        Engine::from_bundle(bundle, &EngineOptions::default()).map(drop)
    };
    let opened = thread::scope(|scope| {
        let threads: Vec<_> = (0..ENGINES).map(|_| scope.spawn(open)).collect();
        let opened = threads.into_iter().map(|thread| thread.join().unwrap());
        opened.collect::<Vec<_>>()
    });
    for opened in opened {
        opened.unwrap();
    }
}
