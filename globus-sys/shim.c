/*
 * What only a C compiler can do for these bindings: functions with `...` under a fixed signature, and the sizes that C
 * gives to structures. No logic lives here.
 */
#include <globus_common.h>
#include <globus_error_string.h>
#include <globus_ftp_control.h>
#include <globus_xio.h>
#include <globus_xio_file_driver.h>
#include <gssapi.h>

/* The file driver takes over an open descriptor. C converts what `...` carries by the promotions of the caller's types;
 * here the compiler sees the type that the driver will read. */
globus_result_t
globus_sys_xio_attr_set_file_handle(
    globus_xio_attr_t                   attr,
    globus_xio_driver_t                 file_driver,
    globus_xio_system_file_t            fd)
{
    return globus_xio_attr_cntl(attr, file_driver, GLOBUS_XIO_FILE_SET_HANDLE, fd);
}

/* The command is sent as it stands. The C function reads its text as a printf format: a '%' in a file name would be
 * a conversion without an argument. */
globus_result_t
globus_sys_ftp_control_send_command(
    globus_ftp_control_handle_t *       handle,
    const char *                        command,
    globus_ftp_control_response_callback_t callback,
    void *                              callback_arg)
{
    return globus_ftp_control_send_command(handle, "%s", callback, callback_arg, command);
}

/* An error object that holds these words as they stand, for the same reason. */
globus_object_t *
globus_sys_error_construct_string(
    globus_module_descriptor_t *        base_source,
    globus_object_t *                   base_cause,
    const char *                        words)
{
    return globus_error_construct_string(base_source, base_cause, "%s", words);
}

/* Size and alignment as C sees them, for a test to compare with Rust's. */
struct globus_sys_layout
{
    const char *                        name;
    size_t                              size;
    size_t                              align;
};

#define LAYOUT(type) { #type, sizeof(type), _Alignof(type) }

const struct globus_sys_layout globus_sys_layouts[] =
{
    LAYOUT(globus_abstime_t),
    LAYOUT(globus_reltime_t),
    LAYOUT(globus_mutex_t),
    LAYOUT(globus_cond_t),
    LAYOUT(globus_thread_t),
    LAYOUT(globus_thread_once_t),
    LAYOUT(globus_version_t),
    LAYOUT(globus_module_descriptor_t),
    LAYOUT(globus_object_t),
    LAYOUT(globus_object_type_t),
    LAYOUT(globus_url_t),
    LAYOUT(globus_fifo_t),
    LAYOUT(globus_sockaddr_t),
    LAYOUT(globus_xio_iovec_t),
    LAYOUT(globus_io_handle_t),
    LAYOUT(globus_io_attr_t),
    LAYOUT(globus_io_secure_authorization_data_t),
    LAYOUT(globus_ftp_control_handle_t),
    LAYOUT(globus_ftp_cc_handle_t),
    LAYOUT(globus_i_ftp_dc_handle_t),
    LAYOUT(globus_ftp_control_auth_info_t),
    LAYOUT(globus_ftp_control_response_t),
    LAYOUT(globus_ftp_control_host_port_t),
    LAYOUT(globus_ftp_control_dcau_t),
    LAYOUT(globus_ftp_control_layout_t),
    LAYOUT(globus_ftp_control_parallelism_t),
    LAYOUT(globus_ftp_control_tcpbuffer_t),
    LAYOUT(gss_buffer_desc),
    LAYOUT(gss_buffer_set_desc),
    LAYOUT(gss_OID_desc),
    LAYOUT(gss_OID_set_desc),
};

const size_t globus_sys_layouts_count = sizeof(globus_sys_layouts) / sizeof(globus_sys_layouts[0]);
