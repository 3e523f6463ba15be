/* Where a node listens: from what the user wrote to what bind(2) takes. */
#ifndef KV_SERVER_ENDPOINT_H
#define KV_SERVER_ENDPOINT_H

#include "kvcore/rpc/address.h"

#include <sys/socket.h>

/* A host and port to bind to; a name is asked of the resolver, which may take its time. -EINVAL with a sentence in
 * `why`. */
int endpoint_resolve(const struct address *address, struct sockaddr_storage *ret_socket, char *why, size_t why_bytes);

/* Makes way for a Unix socket at `path`: a dead one is removed, anything else stays. Negative with a sentence in `why`:
 * -EADDRINUSE somebody listens there, -EEXIST it is no socket, -ENOENT no such folder, -ENAMETOOLONG. */
int endpoint_clear(const char *path, char *why, size_t why_bytes);

/* The path as it is named from the root: what is relative to the working directory is so to nobody else. Its folder
 * must be there. */
int endpoint_absolute(const char *path, char *ret_path, size_t path_bytes);

#endif
