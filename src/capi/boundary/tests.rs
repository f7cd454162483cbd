use std::env;
use std::process::Command;
use std::ptr::null_mut;

use super::*;
use crate::capi::error::{
    ONEIRO_INTERNAL, ONEIRO_INVALID_ARGUMENT, oneiro_error_free, oneiro_error_message,
    oneiro_error_status,
};

struct counter(Guarded<u32>);
handle!(counter holds u32 as "counter");

/// The message of a failed call, whose error is freed.
fn message(call: impl FnOnce(*mut *mut oneiro_error) -> oneiro_status) -> (oneiro_status, String) {
    let mut error = null_mut();
    let status = call(&mut error);
    assert!(!error.is_null(), "status {status} without an error");
    // SAFETY: the error was just made, and is freed once.
    unsafe {
        assert_eq!(oneiro_error_status(error), status);
        let message = std::ffi::CStr::from_ptr(oneiro_error_message(error))
            .to_str()
            .unwrap()
            .to_owned();
        oneiro_error_free(error);
        (status, message)
    }
}

#[test]
fn a_panic_becomes_an_internal_error_with_its_words() {
    // SAFETY: the slot may be written.
    let (status, message) =
        message(|error| unsafe { boundary(error, || panic!("a bug with number {}", 7)) });
    assert_eq!(status, ONEIRO_INTERNAL);
    assert_eq!(
        message,
        "internal error, please report it: a bug with number 7"
    );
}

#[test]
fn a_handle_that_panicked_may_only_be_freed() {
    let handle: *mut counter = hand_out(1);
    // SAFETY: the handle lives until it is freed at the end; the slots may be written.
    unsafe {
        assert_eq!(
            on_mut(handle, null_mut(), |value| {
                *value += 1;
                Ok(())
            }),
            ONEIRO_OK
        );
        assert_eq!(ask(handle, 0, |value| Some(*value)), 2);
        let broken = on_mut(handle, null_mut(), |value| {
            *value = 99;
            panic!("half way")
        });
        assert_eq!(broken, ONEIRO_INTERNAL);
        assert_eq!(ask(handle, 0, |value| Some(*value)), 0);
        for (status, message) in [
            message(|error| on(handle, error, |_| Ok(()))),
            message(|error| on_mut(handle, error, |_| Ok(()))),
        ] {
            assert_eq!(status, ONEIRO_INTERNAL);
            assert!(message.contains("may only be freed"), "{message}");
        }
        free(handle);
    }
}

#[test]
fn an_ordinary_error_leaves_the_handle_usable() {
    let handle: *mut counter = hand_out(1);
    // SAFETY: the handle lives until it is freed at the end; the slots may be written.
    unsafe {
        let refused = on(handle, null_mut(), |_| {
            Err(Error::argument("counter", "is odd"))
        });
        assert_eq!(refused, ONEIRO_INVALID_ARGUMENT);
        assert_eq!(on(handle, null_mut(), |_| Ok(())), ONEIRO_OK);
        free(handle);
    }
}

#[test]
fn a_broken_handle_among_many_spoils_none_of_the_others() {
    let handles: [*mut counter; 3] = [hand_out(1), hand_out(2), hand_out(3)];
    // SAFETY: the handles live until they are freed at the end; the slots may be written.
    unsafe {
        let broken = on_mut(handles[1], null_mut(), |_| panic!("half way"));
        assert_eq!(broken, ONEIRO_INTERNAL);
        let sum = |handles: &[*mut counter]| {
            on_all(handles, "counters", |values| {
                Ok(values.iter().map(|value| **value).sum::<u32>())
            })
        };
        let refused = sum(&handles).unwrap_err().to_string();
        assert!(refused.contains("may only be freed"), "{refused}");
        assert_eq!(sum(&[handles[2], handles[0]]).unwrap(), 4);
        let twice = sum(&[handles[2], handles[0], handles[2]]).unwrap_err();
        assert_eq!(twice.to_string(), "`counters`: entry 2 is entry 0 again");
        handles.into_iter().for_each(|handle| free(handle));
    }
}

#[test]
fn null_is_an_error_that_names_the_parameter() {
    let null: *mut counter = null_mut();
    // SAFETY: null is allowed; the slots may be written.
    unsafe {
        let expected = (ONEIRO_INVALID_ARGUMENT, "`counter`: is NULL".to_owned());
        assert_eq!(message(|error| on(null, error, |_| Ok(()))), expected);
        assert_eq!(message(|error| on_mut(null, error, |_| Ok(()))), expected);
        assert_eq!(ask(null, 5, |value| Some(*value)), 5);
        free(null);
    }
}

/// Runs itself again as a child, whose output nobody captures.
#[test]
fn panics_inside_are_silent_and_others_are_not() {
    const CHILD: &str = "ONEIRO_TEST_PANIC_INSIDE";
    if env::var_os(CHILD).is_some() {
        // SAFETY: nothing is written to null.
        let status = unsafe { boundary(null_mut(), || panic!("kept inside")) };
        assert_eq!(status, ONEIRO_INTERNAL);
        panic!("let out");
    }
    let child = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "capi::boundary::tests::panics_inside_are_silent_and_others_are_not",
            "--nocapture",
        ])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("let out"), "{said}");
    assert!(!said.contains("kept inside"), "{said}");
}
