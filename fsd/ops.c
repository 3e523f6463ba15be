/* The table. What is not here the kernel does by itself: locks (one host only), lseek, fallocate's absence, access
 * checks (default_permissions). release and releasedir never come, since open and opendir need no message. */
#include "fsd/fs.h"

const struct fuse_lowlevel_ops fs_ops = {
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .create = op_create,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .symlink = op_symlink,
    .readlink = op_readlink,
    .link = op_link,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .rename = op_rename,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .statfs = op_statfs,
    .open = op_open,
    .opendir = op_open,
    .flush = op_open,
    .read = op_read,
    .write = op_write,
    .fsync = op_fsync,
    .fsyncdir = op_fsync,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .getxattr = op_getxattr,
    .setxattr = op_setxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
};
