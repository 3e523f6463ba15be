/* Every bound that a user or a peer can come upon, in one place, tied together by static assertions. (What only paces
 * our own work, a slice or a batch, stands where it is used.)
 *
 * A bound that the user can lower or raise has its default here and its name in kvcored.conf(5); what has no
 * option is part of the format or of the protocol.
 */
#ifndef KV_BASE_LIMITS_H
#define KV_BASE_LIMITS_H

#include <assert.h>

/* Names (docs/architecture.md, "Namespace") */
#define NAME_BYTES_MAX    255
#define KEY_BYTES_MAX     4095
#define OWN_NAME          ".kvfs" /* in the root: where a mount shows its own files, so no key may be there */
#define SYMLINK_BYTES_MAX 4095
#define SYMLINK_DEPTH_MAX 40          /* links followed in one walk, as Linux does */
#define LINKS_MAX         4294967294u /* links of one node */
#define SLOTS             16384

/* Values */
#define VALUE_BYTES_MAX  (1ull << 44) /* logical size: 16 TiB */
#define INLINE_BYTES_MAX 255          /* a value up to here lives in its node */
#define CHUNK_BYTES      65536        /* a value above one chunk is cut in chunks of this size */

/* Extended attributes (xattr(7): the kernel's own limits) */
#define XATTR_NAME_BYTES_MAX  255
#define XATTR_VALUE_BYTES_MAX 65536
#define ACL_BYTES_MAX         4096 /* of one POSIX ACL: a page, as the kernel has it */
#define ACL_ACCESS            "system.posix_acl_access"
#define ACL_DEFAULT           "system.posix_acl_default"
#define XATTR_TOTAL_BYTES_MAX 262144 /* names and values of one node */

/* Wire */
#define MESSAGE_BYTES_MAX (128u << 20) /* one request or reply */
#define MESSAGE_DEPTH_MAX 8            /* nested arrays and maps in one message */
#define MESSAGE_ITEMS_MAX (1u << 20)   /* objects of any kind in one message */
#define REFS_MAX          65536        /* keys in one mget, mset, del or exists */
#define LISTING_MAX       10000        /* entries in one page of a listing */
#define LISTING_DEFAULT   1000
#define READ_BYTES_MAX    (MESSAGE_BYTES_MAX - 65536u) /* one read or get */
#define COPY_BYTES_MAX    (1u << 30)                   /* one copy; further ones go on */
#define COPY_MOVED_MAX    (16u << 20)                  /* one copy that can share no memory */
#define ERROR_TEXT_BYTES  320

/* Log */
#define RECORD_BYTES_MAX   (512u << 20) /* one record: what one request has changed */
#define SEGMENT_BYTES_MIN  4096         /* a log segment ends behind so many bytes at the earliest */
#define SNAPSHOT_RULES_MAX 16           /* of `save` */
#define SNAPSHOTS_KEPT_MAX 1000         /* of keep-snapshots */

/* Sessions that keep what they were told (kvcore/server/coherence.h) */
#define LEASE_TERM_MS_DEFAULT 10000
#define LEASE_TERM_MS_MIN     100
#define LEASE_TERM_MS_MAX     3600000
#define LEASES_MAX            (4u << 20) /* of all sessions; past it the oldest are recalled */
#define LEASE_DAMP_RECALLS    8          /* of one thing within ... */
#define LEASE_DAMP_MS         1000       /* ... this: it is not leased for as long again */
#define RECALL_CHANGES_MAX    (1u << 16) /* in one message */

/* Connections */
#define CONNECTIONS_DEFAULT        16384
#define CONN_READ_BYTES            65536        /* the loop's shared read buffer */
#define CONN_OUTPUT_PAUSE_BYTES    (1u << 20)   /* a peer that owes us this much reading is not read from */
#define INPUT_TOTAL_BYTES_DEFAULT  (1ull << 30) /* half-received requests of all connections together */
#define OUTPUT_TOTAL_BYTES_DEFAULT (1ull << 30) /* answers that wait to be sent, of all connections together */
#define CLIENT_INFLIGHT_MAX        4096         /* requests without an answer on one client connection */
#define CLIENT_REQUESTS_MAX        65536        /* requests of one client: in flight and waiting */
#define CLIENT_HELD_BYTES_MAX      (256u << 20) /* encoded requests that one client holds */
#define CLIENT_OUTPUT_BYTES        (16u << 20)  /* of requests in flight that the socket has not taken: the next wait */
#define CLIENT_CONNECT_MS          3000         /* one attempt: resolve, connect, hello */
#define CLIENT_BACKOFF_FIRST_MS    20           /* between two attempts to connect; doubles up to ... */
#define CLIENT_BACKOFF_LAST_MS     1000
#define CLIENT_DEAD_PEER_MS        10000 /* a peer whose machine acknowledges nothing for so long is gone */

static_assert(4ull * RECALL_CHANGES_MAX < MESSAGE_ITEMS_MAX, "a recall is one message");
static_assert(READ_BYTES_MAX < MESSAGE_BYTES_MAX, "the longest read fits a message with its envelope");
static_assert(CLIENT_HELD_BYTES_MAX >= MESSAGE_BYTES_MAX, "a client can hold the longest request");
static_assert(RECORD_BYTES_MAX / 2 > MESSAGE_BYTES_MAX + REFS_MAX * (NAME_BYTES_MAX + 256u),
              "a record holds all that one request can bring: its bytes and, for each key, what else an effect has");
static_assert(COPY_BYTES_MAX % CHUNK_BYTES == 0 && COPY_BYTES_MAX > CHUNK_BYTES, "a copy ends with a chunk");
static_assert(INLINE_BYTES_MAX < CHUNK_BYTES, "inline values are shorter than a chunk");
static_assert(KEY_BYTES_MAX >= NAME_BYTES_MAX, "a key holds at least one whole name");
static_assert((CHUNK_BYTES & (CHUNK_BYTES - 1)) == 0, "chunk arithmetic shifts");

#endif
