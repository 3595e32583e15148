#ifndef SIGNET_TESTS_CRASH_TRACE_FORMAT_H
#define SIGNET_TESTS_CRASH_TRACE_FORMAT_H
/* The trace that the recorder writes and the explorer reads, on one machine: a sequence of headers, each followed by
 * `size` bytes. Writes are recorded before they are made, syncs after they have returned. */
#include <stdint.h>

enum trace_kind {
  trace_open = 1,   /* file: its number from here on; bytes: path; flags: trace_created when it was not there */
  trace_write,      /* file, offset; bytes: what is written; flags: trace_synced when the descriptor is O_DSYNC or O_SYNC */
  trace_truncate,   /* file; offset: its new length */
  trace_sync,       /* file */
  trace_sync_dir,   /* bytes: path */
  trace_rename,     /* bytes: from NUL to */
  trace_link,       /* bytes: from NUL to */
  trace_unlink,     /* bytes: path */
  trace_make_dir,   /* bytes: path */
  trace_remove_dir, /* bytes: path */
  trace_ack,        /* bytes: what the program told the world */
};
enum trace_flags { trace_created = 1, trace_synced = 2 };

#define TRACE_MAGIC 0x53544331u /* "STC1" */
struct trace_header {
  uint32_t magic;
  uint32_t kind;
  uint32_t file;
  uint32_t flags;
  uint64_t offset;
  uint64_t size;
};
#endif
