/* THE FILE
 *
 *   0   8   "KVFSNODE"
 *   8   4   format version of the data directory
 *   12  4   0
 *   16  8   node id
 *   24  8   promised epoch
 *   32  12  0
 *   44  4   CRC-32C of the 44 bytes before
 *
 * It is replaced as a whole: written beside, synced, renamed, and the directory synced. At no moment is there none, or
 * half a one.
 */
#include "kvcore/log/nodeconf.h"

#include "kvcore/base/crc32c.h"
#include "kvcore/base/error.h"
#include "kvcore/log/code.h"

#include <stdio.h>

#define TMP_NAME NODECONF_NAME ".tmp"

static const char magic[8] = {'K', 'V', 'F', 'S', 'N', 'O', 'D', 'E'};

enum { AT_VERSION = 8, AT_NODE = 16, AT_EPOCH = 24, AT_CRC = 44 };

/* The version comes before the checksum: where that stands is the version's to say. */
static int decode(const char *bytes, int64_t len, struct nodeconf *ret_conf)
{
    if (len < AT_NODE || memcmp(bytes, magic, sizeof magic) != 0)
        return -EBADMSG;
    if (len == NODECONF_BYTES && crc32c(0, bytes, AT_CRC) == get_u32(bytes + AT_CRC) &&
        get_u32(bytes + AT_VERSION) == NODECONF_VERSION) {
        *ret_conf = (struct nodeconf){get_u64(bytes + AT_NODE), get_u64(bytes + AT_EPOCH)};
        return 0;
    }
    /* A flipped bit is no newer version: versions are few. */
    uint32_t version = get_u32(bytes + AT_VERSION);
    bool whole = len >= NODECONF_BYTES && crc32c(0, bytes, (size_t)len - 4) == get_u32(bytes + len - 4);
    return whole && version > NODECONF_VERSION ? KV_VERSION : -EBADMSG;
}

int nodeconf_load(struct disk *disk, struct nodeconf *ret_conf, char *why, size_t why_bytes)
{
    char bytes[4096];
    struct disk_file *file;
    int rc = disk_open(disk, NODECONF_NAME, 0, &file);
    if (rc == 0) {
        int64_t len = disk_read(file, 0, bytes, sizeof bytes);
        disk_close(file);
        rc = len < 0 ? (int)len : decode(bytes, len, ret_conf);
    }
    if (rc == KV_VERSION)
        snprintf(why, why_bytes,
                 "the data directory is of format %u, and this kvfs knows no more than %d: start a newer one",
                 get_u32(bytes + AT_VERSION), NODECONF_VERSION);
    else if (rc == -EBADMSG)
        snprintf(why, why_bytes,
                 NODECONF_NAME
                 " is damaged. Nothing was changed. `kv check --repair OUT DIR` writes a copy of the data "
                 "with a new one");
    else if (rc < 0)
        snprintf(why, why_bytes, "cannot read " NODECONF_NAME ": %s", error_text(rc));
    return rc;
}

static int write_file(struct disk *disk, const struct nodeconf *conf)
{
    char bytes[NODECONF_BYTES] = {0};
    struct disk_file *file;
    memcpy(bytes, magic, sizeof magic);
    put_u32(bytes + AT_VERSION, NODECONF_VERSION);
    put_u64(bytes + AT_NODE, conf->node_id);
    put_u64(bytes + AT_EPOCH, conf->promised_epoch);
    put_u32(bytes + AT_CRC, crc32c(0, bytes, AT_CRC));
    int rc = disk_open(disk, TMP_NAME, DISK_WRITE | DISK_CREATE | DISK_TRUNCATE, &file);
    if (rc < 0)
        return rc;
    rc = disk_write(file, 0, bytes, sizeof bytes);
    if (rc == 0)
        rc = disk_sync(file);
    disk_close(file);
    return rc;
}

int nodeconf_save(struct disk *disk, const struct nodeconf *conf)
{
    int rc = write_file(disk, conf);
    if (rc == 0)
        rc = disk_rename(disk, TMP_NAME, NODECONF_NAME);
    return rc < 0 ? rc : disk_sync_names(disk);
}
