//! Room for what ONNX Runtime allocates as it starts.
//!
//! It builds the schemas of every operator it knows: some 8 MB in a hundred thousand small blocks, which stay for good.
//! glibc's heap grows for them by 128 KiB at a time and is given its pages one fault at a time, two thousand in all.
//! Asking for them at once saves a twentieth of the time from a process's start to its first recommendation
//! (`cargo xtask race --only start`). Other allocators take larger pieces from the system by themselves.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use std::sync::atomic::{AtomicPtr, Ordering};

/// The block that lies above the room.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
static ABOVE: AtomicPtr<libc::c_void> = AtomicPtr::new(std::ptr::null_mut());

/// Takes memory from the C library's heap, has the system fill it with pages, and hands it back to the heap, where the next
/// small blocks will come from. To be called once, right before ONNX Runtime is started.
///
/// If the process has another `malloc` in the place of glibc's, some of it may stay unused.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) fn make() {
    /// What is larger has pages of its own, which are not the heap's (`M_MMAP_THRESHOLD`, 128 KiB or more).
    const BLOCK_BYTES: usize = 120 << 10;
    const BLOCKS: usize = (8 << 20) / BLOCK_BYTES;
    // SAFETY: it only reads a number.
    let page = match usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) {
        Ok(page) if page.is_power_of_two() => page,
        _ => return,
    };
    let mut blocks = [std::ptr::null_mut::<libc::c_void>(); BLOCKS];
    for block in &mut blocks {
        // SAFETY: any number of bytes may be asked for.
        *block = unsafe { libc::malloc(BLOCK_BYTES) };
        let skipped = block.addr().next_multiple_of(page) - block.addr();
        if !block.is_null() && skipped < BLOCK_BYTES {
            let bytes = (BLOCK_BYTES - skipped) & !(page - 1);
            // SAFETY: whole pages of this block, whose content is nobody's (Linux 5.14 and later: else it does nothing).
            unsafe { libc::madvise(block.byte_add(skipped), bytes, libc::MADV_POPULATE_WRITE) };
        }
    }
    // The top of the heap goes back to the system when it is free, so the last block stays where it is.
    let (room, above) = blocks.split_at(BLOCKS - 1);
    ABOVE.store(above[0], Ordering::Relaxed);
    for &block in room {
        // SAFETY: it came from `malloc`, or is null.
        unsafe { libc::free(block) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(super) fn make() {}
