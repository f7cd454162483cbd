use std::ptr::{null, null_mut};

use super::*;

#[derive(Clone, Copy)]
#[repr(C)]
struct wish {
    size: usize,
    threads: usize,
    by: i32,
    strict: i32,
    name: *const u8,
}

growing!(wish { threads, by, strict, name } by default Self {
    size: size_of::<Self>(),
    threads: 1,
    by: 7,
    strict: 0,
    name: null(),
});

/// The wish of a caller whose struct is one field longer.
#[derive(Clone, Copy)]
#[repr(C)]
struct later {
    known: wish,
    more: u64,
}

fn refusal<T: Growing>(read: Result<T>) -> String {
    read.err().unwrap().to_string()
}

#[test]
fn null_is_the_defaults() {
    // SAFETY: null is allowed.
    let wish: wish = unsafe { read(null(), "wish") }.unwrap();
    assert_eq!(
        (wish.threads, wish.by, wish.strict, wish.name),
        (1, 7, 0, null())
    );
    // SAFETY: null is allowed.
    unsafe { init::<wish>(null_mut(), 24) };
}

#[test]
fn fields_that_an_older_caller_lacks_are_defaults() {
    for (size, expected) in [
        (8, (1, 7, 0)),
        (16, (5, 7, 0)),
        (20, (5, 8, 0)),
        (24, (5, 8, 1)),
    ] {
        let given = wish {
            size,
            threads: 5,
            by: 8,
            strict: 1,
            name: null(),
        };
        // SAFETY: the struct is at least as long as it says.
        let found = unsafe { read(&raw const given, "wish") }.unwrap();
        assert_eq!(
            (found.threads, found.by, found.strict),
            expected,
            "size {size}"
        );
    }
}

#[test]
fn a_newer_caller_may_say_nothing_new() {
    let known = wish {
        size: size_of::<later>(),
        threads: 5,
        by: 8,
        strict: 1,
        name: null(),
    };
    let mut given = later { known, more: 0 };
    // SAFETY: the struct is as long as it says.
    let found: wish = unsafe { read((&raw const given).cast(), "wish") }.unwrap();
    assert_eq!(found.threads, 5);
    given.more = 1 << 40;
    // SAFETY: as above.
    let refused = refusal::<wish>(unsafe { read((&raw const given).cast(), "wish") });
    assert_eq!(
        refused,
        "`wish`: uses a field of wish that this version does not know"
    );
}

#[test]
fn sizes_that_no_version_has_are_refused() {
    for size in [0, 1, 7, 9, 12, 18, 23, 25, 31, 4097, usize::MAX] {
        let given = wish {
            size,
            threads: 5,
            by: 8,
            strict: 1,
            name: null(),
        };
        // SAFETY: the size is refused before anything else is read.
        let refused = refusal::<wish>(unsafe { read(&raw const given, "wish") });
        assert!(
            refused.contains(&format!("no version of wish has size {size}")),
            "{refused}"
        );
    }
}

#[test]
fn init_fills_what_there_is_and_no_more() {
    for size in [8, 16, 24, size_of::<wish>(), size_of::<later>(), 64] {
        let mut target = [0xAA_u8; 72];
        // SAFETY: `size` bytes may be written.
        unsafe { init(target.as_mut_ptr().cast::<wish>(), size) };
        assert_eq!(target[..8], size.to_ne_bytes());
        assert!(
            target[size..].iter().all(|&byte| byte == 0xAA),
            "size {size}"
        );
        if size > 8 {
            assert_eq!(target[8..16], 1_usize.to_ne_bytes());
        }
        if size > 32 {
            assert!(
                target[32..size].iter().all(|&byte| byte == 0),
                "size {size}"
            );
        }
    }
    let mut untouched = [0xAA_u8; 8];
    // SAFETY: too small for a size: nothing is written.
    unsafe { init(untouched.as_mut_ptr().cast::<wish>(), 7) };
    assert_eq!(untouched, [0xAA; 8]);
}

#[test]
fn arrays_go_by_the_size_that_the_caller_knows() {
    let known = wish {
        size: size_of::<later>(),
        threads: 5,
        by: 8,
        strict: 1,
        name: null(),
    };
    let mut given = [later { known, more: 0 }; 3];
    given[2].known.threads = 9;
    // SAFETY: three structs that say their size.
    let found: Vec<wish> = unsafe { read_array(given.as_ptr().cast(), 3, "wishes") }.unwrap();
    assert_eq!(
        found.iter().map(|wish| wish.threads).collect::<Vec<_>>(),
        [5, 5, 9]
    );

    given[1].known.size = size_of::<wish>();
    // SAFETY: as above.
    let refused = unsafe { read_array::<wish>(given.as_ptr().cast(), 3, "wishes") }
        .err()
        .unwrap()
        .to_string();
    assert_eq!(refused, "`wishes`: entry 1 has size 32, the first has 40");
    // SAFETY: null is refused, a count that no memory holds too.
    unsafe {
        assert!(read_array::<wish>(null(), 1, "wishes").is_err());
        assert!(read_array::<wish>(given.as_ptr().cast(), usize::MAX, "wishes").is_err());
        assert!(read_array::<wish>(null(), 0, "wishes").unwrap().is_empty());
    }
}
