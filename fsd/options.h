/* What the command line of kvfs and of mount.kvfs says.
 *
 *   kvfs [STORE] MOUNTPOINT [-o option,...] [-f] [-d] [-h] [-V]
 *   mount.kvfs STORE MOUNTPOINT [-sfnv] [-N namespace] [-t type] [-o option,...]      (called by mount(8))
 *
 * An option that is not known is refused by name, unless mount(8) said to be sloppy (-s); what only concerns mount(8)
 * and systemd (auto, user, _netdev, x-*, ...) is passed over in silence.
 */
#ifndef KV_FSD_OPTIONS_H
#define KV_FSD_OPTIONS_H

#include "fsd/attr.h"
#include "kvcore/base/buf.h"
#include "kvcore/rpc/address.h"

struct options {
    struct address store;
    char mountpoint[4096]; /* absolute */
    struct attr_view view;
    uint32_t timeout_ms; /* of each request; 0 (hard): it waits for the server */
    bool foreground;
    bool debug;
    bool nonempty;
    bool fake; /* mount -f: do everything but mount */
    bool help;
    bool version;
    struct buf keeping; /* of an embedded store: "word=value" each with a NUL behind it (kvcore/server/keeping.h) */
    struct buf mount_options; /* for libfuse: each with a comma before it */
};

/* 0, or -EINVAL or -ENOMEM with a sentence in ret_why. Names relative to the working directory become absolute, since a
 * daemon leaves it. Where help or version is asked for, nothing else is checked. */
int options_parse(int argc, char **argv, struct options *ret_options, char *ret_why, size_t why_bytes);
void options_close(struct options *options);

/* What is in force, one "name: value" a line, in heap memory that the caller frees; NULL: out of memory. */
char *options_text(const struct options *options);

#endif
