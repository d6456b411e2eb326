//! One `globus_ftp_control_handle_t` used for its data half: pinned, never connected on its control side.
//!
//! The type is neither `Send` nor `Sync`: it is made on the engine thread and stays there, which is what thread model
//! "none" asks for. Every method is one C call with its arguments checked; none of them runs a callback before it returns
//! (callbacks run in `globus_callback_space_poll` only).

use std::ffi::{CString, c_int, c_void};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr::{self, NonNull};

use globus_sys as sys;

use super::command::Id;
use super::convert;
use super::data::{Direction, PortSecurity, PortSettings, Protection};
use super::failure::{Failure, FailureKind};
use super::gss::Credentials;

type Raw = sys::globus_ftp_control_handle_t;

/// A live handle. Dropping the value leaks the memory on purpose: C may still hold its address. [`Handle::destroy`] frees.
#[derive(Debug)]
pub(super) struct Handle {
    raw: NonNull<Raw>,
    ipv6: bool,
}

/// An id as C's `user_arg`: a number in a pointer's clothes, never dereferenced.
pub(super) fn user_arg(id: Id) -> *mut c_void {
    const { assert!(size_of::<usize>() == size_of::<Id>(), "ids travel through C as pointers") };
    ptr::without_provenance_mut(usize::try_from(id).unwrap_or(usize::MAX))
}

impl Handle {
    /// A handle set up for one direction's channels: mode, type Image, parallelism, buffers, security.
    pub(super) fn new(settings: &PortSettings, credentials: &Credentials) -> Result<Self, Failure> {
        let raw = convert::zeroed_handle();
        // SAFETY: `raw` points to zeroed memory of the right size and alignment that stays at its address until `destroy`.
        convert::check(unsafe { sys::globus_ftp_control_handle_init(raw.as_ptr()) }).inspect_err(|_| {
            // SAFETY: the call that failed ("not activated" is its one reason) kept nothing.
            unsafe { convert::free_handle(raw) };
        })?;
        let handle = Self { raw, ipv6: settings.ipv6 };
        match handle.configure(settings, credentials) {
            Ok(()) => Ok(handle),
            Err(failure) => {
                let _ = handle.destroy();
                Err(failure)
            }
        }
    }

    fn configure(&self, settings: &PortSettings, credentials: &Credentials) -> Result<(), Failure> {
        let raw = self.raw.as_ptr();
        let mode = if settings.extended_block {
            sys::globus_ftp_control_mode_t::GLOBUS_FTP_CONTROL_MODE_EXTENDED_BLOCK
        } else {
            sys::globus_ftp_control_mode_t::GLOBUS_FTP_CONTROL_MODE_STREAM
        };
        // SAFETY: (of all calls in this function) `raw` is an initialised handle in state NONE; structures are passed by
        // address for the length of the call only, except the credential, which the port keeps alive (see `Port`).
        unsafe {
            if self.ipv6 {
                convert::check(sys::globus_ftp_control_ipv6_allow(raw, 1))?;
            }
            convert::check(sys::globus_ftp_control_local_mode(raw, mode))?;
            convert::check(sys::globus_ftp_control_local_type(
                raw,
                sys::globus_ftp_control_type_t::GLOBUS_FTP_CONTROL_TYPE_IMAGE,
                0,
            ))?;
        }
        if settings.extended_block {
            self.set_parallelism(settings.parallelism)?;
        }
        if let Some(bytes) = settings.tcp_buffer_bytes {
            let mut buffer = sys::globus_ftp_control_tcpbuffer_t {
                fixed: sys::globus_ftp_control_tcpbuffer_fixed_t {
                    mode: sys::globus_ftp_control_tcpbuffer_mode_t::GLOBUS_FTP_CONTROL_TCPBUFFER_FIXED,
                    size: c_int::try_from(bytes).unwrap_or(c_int::MAX),
                },
            };
            // SAFETY: as above.
            convert::check(unsafe { sys::globus_ftp_control_local_tcp_buffer(raw, &raw mut buffer) })?;
        }
        self.secure(&settings.security, credentials)
    }

