//! Feature `large-fd`: descriptors of 1024 and more.
//!
//! Globus waits with `select()`, on sets that it allocates for as many descriptors as the process may open. That works far
//! beyond the 1024 of C's own `fd_set`, but distributions compile with `_FORTIFY_SOURCE`, which has every `FD_SET` ask
//! glibc's `__fdelt_chk` whether the descriptor is below 1024, and that function ends the process if it is not, whatever
//! the size of the set. This module defines the function anew, without that bound.
//!
//! The linker takes this definition into an executable because `libglobus_xio.so` needs the symbol, and exports it from there;
//! the dynamic linker looks into the executable before glibc. (Seen with lld and GNU ld, with fat LTO, and stripped.)

use core::ffi::c_long;

/// `fd_set` is an array of `long`.
const BITS_OF_A_WORD: c_long = if size_of::<c_long>() == 8 { 64 } else { 32 };

/// The index of a descriptor's word in a set for `select()`.
// No Rust code calls it, and in a library that is loaded into a running program it would come too late to be found.
#[unsafe(no_mangle)]
extern "C" fn __fdelt_chk(descriptor: c_long) -> c_long {
    if descriptor < 0 {
        // As glibc does: the caller is about to write before the set.
        std::process::abort();
    }
    descriptor / BITS_OF_A_WORD
}
