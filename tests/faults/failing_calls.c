/* Calls of the C library that fail as a test says, in processes that are started with
   LD_PRELOAD. FAULT is CALL:PART:NUMBER:FIRST:MANY, such as fsync:.tmp-run:116:1:1. Calls on a
   file whose path has this part give that error number, from the FIRSTth such call on, MANY
   times. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int seen = 0;

static int fails(const char *call, const char *path) {
    const char *fault = getenv("FAULT");
    char wanted[32], part[PATH_MAX];
    int number, first, many;
    if (!fault || !path) return 0;
    if (sscanf(fault, "%31[^:]:%4095[^:]:%d:%d:%d", wanted, part, &number, &first, &many) != 5)
        return 0;
    if (strcmp(wanted, call) || !strstr(path, part)) return 0;
    seen++;
    if (seen < first || seen >= first + many) return 0;
    errno = number;
    return 1;
}

static int fails_at(const char *call, int fd) {
    char link[64], path[PATH_MAX];
    if (!getenv("FAULT")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(call, path);
}

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return fails("open", path) ? -1 : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define STREAM(name) \
    FILE *name(const char *path, const char *mode) { \
        return fails("open", path) ? NULL : REAL(name)(path, mode); \
    }
STREAM(fopen)
STREAM(fopen64)

ssize_t read(int fd, void *to, size_t count) {
    return fails_at("read", fd) ? -1 : REAL(read)(fd, to, count);
}
ssize_t pread(int fd, void *to, size_t count, off_t at) {
    return fails_at("read", fd) ? -1 : REAL(pread)(fd, to, count, at);
}
ssize_t pread64(int fd, void *to, size_t count, off64_t at) {
    return fails_at("read", fd) ? -1 : REAL(pread64)(fd, to, count, at);
}
ssize_t write(int fd, const void *from, size_t count) {
    return fails_at("write", fd) ? -1 : REAL(write)(fd, from, count);
}
int fsync(int fd) { return fails_at("fsync", fd) ? -1 : REAL(fsync)(fd); }
int rename(const char *from, const char *to) {
    return fails("rename", to) ? -1 : REAL(rename)(from, to);
}
int unlink(const char *path) { return fails("unlink", path) ? -1 : REAL(unlink)(path); }
