//! Does on purpose what must never happen, so that those who look for it can be seen to find it: `cargo xtask sanitize` runs
//! this under AddressSanitizer, LeakSanitizer and valgrind, and fails if it is not stopped.
//!
//! The C library does the wrong thing here, as it would in earnest: it is not instrumented itself.

#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("overflow") => {
            // SAFETY: it is not. The 17th byte belongs to nobody (an allocator rounds up, so that nothing else breaks).
            unsafe {
                let block = black_box(libc::malloc(16));
                libc::memset(black_box(block), 1, black_box(17));
                libc::free(block);
            }
        }
        Some("freed") => {
            // SAFETY: it is not. The block is read after it was given back.
            unsafe {
                let block = black_box(libc::calloc(1, 16)).cast::<u8>();
                libc::free(block.cast());
                println!("{}", black_box(block).add(8).read_volatile());
            }
        }
        Some("leak") => {
            // SAFETY: two calls of C that ask for nothing. What they give is lost.
            unsafe {
                black_box(libc::malloc(1000));
                let words = c"a lost error";
                let none = std::ptr::null_mut();
                black_box(globus_sys::globus_sys_error_construct_string(none, none.cast(), words.as_ptr()));
            }
        }
        Some("nothing") => {}
        _ => {
            eprintln!("usage: canary overflow | freed | leak | nothing");
            return ExitCode::from(2);
        }
    }
    println!("survived");
    ExitCode::SUCCESS
}
