/* What happens to files: the n-th call of chosen kinds below a folder fails, stops short, comes late, or is the process's last.

   Preloaded into a process by faults.py, so that calls of native libraries are met too; `faults_arm` begins to count. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { KILL = 1, TEAR, FAIL, SHORT, END, AFTER, DELAY };
enum { MKDIR = 1, CREATE = 2, WRITE = 4, SYNC = 8, CLOSE = 16, RENAME = 32, LINK = 64, REMOVE = 128, TOUCH = 256,
       OPEN = 512, READ = 1024, LIST = 2048, LOCK = 4096 };

#define FILES 65536
static unsigned char opened[FILES]; /* 1: to read, 2: to write */
static char folder[PATH_MAX];
static size_t folder_length;
static int kinds, action, code, lasting;
static long chosen, *seen;

void faults_arm(const char *below, int which, int what, long turn, int stays, int error, long *counter) {
    strncpy(folder, below, sizeof folder - 1);
    folder_length = strlen(folder);
    action = what, chosen = turn, lasting = stays, code = error, seen = counter, kinds = which;
}

static int is_below(const char *path) { return kinds && path && !strncmp(path, folder, folder_length); }
static int mode_of(int file) { return file >= 0 && file < FILES ? opened[file] : 0; }

/* Counts a call; gives what is to happen to it. */
static int turn_of(int kind, int is_ours) {
    if (!is_ours || !(kinds & kind)) return 0;
    long turn = __atomic_fetch_add(seen, 1, __ATOMIC_SEQ_CST);
    int what = turn == chosen || (lasting && turn > chosen) ? action : 0;
    if (what == KILL) kill(getpid(), SIGKILL);
    if (what == DELAY) nanosleep(&(struct timespec){0, 2000000}, NULL);
    return what;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define AROUND(kind, is_ours, call)                                         \
    int what = turn_of(kind, is_ours);                                      \
    if (what == FAIL) return errno = code, -1;                              \
    __typeof__(call) result = call;                                         \
    if (what == AFTER) return errno = code, -1;                             \
    return result;

int mkdir(const char *path, mode_t mode) { AROUND(MKDIR, is_below(path), REAL(mkdir)(path, mode)) }
int rename(const char *from, const char *to) { AROUND(RENAME, is_below(to), REAL(rename)(from, to)) }
int link(const char *from, const char *to) { AROUND(LINK, is_below(to), REAL(link)(from, to)) }
int linkat(int a, const char *from, int b, const char *to, int flags) { AROUND(LINK, is_below(to), REAL(linkat)(a, from, b, to, flags)) }
int unlink(const char *path) { AROUND(REMOVE, is_below(path), REAL(unlink)(path)) }
int rmdir(const char *path) { AROUND(REMOVE, is_below(path), REAL(rmdir)(path)) }
int unlinkat(int at, const char *path, int flags) { AROUND(REMOVE, is_below(path) || mode_of(at), REAL(unlinkat)(at, path, flags)) }
int utimensat(int at, const char *path, const struct timespec times[2], int flags) { AROUND(TOUCH, is_below(path), REAL(utimensat)(at, path, times, flags)) }
int fsync(int file) { AROUND(SYNC, mode_of(file), REAL(fsync)(file)) }
int flock(int file, int how) { AROUND(LOCK, mode_of(file), REAL(flock)(file, how)) }
int fdatasync(int file) { AROUND(SYNC, mode_of(file), REAL(fdatasync)(file)) }

int close(int file) { /* a file is closed whatever is told */
    int mode = mode_of(file), what = turn_of(CLOSE, mode == 2);
    if (mode) opened[file] = 0;
    int result = REAL(close)(file);
    return what == FAIL || what == AFTER ? (errno = code, -1) : result;
}

DIR *opendir(const char *path) {
    int what = turn_of(LIST, is_below(path));
    return what == FAIL || what == AFTER ? (errno = code, NULL) : REAL(opendir)(path);
}

static int open_with(int (*real)(const char *, int, ...), const char *path, int flags, mode_t mode) {
    int ours = is_below(path), writes = (flags & O_ACCMODE) != O_RDONLY;
    int what = turn_of(writes ? CREATE : OPEN, ours);
    if (what == FAIL) return errno = code, -1;
    int file = real(path, flags, mode);
    if (file >= 0 && file < FILES) opened[file] = ours ? 1 + writes : 0;
    if (what == AFTER && file >= 0) return REAL(close)(file), opened[file] = 0, errno = code, -1;
    return file;
}

#define MODE(flags) mode_t mode = 0; if (flags & O_CREAT) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags) return open_with(REAL(open), path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_with(REAL(open64), path, flags, mode); }

ssize_t write(int file, const void *data, size_t size) {
    int what = turn_of(WRITE, mode_of(file) == 2);
    if (what == FAIL) return errno = code, -1;
    ssize_t done = REAL(write)(file, data, what == SHORT || what == TEAR ? (size + 1) / 2 : size);
    if (what == TEAR) kill(getpid(), SIGKILL);
    return what == AFTER ? (errno = code, -1) : done;
}

#define READING(call)                                                       \
    int what = turn_of(READ, mode_of(file) == 1);                           \
    if (what == FAIL || what == AFTER) return errno = code, -1;             \
    if (what == END) return 0;                                              \
    if (what == SHORT) size = (size + 1) / 2;                               \
    return call;
ssize_t read(int file, void *data, size_t size) { READING(REAL(read)(file, data, size)) }
ssize_t pread(int file, void *data, size_t size, off_t at) { READING(REAL(pread)(file, data, size, at)) }
ssize_t pread64(int file, void *data, size_t size, off64_t at) { READING(REAL(pread64)(file, data, size, at)) }