    fn secure(&self, security: &PortSecurity, credentials: &Credentials) -> Result<(), Failure> {
        let raw = self.raw.as_ptr();
        let mut dcau = sys::globus_ftp_control_dcau_t {
            subject: sys::globus_ftp_control_dcau_subject_t {
                mode: sys::globus_ftp_control_dcau_mode_t::GLOBUS_FTP_CONTROL_DCAU_NONE,
                subject: ptr::null_mut(),
            },
        };
        // Lives until the end of this function.
        let text;
        let (credential, protection) = match security {
            PortSecurity::None => (ptr::null_mut(), None),
            PortSecurity::Proven { credential, subject: None, protection } => {
                dcau.mode = sys::globus_ftp_control_dcau_mode_t::GLOBUS_FTP_CONTROL_DCAU_SELF;
                (credentials.raw(credential)?, Some(*protection))
            }
            PortSecurity::Proven { credential, subject: Some(subject), protection } => {
                text = subject_text(subject)?;
                dcau.mode = sys::globus_ftp_control_dcau_mode_t::GLOBUS_FTP_CONTROL_DCAU_SUBJECT;
                // SAFETY: writing a pointer to a field of the union that is valid for every pattern; the modes of both
                // its structures are at the same place.
                dcau.subject.subject = text.as_ptr().cast_mut();
                (credentials.raw(credential)?, Some(*protection))
            }
        };
        // SAFETY: `dcau` and `text` live until the call returns: the subject is copied (`globus_libc_strdup`, and a name
        // imported by GSSAPI), and C only reads it although it asks for a mutable pointer. The credential is borrowed by C for
        // as long as the handle lives, and the port's settings hold it for as long (a parked handle's, for ever).
        convert::check(unsafe { sys::globus_ftp_control_local_dcau(raw, &raw const dcau, credential) })?;
        let Some(protection) = protection else { return Ok(()) };
        let level = match protection {
            Protection::Clear => return Ok(()),
            Protection::Safe => sys::globus_ftp_control_protection_t::GLOBUS_FTP_CONTROL_PROTECTION_SAFE,
            Protection::Private => {
                sys::globus_ftp_control_protection_t::GLOBUS_FTP_CONTROL_PROTECTION_PRIVATE
            }
        };
        // SAFETY: an initialised handle; the level is one of those that the call accepts.
        unsafe {
            convert::check(sys::globus_ftp_control_local_pbsz(raw, 1 << 20))?;
            convert::check(sys::globus_ftp_control_local_prot(raw, level))
        }
    }

    /// Listens on `on` and returns the address with its port.
    pub(super) fn listen(&self, on: IpAddr) -> Result<SocketAddr, Failure> {
        let interface = CString::new(on.to_string())
            .map_err(|_| Failure::new(FailureKind::Other, "an address holds a NUL byte"))?;
        let mut address = host_port(SocketAddr::new(on, 0));
        // SAFETY: an initialised handle without a data set; the interface is copied, the address filled before return. The
        // address is not 0.0.0.0 or the control side is not connected, so the call does not look at the control half.
        unsafe {
            convert::check(sys::globus_ftp_control_data_set_interface(
                self.raw.as_ptr(),
                interface.as_ptr(),
            ))?;
            convert::check(sys::globus_ftp_control_local_pasv(self.raw.as_ptr(), &raw mut address))?;
        }
        Ok(SocketAddr::new(on, address.port))
    }

    /// Notes the address to connect to.
    pub(super) fn peer(&self, address: SocketAddr) -> Result<(), Failure> {
        let mut address = host_port(address);
        // SAFETY: an initialised handle; the address is copied.
        convert::check(unsafe { sys::globus_ftp_control_local_port(self.raw.as_ptr(), &raw mut address) })
    }

    /// Notes the addresses of all stripes.
    pub(super) fn stripes(&self, addresses: &[SocketAddr]) -> Result<(), Failure> {
        let mut addresses: Vec<_> = addresses.iter().copied().map(host_port).collect();
        let count = u32::try_from(addresses.len())
            .map_err(|_| Failure::new(FailureKind::Other, "too many stripes"))?;
        // SAFETY: an initialised handle in state NONE (a port is aimed once); `count` addresses are copied.
        convert::check(unsafe {
            sys::globus_ftp_control_local_spor(self.raw.as_ptr(), addresses.as_mut_ptr(), count)
        })
    }

    /// Starts connecting, accepting, or re-arming cached connections; [`super::data::connected`] is called with `port`.
    pub(super) fn connect(&self, direction: Direction, port: Id) -> Result<(), Failure> {
        let raw = self.raw.as_ptr();
        // SAFETY: an initialised handle; the callback is a static function and its argument a number.
        convert::check(unsafe {
            match direction {
                Direction::Read => sys::globus_ftp_control_data_connect_read(
                    raw,
                    Some(super::data::connected),
                    user_arg(port),
                ),
                Direction::Write => sys::globus_ftp_control_data_connect_write(
                    raw,
                    Some(super::data::connected),
                    user_arg(port),
                ),
            }
        })
    }

