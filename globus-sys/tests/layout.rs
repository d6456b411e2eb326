//! C and Rust give the main structures the same size and alignment.
//!
//! bindgen's own assertions compare its reading of the headers (by libclang) with Rust's; here the C compiler that this
//! machine builds with has its say too.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use core::ffi::{CStr, c_char};
use globus_sys::*;

/// `struct globus_sys_layout` of `shim.c`.
#[repr(C)]
struct Layout {
    name: *const c_char,
    size: usize,
    align: usize,
}

unsafe extern "C" {
    static globus_sys_layouts: [Layout; 0];
    static globus_sys_layouts_count: usize;
}

macro_rules! layouts {
    ($($name:ident)*) => { [$((stringify!($name), size_of::<$name>(), align_of::<$name>())),*] };
}

fn layouts_by_rust() -> Vec<(&'static str, usize, usize)> {
    layouts! {
        globus_abstime_t globus_reltime_t globus_mutex_t globus_cond_t globus_thread_t globus_thread_once_t
        globus_version_t globus_module_descriptor_t globus_object_t globus_object_type_t globus_url_t globus_fifo_t
        globus_sockaddr_t globus_xio_iovec_t globus_io_handle_t globus_io_attr_t globus_io_secure_authorization_data_t
        globus_ftp_control_handle_t globus_ftp_cc_handle_t globus_i_ftp_dc_handle_t globus_ftp_control_auth_info_t
        globus_ftp_control_response_t globus_ftp_control_host_port_t globus_ftp_control_dcau_t
        globus_ftp_control_layout_t globus_ftp_control_parallelism_t globus_ftp_control_tcpbuffer_t
        gss_buffer_desc gss_buffer_set_desc gss_OID_desc gss_OID_set_desc
    }
    .to_vec()
}

fn layouts_by_c() -> Vec<(&'static str, usize, usize)> {
    // SAFETY: the shim defines both as constants.
    let (first, count) =
        unsafe { ((&raw const globus_sys_layouts).cast::<Layout>(), globus_sys_layouts_count) };
    (0..count)
        .map(|index| {
            // SAFETY: `index` is below the number of elements, which are constants with static names.
            let (layout, name) = unsafe {
                let layout = &*first.add(index);
                (layout, CStr::from_ptr(layout.name))
            };
            (name.to_str().unwrap(), layout.size, layout.align)
        })
        .collect()
}

#[test]
fn c_and_rust_agree() {
    assert_eq!(layouts_by_c(), layouts_by_rust());
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_handle_has_the_size_that_was_measured() {
    assert_eq!(size_of::<globus_ftp_control_handle_t>(), 8976);
}
