/* Records what a process does to the files below one directory:
 *   LD_PRELOAD=libcrash_recorder.so with SIGNET_RECORD_DIR (absolute), SIGNET_RECORD_TRACE and SIGNET_RECORD_ACKS (a
 *   descriptor: what is written to it goes into the trace as an acknowledgement, and to the descriptor as well);
 * The calls are made as bare system calls, so nothing here depends on the library that it stands in front of. Knows:
 * open (O_DSYNC), mkstemp, write, pwrite, writev, pwritev, ftruncate, fsync, fdatasync, rename, link, unlink, mkdir, rmdir.
 * Not seen: stores through a shared mapping (LMDB's lock file), and stdio, whose writes are calls inside libc. */
#define _GNU_SOURCE
#include "trace_format.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { descriptors_max = 1024, files_max = 65536 };

struct descriptor {
  uint32_t file; /* 0: not traced */
  int directory;
  int synced;
};
struct inode {
  dev_t device;
  ino_t number;
};

static char root[4096];
static size_t root_size;
static int trace_fd = -1;
static int acks_fd = -1;
static struct descriptor open_files[descriptors_max];
static struct inode inodes[files_max]; /* [file] */
static uint32_t files_count;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static void die(const char* why) {
  dprintf(2, "crash recorder: %s: %s\n", why, strerror(errno));
  _exit(99);
}

static void put(const void* from, size_t size) {
  const char* at = from;
  while (size > 0) {
    long done = syscall(SYS_write, trace_fd, at, size);
    if (done <= 0)
      die("cannot write the trace");
    at += done;
    size -= (size_t)done;
  }
}

/* The caller holds the guard. */
static void record(uint32_t kind, uint32_t file, uint32_t flags, uint64_t offset, const struct iovec* parts, int count) {
  struct trace_header header = {TRACE_MAGIC, kind, file, flags, offset, 0};
  for (int i = 0; i < count; ++i)
    header.size += parts[i].iov_len;
  put(&header, sizeof header);
  for (int i = 0; i < count; ++i)
    put(parts[i].iov_base, parts[i].iov_len);
}

static void record_text(uint32_t kind, uint32_t file, uint32_t flags, const char* text, size_t size) {
  struct iovec part = {(void*)text, size};
  record(kind, file, flags, 0, &part, 1);
}

static int recording(void) { return trace_fd >= 0; }

/* Makes `path` absolute; says whether it is below the root. */
static int resolve(int at, const char* path, char out[8192]) {
  if (!recording() || path == NULL)
    return 0;
  if (path[0] == '/') {
    snprintf(out, 8192, "%s", path);
  } else {
    char base[4096];
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    long size = syscall(SYS_readlink, at == AT_FDCWD ? "/proc/self/cwd" : link, base, sizeof base - 1);
    if (size < 0)
      return 0;
    base[size] = 0;
    snprintf(out, 8192, "%s/%s", base, path);
  }
  size_t length = strlen(out);
  while (length > 1 && out[length - 1] == '/')
    out[--length] = 0;
  return strncmp(out, root, root_size) == 0 && (out[root_size] == '/' || out[root_size] == 0);
}

static struct descriptor* traced(int fd) {
  if (!recording() || fd < 0 || fd >= descriptors_max || open_files[fd].file == 0)
    return NULL;
  return &open_files[fd];
}

static int do_open(int at, const char* path, int flags, mode_t mode) {
  char full[8192];
  if (!resolve(at, path, full))
    return (int)syscall(SYS_openat, at, path, flags, mode);
  pthread_mutex_lock(&guard);
  struct stat before;
  int was_there = syscall(SYS_newfstatat, AT_FDCWD, full, &before, 0) == 0;
  int fd = (int)syscall(SYS_openat, at, path, flags, mode);
  int failed = errno;
  struct stat now;
  if (fd >= 0 && syscall(SYS_fstat, fd, &now) == 0) {
    if (fd >= descriptors_max)
      die("too many descriptors");
    uint32_t file = 0;
    if (was_there)
      for (uint32_t i = files_count; i > 0 && file == 0; --i)
        if (inodes[i].device == now.st_dev && inodes[i].number == now.st_ino)
          file = i;
    if (file == 0) {
      if (files_count + 1 >= files_max)
        die("too many files");
      file = ++files_count;
      inodes[file] = (struct inode){now.st_dev, now.st_ino};
      if (!S_ISDIR(now.st_mode))
        record_text(trace_open, file, was_there ? 0 : trace_created, full, strlen(full));
    }
    open_files[fd] = (struct descriptor){file, S_ISDIR(now.st_mode), (flags & (O_DSYNC | O_SYNC)) != 0};
    if (was_there && (flags & O_TRUNC) != 0 && before.st_size > 0)
      record(trace_truncate, file, 0, 0, NULL, 0);
  }
  pthread_mutex_unlock(&guard);
  errno = failed;
  return fd;
}

