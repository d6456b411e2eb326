//! bindgen over `wrapper.h`.

use crate::probe::Found;
use bindgen::callbacks::{DeriveTrait, ImplementsTrait};
use std::fs;
use std::panic;
use std::path::Path;

/// Everything public in the headers has one of these prefixes. Types of other libraries (libc, OpenSSL) are not followed:
/// `src/foreign.rs` gives them.
const PREFIXES: &[&str] =
    &["globus_.*", "GLOBUS_.*", "gss_.*", "GSS_.*", "OM_uint32", "(global|local|extended)_gss_.*"];

/// Declared in the headers, exported by no library (checked with `nm -D`, and by the link test `tests/symbols.rs`,
/// which takes the address of every function that is bound).
const NOT_EXPORTED: &[&str] = &[
    "globus_ftp_client_operationattr_[gs]et_rfc1738_url",
    "globus_ftp_control_accept",
    "globus_ftp_control_auth_callback_t",
    "globus_ftp_control_close",
    "globus_ftp_control_command_free",
    "globus_ftp_data_close",
    "globus_gsi_callback_[gs]et_goodtill",
    "globus_gsi_cred_get_path_lengths",
    "globus_gss_assist_acquire_cred_dir",
    "globus_state_queue_event",
];

/// Functions that take a `va_list`, which stable Rust cannot make. Each has a variadic sister that is bound.
const VA_LIST: &[&str] = &[
    "globus_common_v_create_n?string",
    "globus_error_initialize_(error|string)",
    "globus_error_v_construct_error",
    "globus_libc_vprintf_length",
    "globus_logging_vwrite",
];

pub(crate) fn generate(found: &Found, with_ftp_client: bool, out: &Path) -> Result<(), String> {
    check_libclang()?;

    let mut builder = bindgen::Builder::default()
        .header("wrapper.h")
        .use_core()
        .clang_arg("-Iopenssl-names")
        .clang_args(found.include_paths.iter().map(|path| format!("-I{}", path.display())))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .rust_target(bindgen::RustTarget::stable(88, 0).map_err(|e| e.to_string())?)
        .allowlist_item(PREFIXES.join("|"))
        .allowlist_recursively(false)
        .blocklist_function([NOT_EXPORTED, VA_LIST].concat().join("|"))
        // Include guards are no part of an interface.
        .blocklist_item("GLOBUS_.*_H_?|GLOBUS_INCLUDE_.*|GLOBUS_XIO_LOAD_INCLUDE")
        // A value from C need not be one of those the header lists, so no C enum may be a Rust enum.
        .default_enum_style(bindgen::EnumVariation::NewType { is_bitfield: false, is_global: false })
        // The headers' words are written for Doxygen, full of markup that rustdoc would misread.
        .generate_comments(false)
        .layout_tests(true)
        .generate_cstr(true)
        .size_t_is_usize(true)
        .derive_debug(true)
        .merge_extern_blocks(true)
        .sort_semantically(true)
        .parse_callbacks(Box::new(Answers));
    if with_ftp_client {
        builder = builder.clang_arg("-DGLOBUS_SYS_FTP_CLIENT");
    }

    let bindings = builder.generate().map_err(|error| {
        format!(
            "globus-sys: the headers cannot be read by libclang: {error}\n\n  If it is `stddef.h` that is not found, \
             libclang's own headers are missing (Debian, Ubuntu: libclang-dev; Fedora: clang-devel)."
        )
    })?;
    let text = bindings.to_string();
    write(&out.join("symbols.rs"), &symbols(&text))?;
    write(&out.join("bindings.rs"), &text)
}

/// A Rust array of the names and addresses of all that is bound, for the link test.
fn symbols(bindings: &str) -> String {
    let mut text = String::from("&[\n");
    for (declaration, address) in
        [("pub fn ", ""), ("pub static ", "&raw const "), ("pub static mut ", "&raw const ")]
    {
        for (at, _) in bindings.match_indices(declaration) {
            let rest = &bindings[at + declaration.len()..];
            let name =
                rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
            // Methods that bindgen writes itself, such as those of bit fields, have other names.
            if ["globus_", "GLOBUS_", "gss_", "GSS_"].iter().any(|prefix| name.starts_with(prefix)) {
                text.push_str(&format!("    (\"{name}\", ({address}{name}) as *const ()),\n"));
            }
        }
    }
    text.push_str("]\n");
    text
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("globus-sys: cannot write {}: {error}", file.display()))
}

/// What bindgen cannot see in the headers.
#[derive(Debug)]
struct Answers;

impl bindgen::callbacks::ParseCallbacks for Answers {
    /// The types of macros whose value alone would give another one.
    fn int_macro(&self, name: &str, _value: i64) -> Option<bindgen::callbacks::IntKind> {
        match name {
            // globus_bool_t; gss_cred_usage_t; status_type of gss_display_status: all `int`.
            "GLOBUS_TRUE" | "GLOBUS_FALSE" | "GSS_C_BOTH" | "GSS_C_INITIATE" | "GSS_C_ACCEPT"
            | "GSS_C_GSS_CODE" | "GSS_C_MECH_CODE" => Some(bindgen::callbacks::IntKind::Int),
            _ => None,
        }
    }

    /// The foreign types that stand in Globus' structures and unions by value are plain data of libc. Without this answer
    /// bindgen would replace the unions that hold them by structures of its own making.
    fn blocklisted_type_implements_trait(&self, _name: &str, derive: DeriveTrait) -> Option<ImplementsTrait> {
        matches!(derive, DeriveTrait::Copy).then_some(ImplementsTrait::Yes)
    }
}

/// bindgen panics where libclang is not installed; that panic is turned into words that help.
fn check_libclang() -> Result<(), String> {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let outcome = panic::catch_unwind(bindgen::clang_version);
    panic::set_hook(usual);
    match outcome {
        Ok(_) => Ok(()),
        Err(payload) => {
            let words = payload.downcast_ref::<String>().map_or("it cannot be loaded", String::as_str);
            Err(format!(
                "globus-sys: libclang, which reads the C headers, is missing: {words}\n\n  \
                 Debian, Ubuntu:\n    sudo apt-get install libclang-dev\n  \
                 Fedora, or Enterprise Linux:\n    sudo dnf install clang-devel\n\n  \
                 If it is installed in a place of its own, name the folder of libclang.so in LIBCLANG_PATH."
            ))
        }
    }
}
