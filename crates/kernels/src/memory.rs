//! Buffers that are used again, and what happens where there is none to be had.
//!
//! The tensors of an update are made and given up in the same order and sizes as in the one before. An allocator that
//! gives their pages back to the system in between gets them again at every update, and the system fills them with
//! zeros each time.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};

use crate::allowance::take;
use libmimalloc_sys::{mi_option_set_default, mi_option_t, mi_option_use_numa_nodes};

/// Its number comes before that of the option after it in mimalloc's header; the bindings leave it out.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;

/// Lets mimalloc keep the pages of freed buffers for the next ones instead of giving them back to the system, unless
/// the environment variable `MIMALLOC_PURGE_DELAY` says otherwise. Without effect where mimalloc is not the allocator.
pub fn keep_freed_pages() {
    // SAFETY: the function takes two integers, and sets an option that exists; it may be called at any time.
    unsafe { mi_option_set_default(PURGE_DELAY, -1) };
}

/// An allocator that hands a request which the system refuses to a function that does not come back. Without it the
/// standard library aborts the process, with no word that a user could do something with. It counts for
/// [`within`](crate::within) what a thread takes.
#[derive(Debug)]
pub struct OrElse<A> {
    allocator: A,
    refused: fn(usize) -> !,
}

impl<A> OrElse<A> {
    /// Allocates with `allocator`, and calls `refused` with the bytes that it could not get. That function must not
    /// unwind, and should hardly allocate.
    pub const fn new(allocator: A, refused: fn(usize) -> !) -> Self {
        Self { allocator, refused }
    }

    fn unless_null(&self, pointer: *mut u8, bytes: usize) -> *mut u8 {
        if pointer.is_null() { (self.refused)(bytes) } else { pointer }
    }
}

// SAFETY: every call is passed on as it came, and what comes back is given out unchanged or not at all.
unsafe impl<A: GlobalAlloc> GlobalAlloc for OrElse<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(length(layout));
        self.unless_null(unsafe { self.allocator.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(length(layout));
        self.unless_null(unsafe { self.allocator.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        take(-length(layout));
        unsafe { self.allocator.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there for a while.
        take(size as i64);
        let moved = self.unless_null(unsafe { self.allocator.realloc(pointer, layout, size) }, size);
        take(-length(layout));
        moved
    }
}

/// No layout has more bytes than half of what fits.
fn length(layout: Layout) -> i64 {
    layout.size() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Empty;

    // SAFETY: it gives nothing out.
    unsafe impl GlobalAlloc for Empty {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            std::ptr::null_mut()
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    #[test]
    fn what_the_system_refuses_reaches_the_function() {
        let layout = Layout::from_size_align(4096, 8).unwrap();
        let system = OrElse::new(std::alloc::System, |bytes| panic!("{bytes} refused"));
        // SAFETY: the layout has a size, and what is allocated is freed with it.
        unsafe {
            let pointer = system.alloc(layout);
            system.dealloc(pointer, layout);
        }
        let empty = OrElse::new(Empty, |bytes| panic!("{bytes} refused"));
        let refused = std::panic::catch_unwind(|| {
            // SAFETY: as above; nothing is given out.
            unsafe { empty.alloc(layout) };
        });
        let message = *refused.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, "4096 refused");
    }

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