#define OPEN_WITH_MODE(at, path, flags)                                                                                \
  mode_t mode = 0;                                                                                                     \
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {                                                                          \
    va_list rest;                                                                                                      \
    va_start(rest, flags);                                                                                             \
    mode = (mode_t)va_arg(rest, int);                                                                                  \
    va_end(rest);                                                                                                      \
  }                                                                                                                    \
  return do_open(at, path, flags, mode)

int open(const char* path, int flags, ...) { OPEN_WITH_MODE(AT_FDCWD, path, flags); }
int open64(const char* path, int flags, ...) { OPEN_WITH_MODE(AT_FDCWD, path, flags); }
int openat(int at, const char* path, int flags, ...) { OPEN_WITH_MODE(at, path, flags); }
int openat64(int at, const char* path, int flags, ...) { OPEN_WITH_MODE(at, path, flags); }
int __open_2(const char* path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }
int __open64_2(const char* path, int flags) { return do_open(AT_FDCWD, path, flags, 0); }

/* glibc's own would open behind our back. */
int mkostemps64(char* path, int tail, int flags) {
  static unsigned long counter;
  size_t length = strlen(path);
  if (length < (size_t)tail + 6 || strncmp(path + length - (size_t)tail - 6, "XXXXXX", 6) != 0) {
    errno = EINVAL;
    return -1;
  }
  for (;;) {
    unsigned long number = ++counter + (unsigned long)getpid() * 4099UL;
    for (int i = 0; i < 6; ++i, number /= 26)
      path[length - (size_t)tail - 6 + (size_t)i] = (char)('a' + number % 26);
    int fd = do_open(AT_FDCWD, path, flags | O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd >= 0 || errno != EEXIST)
      return fd;
  }
}
int mkostemp64(char* path, int flags) { return mkostemps64(path, 0, flags); }
int mkostemp(char* path, int flags) { return mkostemps64(path, 0, flags); }
int mkstemp64(char* path) { return mkostemps64(path, 0, 0); }
int mkstemp(char* path) { return mkostemps64(path, 0, 0); }

int close(int fd) {
  if (recording() && fd >= 0 && fd < descriptors_max)
    open_files[fd] = (struct descriptor){0, 0, 0};
  return (int)syscall(SYS_close, fd);
}

/* Writes: recorded, then made. A short write would be recorded as a whole one; on a local file that means a full disk,
 * and then the run is worthless anyway. */
static void note_write(int fd, const struct iovec* parts, int count, int at_position, uint64_t offset) {
  struct descriptor* file = traced(fd);
  pthread_mutex_lock(&guard);
  if (file != NULL) {
    if (at_position) {
      long flags = syscall(SYS_fcntl, fd, F_GETFL);
      long position = syscall(SYS_lseek, fd, 0, (flags & O_APPEND) != 0 ? SEEK_END : SEEK_CUR);
      offset = (uint64_t)position;
    }
    record(trace_write, file->file, file->synced ? trace_synced : 0, offset, parts, count);
  } else if (fd == acks_fd) {
    record(trace_ack, 0, 0, 0, parts, count);
  }
  pthread_mutex_unlock(&guard);
}

static int interesting(int fd) { return recording() && (traced(fd) != NULL || fd == acks_fd); }

ssize_t write(int fd, const void* from, size_t size) {
  if (interesting(fd)) {
    struct iovec part = {(void*)from, size};
    note_write(fd, &part, 1, 1, 0);
  }
  return syscall(SYS_write, fd, from, size);
}
ssize_t pwrite64(int fd, const void* from, size_t size, off64_t offset) {
  if (interesting(fd)) {
    struct iovec part = {(void*)from, size};
    note_write(fd, &part, 1, 0, (uint64_t)offset);
  }
  return syscall(SYS_pwrite64, fd, from, size, offset);
}
ssize_t pwrite(int fd, const void* from, size_t size, off_t offset) { return pwrite64(fd, from, size, offset); }
ssize_t writev(int fd, const struct iovec* parts, int count) {
  if (interesting(fd))
    note_write(fd, parts, count, 1, 0);
  return syscall(SYS_writev, fd, parts, count);
}
ssize_t pwritev64(int fd, const struct iovec* parts, int count, off64_t offset) {
  if (interesting(fd))
    note_write(fd, parts, count, 0, (uint64_t)offset);
  return syscall(SYS_pwritev, fd, parts, count, (long)offset, 0L);
}
ssize_t pwritev(int fd, const struct iovec* parts, int count, off_t offset) { return pwritev64(fd, parts, count, offset); }

