//! The C compiler over `shim.c`.

use crate::probe::Found;

pub(crate) fn compile(found: &Found) {
    cc::Build::new()
        .file("shim.c")
        .includes(&found.include_paths)
        .warnings(true)
        .extra_warnings(false)
        .compile("globus_sys_shim");
}
