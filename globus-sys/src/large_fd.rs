//! [`large_fd!`](crate::large_fd): descriptors of 1024 and more.

use core::ffi::c_long;

/// `fd_set` is an array of `long`.
const BITS_OF_A_WORD: c_long = if size_of::<c_long>() == 8 { 64 } else { 32 };

/// What the function that [`large_fd!`](crate::large_fd) defines does: the index of a descriptor's word in a set.
#[doc(hidden)]
pub fn word_of_descriptor(descriptor: c_long) -> c_long {
    if descriptor < 0 {
        // As glibc does: the caller is about to write before the set.
        std::process::abort();
    }
    descriptor / BITS_OF_A_WORD
}

/// Lets the Globus libraries of this program wait for descriptors of 1024 and more. To be written once, in the crate of an
/// executable, outside of any function.
///
/// Globus waits with `select()`, on sets that it allocates for as many descriptors as the process may open when it is
/// activated. That works far beyond the 1024 of C's own `fd_set`, but distributions compile with `_FORTIFY_SOURCE`, which
/// has every `FD_SET` ask glibc's `__fdelt_chk` whether the descriptor is below 1024, and that function ends the process if
/// it is not, whatever the size of the set. This macro defines the function anew, without the bound: as a symbol of the
/// executable it is found there before glibc's. (Seen with lld and GNU ld, with fat LTO, and stripped.)
///
/// # The price
///
/// glibc's check is off for the **whole process**: other code in it that puts a descriptor of 1024 or more into an ordinary
/// `fd_set` overwrites memory, where it would have been aborted. So this is for the author of a program to decide, who knows
/// what else is in it; a library must not do it on behalf of its users. And `select()` remains what it is: each wake-up looks
/// at all descriptors up to the highest one that Globus has.
///
/// In a shared library that is loaded into a running program the definition comes too late and has no effect. Where libc
/// has no such check, none is needed. A second definition in the same program is an error of the linker.
///
/// # Examples
/// ```
/// globus_sys::large_fd!(); // beside `fn main`
/// ```
// In a macro, because the symbol has to be in the executable, and because a feature could be turned on for everybody by any
// library that is somewhere in the tree.
#[macro_export]
macro_rules! large_fd {
    () => {
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn __fdelt_chk(descriptor: ::core::ffi::c_long) -> ::core::ffi::c_long {
                $crate::word_of_descriptor(descriptor)
            }
        };
    };
}
