/*
 * What bindgen reads. One line per header that belongs to the public interface of a library named in build/probe.rs;
 * headers that these include by themselves (globus_gss_assist.h, globus_gsi_callback.h...) are bound only as far as the
 * prefixes in build/bind.rs say.
 */
#include <globus_common.h>
#include <globus_error_string.h>

#include <globus_xio.h>
#include <globus_xio_file_driver.h>
#include <globus_xio_tcp_driver.h>
#include <globus_xio_gsi.h>

#include <globus_io.h>
#include <globus_ftp_control.h>

#include <gssapi.h>
#include <globus_gss_assist.h>
#include <globus_error_gssapi.h>

#include <globus_error_openssl.h>
#include <globus_gsi_credential.h>
#include <globus_gsi_system_config.h>

#ifdef GLOBUS_SYS_FTP_CLIENT
#include <globus_ftp_client.h>
#include <globus_ftp_client_plugin.h>
#include <globus_ftp_client_debug_plugin.h>
#include <globus_ftp_client_perf_plugin.h>
#include <globus_ftp_client_restart_plugin.h>
#include <globus_ftp_client_restart_marker_plugin.h>
#include <globus_ftp_client_throughput_plugin.h>
#endif
