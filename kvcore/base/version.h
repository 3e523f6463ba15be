#ifndef KV_BASE_VERSION_H
#define KV_BASE_VERSION_H

#define KVFS_VERSION "0.1.0"

#endif
