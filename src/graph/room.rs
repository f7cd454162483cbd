//! Room for what ONNX Runtime allocates as it starts.
//!
//! It builds the schemas of every operator it knows: some 8 MB in a hundred thousand small blocks, which stay for good.
//! glibc's heap grows for them by 128 KiB at a time and is given its pages one fault at a time, two thousand in all.
//! Asking for them at once saves a twentieth of the time from a process's start to its first recommendation
//! (`cargo xtask race --only start`). Other allocators take larger pieces from the system by themselves.

/// What keeps the room from being given back to the system before it is used. Held as long as ONNX Runtime is.
pub(super) struct Room {
    #[allow(dead_code, reason = "only has to be there")]
    above: Vec<u8>,
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
impl Room {
    pub(super) fn make() -> Self {
        Self { above: Vec::new() }
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
impl Room {
    /// Takes the memory from the heap, has the system fill it with pages, and hands it back to the heap, where the next
    /// small blocks will come from. Whatever of this the system or the allocator does otherwise, only time is lost.
    pub(super) fn make() -> Self {
        /// Of small blocks, that is: what is larger has pages of its own (`M_MMAP_THRESHOLD`, 128 KiB or more).
        const BLOCK_BYTES: usize = 120 << 10;
        const BLOCKS: usize = (8 << 20) / BLOCK_BYTES;
        let blocks: Vec<Vec<u8>> = (0..BLOCKS)
            .map(|_| Vec::with_capacity(BLOCK_BYTES))
            .collect();
        // Memory at the top of the heap goes back to the system when it is free, so something has to lie above.
        let above = Vec::with_capacity(4096);
        for block in &blocks {
            populate(block);
        }
        Self { above }
    }
}

/// Gives every page that lies within a block's memory a page of the machine's (Linux 5.14 and later).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn populate(block: &Vec<u8>) {
    // SAFETY: it only reads a number.
    let page = match usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }) {
        Ok(page) if page.is_power_of_two() => page,
        _ => return,
    };
    let start = block.as_ptr().addr().next_multiple_of(page);
    let end = (block.as_ptr().addr() + block.capacity()) & !(page - 1);
    if start < end {
        let skipped = start - block.as_ptr().addr();
        // SAFETY: the pages lie within memory that is this block's; what they hold is not changed.
        let _ = unsafe {
            let pages = block.as_ptr().add(skipped).cast_mut().cast();
            libc::madvise(pages, end - start, libc::MADV_POPULATE_WRITE)
        };
    }
}
