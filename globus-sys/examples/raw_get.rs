//! Fetches one file with `globus_ftp_client_get`, the way a C programmer writes it.
//!
//! ```text
//! cargo run -p globus-sys --example raw_get -- ftp://127.0.0.1:2811/etc/hostname /tmp/copy
//! ```
//!
//! Everything Globus happens on the main thread: with the thread model `none` the callbacks run inside the poll, one at a
//! time, so what they share needs no lock. The crate `gridftp` does all this, and much more, without `unsafe` in sight.

#![allow(clippy::print_stderr, clippy::print_stdout)]

use core::ffi::{CStr, c_void};
use core::ptr;
use globus_sys::*;
use std::cell::{Cell, RefCell};
use std::ffi::CString;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::ExitCode;

/// As many as one data connection can make use of; more would only take memory.
const BUFFERS: usize = 4;
const BUFFER_SIZE: usize = 256 * 1024;

/// What the callbacks share with `main`; C carries its address as the `user_arg`.
struct Get {
    file: File,
    received: Cell<u64>,
    /// The first thing that went wrong, in words.
    failure: RefCell<Option<String>>,
    complete: Cell<bool>,
}

impl Get {
    fn fail(&self, words: String) {
        self.failure.borrow_mut().get_or_insert(words);
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, path] = arguments.as_slice() else {
        eprintln!("usage: raw_get URL FILE");
        return ExitCode::from(2);
    };
    match get(url, path) {
        Ok(bytes) => {
            println!("{bytes} bytes");
            ExitCode::SUCCESS
        }
        Err(words) => {
            eprintln!("raw_get: {}", words.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn get(url: &str, path: &str) -> Result<u64, String> {
    let url = CString::new(url).map_err(|_| "the URL has a NUL byte in it".to_owned())?;
    let file = File::create(path).map_err(|error| format!("cannot create {path}: {error}"))?;

    // SAFETY: nothing of Globus has run yet and this program has one thread; the name is a constant of the library.
    unsafe {
        if globus_thread_set_model(GLOBUS_THREAD_MODEL_NONE.as_ptr()) != 0 {
            return Err("the thread model `none` was refused".to_owned());
        }
        if globus_module_activate(GLOBUS_FTP_CLIENT_MODULE) != 0 {
            return Err("globus_ftp_client does not start".to_owned());
        }
    }

    let get = Get { file, received: Cell::new(0), failure: RefCell::new(None), complete: Cell::new(false) };
    // The library keeps the buffers from register_read to their callback: they live as long as `handle` below.
    let mut buffers = vec![vec![0_u8; BUFFER_SIZE]; BUFFERS];
    // It also keeps the address of this variable, which therefore never moves.
    let mut handle: globus_ftp_client_handle_t = ptr::null_mut();

    // SAFETY: the module is active, and all calls are made on this thread. `handle`, `get` and `buffers` outlive the
    // operation: when it was started, this function stays in the loop until the complete callback has run, which
    // comes after the callbacks of all buffers of a get. C has `get` as a pointer to const and the callbacks make a
    // shared reference of it, so it may be looked at here between polls.
    unsafe {
        check(globus_ftp_client_handle_init(&raw mut handle, ptr::null_mut()))?;
        let user_arg = ptr::from_ref(&get).cast_mut().cast::<c_void>();
        // An error at once means that no callback will come, and ours is the turn to clean up.
        let started = check(globus_ftp_client_get(
            &raw mut handle,
            url.as_ptr(),
            ptr::null_mut(), // the default attributes: binary, stream mode
            ptr::null_mut(), // from the beginning
            Some(on_complete),
            user_arg,
        ));
        if started.is_ok() {
            for buffer in &mut buffers {
                register(&raw mut handle, buffer.as_mut_ptr(), user_arg);
            }
            while !get.complete.get() {
                globus_poll_blocking();
            }
        }
        check(globus_ftp_client_handle_destroy(&raw mut handle))?;
        globus_module_deactivate(GLOBUS_FTP_CLIENT_MODULE);
        started?;
    }
    match get.failure.take() {
        Some(words) => Err(words),
        None => Ok(get.received.get()),
    }
}

/// Lends a buffer to the library, to be filled.
///
/// # Safety
/// The handle's get is under way; `buffer` is one of its buffers, not lent at present; `user_arg` is its [`Get`].
unsafe fn register(
    handle: *mut globus_ftp_client_handle_t,
    buffer: *mut globus_byte_t,
    user_arg: *mut c_void,
) {
    // SAFETY: the caller's contract; all buffers have this size.
    let outcome = unsafe {
        check(globus_ftp_client_register_read(handle, buffer, BUFFER_SIZE, Some(on_data), user_arg))
    };
    if let Err(words) = outcome {
        // SAFETY: the caller's contract: a pointer made from a shared reference that is alive until the get is complete.
        let get = unsafe { &*user_arg.cast::<Get>() };
        get.fail(words);
        // Without a buffer to fill the operation would never end. If it is ending already, this does nothing.
        // SAFETY: the handle is alive.
        unsafe { globus_ftp_client_abort(handle) };
    }
}

/// A buffer is back. Must not unwind: a panic here ends the process, as it should in a function called by C.
unsafe extern "C" fn on_data(
    user_arg: *mut c_void,
    handle: *mut globus_ftp_client_handle_t,
    error: *mut globus_object_t,
    buffer: *mut globus_byte_t,
    length: globus_size_t,
    offset: globus_off_t,
    eof: globus_bool_t,
) {
    // SAFETY: `user_arg` is the address that `get` gave, and `get` waits for the end of the operation.
    let get = unsafe { &*user_arg.cast::<Get>() };
    if !error.is_null() {
        // SAFETY: the error object is the library's and lives until this function returns.
        get.fail(unsafe { words(error) });
        return;
    }
    if length > 0 {
        #[allow(clippy::disallowed_methods)] // this is the border with C
        // SAFETY: the library filled `length` bytes of a buffer that it has now given back.
        let data = unsafe { core::slice::from_raw_parts(buffer, length) };
        // The offset comes from the network.
        let written = u64::try_from(offset)
            .map_err(|_| format!("the server sent a block for offset {offset}"))
            .and_then(|offset| get.file.write_all_at(data, offset).map_err(|error| error.to_string()));
        if let Err(words) = written {
            get.fail(words);
            // SAFETY: the handle is alive. The other buffers come back with an error, then the complete callback.
            unsafe { globus_ftp_client_abort(handle) };
            return;
        }
        get.received.set(get.received.get() + length as u64);
    }
    if eof == GLOBUS_FALSE {
        // SAFETY: the get goes on, and the buffer has just come back.
        unsafe { register(handle, buffer, user_arg) };
    }
}

/// The operation is over.
unsafe extern "C" fn on_complete(
    user_arg: *mut c_void,
    _handle: *mut globus_ftp_client_handle_t,
    error: *mut globus_object_t,
) {
    // SAFETY: `user_arg` is the address that `get` gave, and `get` waits for `complete`, which is set below.
    let get = unsafe { &*user_arg.cast::<Get>() };
    if !error.is_null() {
        // SAFETY: the error object is the library's and lives until this function returns.
        get.fail(unsafe { words(error) });
    }
    get.complete.set(true);
    // SAFETY: this runs inside the poll of `get`, which would go on for ever if nobody told it to return.
    unsafe { globus_signal_poll() };
}

/// A result as a Rust result; the error object behind it is taken out of the library's table and freed.
///
/// # Safety
/// `result` was just returned by a function of Globus, on this thread.
unsafe fn check(result: globus_result_t) -> Result<(), String> {
    if result == GLOBUS_SUCCESS {
        return Ok(());
    }
    // SAFETY: a result that is no success stands for an error object, which is ours from `globus_error_get` on.
    unsafe {
        let error = globus_error_get(result);
        let words = words(error);
        globus_object_free(error);
        Err(words)
    }
}

/// # Safety
/// `error` is a live error object.
unsafe fn words(error: *mut globus_object_t) -> String {
    // SAFETY: the caller's contract; the string is NUL-terminated, made by malloc for us, and freed once.
    unsafe {
        let text = globus_error_print_friendly(error);
        if text.is_null() {
            return "an error without words".to_owned();
        }
        let words = CStr::from_ptr(text).to_string_lossy().into_owned();
        libc::free(text.cast());
        words
    }
}