int ftruncate64(int fd, off64_t length) {
  struct descriptor* file = traced(fd);
  if (file != NULL) {
    pthread_mutex_lock(&guard);
    record(trace_truncate, file->file, 0, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&guard);
  }
  return (int)syscall(SYS_ftruncate, fd, length);
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int do_sync(int fd, long number) {
  int done = (int)syscall(number, fd);
  struct descriptor* file = traced(fd);
  if (done == 0 && file != NULL) {
    pthread_mutex_lock(&guard);
    if (file->directory) {
      char link[64];
      char path[4096];
      snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
      long size = syscall(SYS_readlink, link, path, sizeof path);
      if (size > 0)
        record_text(trace_sync_dir, 0, 0, path, (size_t)size);
    } else {
      record(trace_sync, file->file, 0, 0, NULL, 0);
    }
    pthread_mutex_unlock(&guard);
    errno = 0;
  }
  return done;
}
int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

/* Names: made, then recorded if that went well. */
static void note_names(uint32_t kind, const char* from, const char* to) {
  struct iovec parts[3] = {{(void*)from, strlen(from)}, {(void*)"", 1}, {(void*)to, to != NULL ? strlen(to) : 0}};
  record(kind, 0, 0, 0, parts, to != NULL ? 3 : 1);
}
static int with_names(uint32_t kind, int at, const char* from, int at_to, const char* to, int (*act)(void*), void* what) {
  char full[8192];
  char full_to[8192];
  int ours = resolve(at, from, full);
  if (to != NULL)
    ours = resolve(at_to, to, full_to) && ours;
  if (!ours)
    return act(what);
  pthread_mutex_lock(&guard);
  int done = act(what);
  int failed = errno;
  if (done == 0)
    note_names(kind, full, to != NULL ? full_to : NULL);
  pthread_mutex_unlock(&guard);
  errno = failed;
  return done;
}

struct call {
  long number;
  long a, b, c, d, e;
};
static int act(void* what) {
  struct call* call = what;
  return (int)syscall(call->number, call->a, call->b, call->c, call->d, call->e);
}

int renameat2(int at, const char* from, int at_to, const char* to, unsigned flags) {
  struct call call = {SYS_renameat2, at, (long)from, at_to, (long)to, (long)flags};
  return with_names(trace_rename, at, from, at_to, to, act, &call);
}
int rename(const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int at, const char* from, int at_to, const char* to) { return renameat2(at, from, at_to, to, 0); }
int linkat(int at, const char* from, int at_to, const char* to, int flags) {
  struct call call = {SYS_linkat, at, (long)from, at_to, (long)to, flags};
  return with_names(trace_link, at, from, at_to, to, act, &call);
}
int link(const char* from, const char* to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int unlinkat(int at, const char* path, int flags) {
  struct call call = {SYS_unlinkat, at, (long)path, flags, 0, 0};
  return with_names((flags & AT_REMOVEDIR) != 0 ? trace_remove_dir : trace_unlink, at, path, 0, NULL, act, &call);
}
int unlink(const char* path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char* path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char* path) {
  if (unlink(path) == 0)
    return 0;
  return errno == EISDIR ? rmdir(path) : -1;
}
int mkdirat(int at, const char* path, mode_t mode) {
  struct call call = {SYS_mkdirat, at, (long)path, (long)mode, 0, 0};
  return with_names(trace_make_dir, at, path, 0, NULL, act, &call);
}
int mkdir(const char* path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

static void begin(const char* directory, const char* trace, int acks) {
  if (snprintf(root, sizeof root, "%s", directory) >= (int)sizeof root || root[0] != '/')
    die("the directory must be an absolute path");
  root_size = strlen(root);
  int fd = (int)syscall(SYS_openat, AT_FDCWD, trace, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    die("cannot open the trace");
  /* Out of the way of the descriptors that the program counts on. */
  int high = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 900);
  syscall(SYS_close, fd);
  acks_fd = acks;
  trace_fd = high;
}

__attribute__((constructor)) static void begin_by_environment(void) {
  const char* directory = getenv("SIGNET_RECORD_DIR");
  const char* trace = getenv("SIGNET_RECORD_TRACE");
  const char* acks = getenv("SIGNET_RECORD_ACKS");
  if (directory != NULL && trace != NULL)
    begin(directory, trace, acks != NULL ? atoi(acks) : -1);
}
