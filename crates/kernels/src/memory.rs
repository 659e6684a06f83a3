//! Buffers that are used again.
//!
//! The tensors of an update are made and given up in the same order and sizes as in the one before. An allocator that
//! gives their pages back to the system in between gets them again at every update, and the system fills them with
//! zeros each time.

#![allow(unsafe_code)]

use libmimalloc_sys::{mi_option_set_default, mi_option_t, mi_option_use_numa_nodes};

/// Its number comes before that of the option after it in mimalloc's header; the bindings leave it out.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;

/// Lets mimalloc keep the pages of freed buffers for the next ones instead of giving them back to the system, unless
/// the environment variable `MIMALLOC_PURGE_DELAY` says otherwise. Without effect where mimalloc is not the allocator.
pub fn keep_freed_pages() {
    // SAFETY: the function takes two integers, and sets an option that exists; it may be called at any time.
    unsafe { mi_option_set_default(PURGE_DELAY, -1) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: as above.
        let delay = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        // Milliseconds, as mimalloc sets it by itself; other options have other numbers.
        assert_eq!(delay(), 1000);
        keep_freed_pages();
        assert_eq!(delay(), -1);
    }
}
