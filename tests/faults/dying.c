/* Kills its process at the n-th system call that changes a file below a folder; a write may be cut in half first.
   Loaded by LD_PRELOAD; `die_at` sets the folder and n, `changes` tells how many such calls there were. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static long count, last, half;

void die_at(const char *below, long n, long torn) {
    count = 0, last = n, half = torn;
    snprintf(folder, sizeof folder, "%s", below);
}

long changes(void) { return __atomic_load_n(&count, __ATOMIC_SEQ_CST); }

static int below(const char *path) { return folder[0] && strncmp(path, folder, strlen(folder)) == 0; }

static int open_below(int file) {
    char link[64], path[PATH_MAX];
    if (!folder[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int is_last(void) { return __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST) == last; }

static void die(void) { kill(getpid(), SIGKILL); }

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRITE(name, place, given)                                                                  \
    {                                                                                              \
        REAL(name);                                                                                \
        if (open_below(file) && is_last()) {                                                       \
            if (half && size > 1) { size /= 2; (void)!real place; }                                \
            die();                                                                                 \
        }                                                                                          \
        return real given;                                                                         \
    }

#define CHANGE(name, test, given)                                                                  \
    {                                                                                              \
        REAL(name);                                                                                \
        if (test && is_last()) die();                                                              \
        return real given;                                                                         \
    }

ssize_t write(int file, const void *data, size_t size) WRITE(write, (file, data, size), (file, data, size))
ssize_t pwrite(int file, const void *data, size_t size, off_t at) WRITE(pwrite, (file, data, size, at), (file, data, size, at))
ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) WRITE(pwrite64, (file, data, size, at), (file, data, size, at))
ssize_t writev(int file, const struct iovec *data, int parts) CHANGE(writev, open_below(file), (file, data, parts))
int fsync(int file) CHANGE(fsync, open_below(file), (file))
int fdatasync(int file) CHANGE(fdatasync, open_below(file), (file))
int ftruncate(int file, off_t size) CHANGE(ftruncate, open_below(file), (file, size))
int ftruncate64(int file, off64_t size) CHANGE(ftruncate64, open_below(file), (file, size))
int rename(const char *from, const char *to) CHANGE(rename, below(to), (from, to))
int renameat(int a, const char *from, int b, const char *to) CHANGE(renameat, below(to), (a, from, b, to))
int link(const char *from, const char *to) CHANGE(link, below(to), (from, to))
int unlink(const char *path) CHANGE(unlink, below(path), (path))
int unlinkat(int at, const char *path, int flags) CHANGE(unlinkat, below(path), (at, path, flags))
int mkdir(const char *path, mode_t mode) CHANGE(mkdir, below(path), (path, mode))
int rmdir(const char *path) CHANGE(rmdir, below(path), (path))
