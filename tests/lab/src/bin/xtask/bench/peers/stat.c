/*
 * Asks for one file's facts (MLST), one time after another on a cached connection, without threads: the best that the C library
 * does. `stat URL COUNT` tells the microseconds of one. The first one, with the login, is not counted unless it is the only one.
 */
#include <globus_ftp_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int ended;
static int failed;

static void done(void *arg, globus_ftp_client_handle_t *handle, globus_object_t *error)
{
    (void)arg;
    (void)handle;
    if (error != NULL) {
        char *said = globus_error_print_friendly(error);
        fprintf(stderr, "%s\n", said);
        free(said);
        failed = 1;
    }
    ended = 1;
}

static int ask(globus_ftp_client_handle_t *handle, globus_ftp_client_operationattr_t *attr, const char *url)
{
    globus_byte_t *facts = NULL;
    globus_size_t length = 0;
    ended = 0;
    if (globus_ftp_client_mlst(handle, url, attr, &facts, &length, done, NULL) != GLOBUS_SUCCESS) {
        fprintf(stderr, "the operation does not begin\n");
        return 1;
    }
    while (!ended)
        globus_poll_blocking();
    free(facts);
    return failed;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    globus_ftp_client_handleattr_t handle_attr;
    globus_ftp_client_handle_t handle;
    globus_ftp_client_operationattr_t attr;
    int count, number;
    double begun;

    if (argc != 3 || (count = atoi(argv[2])) < 1) {
        fprintf(stderr, "usage: stat URL COUNT\n");
        return 2;
    }
    globus_thread_set_model("none");
    if (globus_module_activate(GLOBUS_FTP_CLIENT_MODULE) != GLOBUS_SUCCESS)
        return 1;
    globus_ftp_client_handleattr_init(&handle_attr);
    globus_ftp_client_handleattr_set_cache_all(&handle_attr, GLOBUS_TRUE);
    globus_ftp_client_handle_init(&handle, &handle_attr);
    globus_ftp_client_operationattr_init(&attr);

    begun = now();
    if (count > 1) {
        if (ask(&handle, &attr, argv[1]))
            return 1;
        begun = now();
    }
    for (number = 0; number < count; number++)
        if (ask(&handle, &attr, argv[1]))
            return 1;
    printf("each_us %.3f\n", (now() - begun) * 1e6 / count);
    fflush(stdout);
    /* A quick end, as a program that is done would make it: nothing is closed politely. */
    _Exit(0);
}