    /// Registers a read; [`super::data::moved`] is called with `operation`, once, if this succeeds; never if it fails.
    ///
    /// # Safety
    /// `memory` must be valid for writes of `capacity` bytes, and not be touched, until that callback.
    pub(super) unsafe fn read(&self, memory: *mut u8, capacity: usize, operation: Id) -> Result<(), Failure> {
        // SAFETY: an initialised handle, and the caller's promise for the memory.
        convert::check(unsafe {
            sys::globus_ftp_control_data_read(
                self.raw.as_ptr(),
                memory,
                capacity,
                Some(super::data::moved),
                user_arg(operation),
            )
        })
    }

    /// Registers a write; [`super::data::moved`] is called with `operation`, once, if this succeeds; never if it fails.
    ///
    /// # Safety
    /// `memory` must be valid for reads of `length` bytes, unchanged, until that callback.
    pub(super) unsafe fn write(
        &self,
        memory: *const u8,
        length: usize,
        offset: i64,
        eof: bool,
        operation: Id,
    ) -> Result<(), Failure> {
        // SAFETY: an initialised handle, and the caller's promise for the memory; C only reads it although it asks for a
        // mutable pointer (type Image: no conversion in place).
        convert::check(unsafe {
            sys::globus_ftp_control_data_write(
                self.raw.as_ptr(),
                memory.cast_mut(),
                length,
                offset,
                eof.into(),
                Some(super::data::moved),
                user_arg(operation),
            )
        })
    }

    /// Registers a write on one stripe of a port that has several; as [`Self::write`] otherwise, and never the end.
    ///
    /// # Safety
    /// As [`Self::write`]; `length` is not 0, and `stripe` is less than the number of addresses given to [`Self::stripes`].
    pub(super) unsafe fn write_stripe(
        &self,
        memory: *const u8,
        length: usize,
        offset: i64,
        stripe: c_int,
        operation: Id,
    ) -> Result<(), Failure> {
        // SAFETY: an initialised handle, and the caller's promises: the stripe is an index into C's table, which is as long as
        // the list of addresses was. The call fails without keeping anything when there is no data set (any more); with
        // one, an entry that C cannot queue is called back as if it had been sent, which only happens behind an end or
        // without bytes, and neither is registered here.
        convert::check(unsafe {
            sys::globus_ftp_control_data_write_stripe(
                self.raw.as_ptr(),
                memory.cast_mut(),
                length,
                offset,
                0,
                stripe,
                Some(super::data::moved),
                user_arg(operation),
            )
        })
    }

    /// Ends the data set; [`super::data::closed`] is called with `port` if this succeeds.
    pub(super) fn force_close(&self, port: Id) -> Result<(), Failure> {
        // SAFETY: an initialised handle; the callback is a static function and its argument a number.
        convert::check(unsafe {
            sys::globus_ftp_control_data_force_close(
                self.raw.as_ptr(),
                Some(super::data::closed),
                user_arg(port),
            )
        })
    }

    /// True when no data set exists and none is being torn down.
    pub(super) fn is_idle(&self) -> bool {
        // SAFETY: the handle is alive, and only this thread writes the field.
        let state = unsafe { (*self.raw.as_ptr()).dc_handle.state };
        state == sys::globus_ftp_data_connection_state_t::GLOBUS_FTP_DATA_STATE_NONE
    }

    /// True when the data set is being torn down: force_close would be refused.
    pub(super) fn is_closing(&self) -> bool {
        // SAFETY: as in `is_idle`.
        let state = unsafe { (*self.raw.as_ptr()).dc_handle.state };
        state == sys::globus_ftp_data_connection_state_t::GLOBUS_FTP_DATA_STATE_CLOSING
    }

    /// The addresses of the peers that are connected now, at most `most`.
    pub(super) fn remote_hosts(&self, most: usize) -> Result<Vec<IpAddr>, Failure> {
        let mut addresses = vec![NO_ADDRESS; most.clamp(1, MOST_HOSTS)];
        let mut count = c_int::try_from(addresses.len()).unwrap_or(c_int::MAX);
        // SAFETY: an initialised handle; room for `count` addresses.
        convert::check(unsafe {
            sys::globus_ftp_control_data_get_remote_hosts(
                self.raw.as_ptr(),
                addresses.as_mut_ptr(),
                &raw mut count,
            )
        })?;
        let count = usize::try_from(count).unwrap_or(0).min(addresses.len());
        Ok(addresses[..count].iter().filter_map(address_of).collect())
    }

    /// Whether the data set is gone or on its way down, so that what its callbacks still say about data means nothing.
    ///
    /// Both are looked at: a late event can write another state over CLOSING, but the set's address stays cleared.
    pub(super) fn is_dying(&self) -> bool {
        // SAFETY: the handle is alive, and only this thread writes the field; it is compared, not followed.
        let gone = unsafe { (*self.raw.as_ptr()).dc_handle.transfer_handle.is_null() };
        gone || self.is_idle() || self.is_closing()
    }

    /// Sets how many connections a put makes, from its next write on.
    pub(super) fn set_parallelism(&self, connections: u16) -> Result<(), Failure> {
        let mut parallelism = sys::globus_ftp_control_parallelism_t {
            fixed: sys::globus_ftp_parallelism_fixed_t {
                mode: sys::globus_ftp_control_parallelism_mode_t::GLOBUS_FTP_CONTROL_PARALLELISM_FIXED,
                size: connections.max(1).into(),
            },
        };
        // SAFETY: an initialised handle; the value is copied during the call.
        convert::check(unsafe {
            sys::globus_ftp_control_local_parallelism(self.raw.as_ptr(), &raw mut parallelism)
        })
    }

    /// What C10 is about: another mode for a handle that has a data set.
    #[cfg(test)]
    pub(super) fn change_to_stream_mode(&self) {
        let mode = sys::globus_ftp_control_mode_t::GLOBUS_FTP_CONTROL_MODE_STREAM;
        // SAFETY: an initialised handle; the call itself only records.
        let _ = convert::check(unsafe { sys::globus_ftp_control_local_mode(self.raw.as_ptr(), mode) });
    }

    /// Destroys the handle and frees it.
    ///
    /// Call only when [`Self::is_idle`] and no callback is pending. A refusal parks the memory for ever: the call is not
    /// atomic, and a second one would use freed memory (C11).
    pub(super) fn destroy(self) -> Result<(), Failure> {
        // SAFETY: an initialised handle that nothing else refers to.
        convert::check(unsafe { sys::globus_ftp_control_handle_destroy(self.raw.as_ptr()) }).inspect_err(
            |_| {
                #[cfg(test)]
                if crate::hooks::without("C11") {
                    // SAFETY: none. This is what the rule is against: the refused call has freed half of the handle.
                    unsafe { sys::globus_ftp_control_handle_destroy(self.raw.as_ptr()) };
                }
            },
        )?;
        // SAFETY: destroyed, so C has forgotten the address; `self` is gone with this call.
        unsafe { convert::free_handle(self.raw) };
        Ok(())
    }
}

/// A distinguished name as C takes it for DCAU S.
///
/// C does not look whether it could import the name, and then compares with nothing; it also takes names in some forms for
/// something else than distinguished names. So both are ruled out before.
fn subject_text(subject: &str) -> Result<CString, Failure> {
    let refused = |why: &str| Failure::new(FailureKind::Other, format!("the subject \"{subject}\" {why}"));
    if !subject.starts_with('/') || (subject.contains('@') && !subject.contains("CN=")) {
        return Err(refused("is not a distinguished name with a common name (CN=)"));
    }
    super::gss::check_subject(subject)?;
    CString::new(subject).map_err(|_| refused("holds a NUL byte"))
}

/// Connections whose addresses are asked for at most.
const MOST_HOSTS: usize = 4096;

const NO_ADDRESS: sys::globus_ftp_control_host_port_t =
    sys::globus_ftp_control_host_port_t { host: [0; 16], port: 0, hostlen: 4 };

/// An address as Globus takes it: one `int` a byte.
fn host_port(address: SocketAddr) -> sys::globus_ftp_control_host_port_t {
    let mut result = sys::globus_ftp_control_host_port_t { port: address.port(), ..NO_ADDRESS };
    let mut fill = |bytes: &[u8], length: c_int| {
        for (to, from) in result.host.iter_mut().zip(bytes) {
            *to = c_int::from(*from);
        }
        result.hostlen = length;
    };
    match address.ip() {
        IpAddr::V4(ip) => fill(&ip.octets(), 4),
        IpAddr::V6(ip) => fill(&ip.octets(), 16),
    }
    result
}

fn address_of(address: &sys::globus_ftp_control_host_port_t) -> Option<IpAddr> {
    let mut bytes = [0_u8; 16];
    for (to, from) in bytes.iter_mut().zip(address.host) {
        *to = u8::try_from(from).ok()?;
    }
    match address.hostlen {
        4 => Some(IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()),
        _ => None,
    }
}
