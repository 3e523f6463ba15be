"""Extended attributes (xattr(7)) and POSIX ACLs (acl(5))."""
import os
import stat
import subprocess

from differ import *

KINDS = {"file": touch, "dir": os.mkdir, "fifo": os.mkfifo, "link": lambda path: os.symlink("nowhere", path)}


def listed(path):
    return sorted(os.listxattr(path, follow_symlinks=False))


def plain():
    """Setting, replacing, removing; flags; namespaces; kinds of nodes; users."""
    for kind, maker in KINDS.items():
        maker(kind)
        for name in ("user.x", "trusted.x", "security.x", "system.x", "other.x", "user.", "user", "trusted.", ".x", "",
                     "user." + "n" * 250, "user." + "n" * 251, "user.with space\n\xe4"):
            shown_name = name[:12]
            set_to = lambda value, flags=0: os.setxattr(kind, name, value, flags, follow_symlinks=False)
            get = lambda: os.getxattr(kind, name, follow_symlinks=False)
            say = lambda what, function, *rest: call(f"{kind} {shown_name!r} {what}", function, *rest)
            say("get", get)
            say("replace", set_to, b"v", os.XATTR_REPLACE)
            say("create", set_to, b"first", os.XATTR_CREATE)
            say("get", get)
            say("create again", set_to, b"v", os.XATTR_CREATE)
            say("both flags", set_to, b"v", 3)
            say("bad flag", set_to, b"v", 8)
            say("replace", set_to, b"\0second\0", os.XATTR_REPLACE)
            say("get", get)
            say("set to nothing", set_to, b"")
            say("get", get)
            say("list", listed, kind)
            say("remove", lambda: os.removexattr(kind, name, follow_symlinks=False))
            say("remove", lambda: os.removexattr(kind, name, follow_symlinks=False))
    os.chmod("file", 0o666)
    for name in ("user.a", "trusted.b", "security.c"):
        os.setxattr("file", name, b"v")

    def stranger():
        call("names that others see", listed, "file")
        for name in ("user.a", "trusted.b", "security.c", "user.none"):
            call(f"{name} read", os.getxattr, "file", name)
            call(f"{name} set", os.setxattr, "file", name, b"w")
            call(f"{name} removed", os.removexattr, "file", name)
    as_user(ALICE, ALICE, stranger)


def sizes():
    """Values of all sizes; buffers too small; the list."""
    touch("file")
    sized = libc.getxattr
    for size in (0, 1, 255, 256, 4095, 4096, 4097, 65535, 65536, 65537):
        value = os.urandom(size)
        call(f"set {size}", os.setxattr, "file", "user.x", value)
        call("  back", lambda: os.getxattr("file", "user.x") == value)
        for room in (0, 1, size - 1, size, size + 1):
            if room < 0 or size > 65536:
                continue
            buffer = ctypes.create_string_buffer(room + 1)
            call(f"  into {room}", lambda: checked(sized(b"file", b"user.x", buffer, ctypes.c_size_t(room))))
        call("  remove", os.removexattr, "file", "user.x")
    for i in range(100):
        os.setxattr("file", f"user.{i:03}", b"%d" % i)
    call("a hundred", listed, "file")
    for room in (0, 1, 899, 900, 901, 65536):
        buffer = ctypes.create_string_buffer(room + 1)
        call(f"list into {room}", lambda: checked(libc.listxattr(b"file", buffer, ctypes.c_size_t(room))))
    for i in range(0, 100, 3):
        os.removexattr("file", f"user.{i:03}")
    call("some removed", lambda: [(name, os.getxattr("file", name)) for name in listed("file")])
    os.rename("file", "moved")
    os.link("moved", "linked")
    call("they move along", lambda: len(listed("linked")))


def sorted_acl(path):
    names = {0x01: "u::", 0x02: "u", 0x04: "g::", 0x08: "g", 0x10: "m::", 0x20: "o::"}

    def text(data):
        entries = [data[at:at + 8] for at in range(4, len(data), 8)]
        numbers = [[int.from_bytes(entry[a:b], "little") for a, b in ((0, 2), (2, 4), (4, 8))] for entry in entries]
        return " ".join(f"{names[tag]}{'' if names[tag].endswith(':') else f':{who}:'}{bits}"
                        for tag, bits, who in numbers)
    result = []
    for kind in ("access", "default"):
        try:
            result.append(f"{kind} " + text(os.getxattr(path, f"system.posix_acl_{kind}", follow_symlinks=False)))
        except OSError as error:
            result.append(f"{kind} {name_of(error.errno)}")
    return "; ".join(result)


def show_acl(path):
    show(path)
    call("  acl", sorted_acl, path)
    call("  list", listed, path)


def setfacl(*arguments):
    done = subprocess.run(["setfacl", "-n", *arguments], capture_output=True, text=True)
    return done.returncode, done.stderr.strip().split(": ")[-1]


def acl_binary(*entries):
    """(tag, permissions, id) ..., as the xattr has them."""
    return b"\2\0\0\0" + b"".join(tag.to_bytes(2, "little") + bits.to_bytes(2, "little") +
                                  (who & 0xffffffff).to_bytes(4, "little") for tag, bits, who in entries)


def acls():
    """Mode and access ACL are two views of one thing."""
    for kind in ("file", "dir", "fifo"):
        KINDS[kind](kind)
        os.chmod(kind, 0o640)
        for change in ("u:60001:rwx,m::rw", "m::r", "g:60100:x,m::rwx", "u::r,o::r", "g::-", "u:60001:-"):
            call(f"{kind} {change}", setfacl, "-m", change, kind)
            show_acl(kind)
        for mode in (0o777, 0o700, 0o654, 0o4710, 0o1077, 0, 0o666):
            call(f"{kind} chmod {mode:o}", os.chmod, kind, mode)
            show_acl(kind)
        call("remove one", setfacl, "-x", "u:60001", kind)
        show_acl(kind)
        moves(f"{kind} chmod", [kind], os.chmod, kind, 0o640)
        moves(f"{kind} set", [kind], lambda: setfacl("-m", "u:60002:rw,m::rwx", kind))
        show_acl(kind)
        call("remove all", setfacl, "-b", kind)
        show_acl(kind)
        call("default", setfacl, "-d", "-m", "u:60001:rwx", kind)
        show_acl(kind)
        call("remove the default", setfacl, "-k", kind)
        show_acl(kind)
        minimal = acl_binary((1, 6, -1), (4, 4, -1), (32, 0, -1))
        extended = acl_binary((1, 7, -1), (2, 7, ALICE), (4, 5, -1), (16, 5, -1), (32, 4, -1))
        for label, data in (("minimal", minimal), ("extended", extended), ("minimal", minimal),
                            ("no entry", b"\2\0\0\0"), ("extended", extended), ("no bytes", b""),
                            ("half", minimal[:-1]), ("a bad version", b"\3" + minimal[1:]),
                            ("without owner", acl_binary((4, 4, -1), (32, 0, -1))),
                            ("without mask", acl_binary((1, 7, -1), (2, 7, 1), (4, 5, -1), (32, 4, -1))),
                            ("a bad tag", acl_binary((1, 7, -1), (3, 7, 1), (4, 5, -1), (32, 4, -1))),
                            ("bad bits", acl_binary((1, 15, -1), (4, 5, -1), (32, 4, -1))),
                            ("out of order", acl_binary((32, 4, -1), (1, 7, -1), (4, 5, -1)))):
            for name in ("system.posix_acl_access", "system.posix_acl_default"):
                call(f"{kind} {name} {label}", os.setxattr, kind, name, data)
                show_acl(kind)
        call("remove", os.removexattr, kind, "system.posix_acl_access")
        call("remove again", os.removexattr, kind, "system.posix_acl_access")
        show_acl(kind)
    os.symlink("file", "link")
    call("of a symlink", os.setxattr, "link", "system.posix_acl_access", minimal, follow_symlinks=False)
    os.chmod("file", 0o666)
    as_user(ALICE, ALICE, lambda: call("another's", os.setxattr, "file", "system.posix_acl_access", minimal))
    os.chown("file", ALICE, TEAM)
    for groups in ([], [TEAM]):
        os.chmod("file", 0o2775)
        as_user(ALICE, ALICE, lambda: call("set-group-id", os.setxattr, "file", "system.posix_acl_access", extended),
                groups)
        show_acl("file")


def inherited():
    """What is made in a directory with a default ACL has it, and no umask then."""
    for label, default in (("none", None), ("plain", "u::rwx,g::rx,o::-"), ("named", "u::rwx,u:60001:rw,g::r,o::r"),
                           ("masked", "u::rwx,g::rwx,g:60100:rwx,m::rx,o::x"), ("closed", "u::-,g::-,o::-")):
        os.mkdir(label)
        if default:
            call(label, setfacl, "-d", "-m", default, label)
        show_acl(label)
        for mask in (0o022, 0o077, 0):
            os.umask(mask)
            for mode in (0o666, 0o777, 0o640, 0o2755, 0):
                name = f"{label}/{mask:o}-{mode:o}"
                touch(name + "-file", mode=mode)
                show_acl(name + "-file")
                os.mkdir(name + "-dir", mode)
                show_acl(name + "-dir")
                os.mkdir(name + "-dir/again", mode)
                show_acl(name + "-dir/again")
                os.mknod(name + "-fifo", stat.S_IFIFO | mode)
                show_acl(name + "-fifo")
                os.symlink("x", name + "-link")
                show(name + "-link")
        os.umask(0o022)


def enforced():
    """The kernel goes by them."""
    os.chmod(".", 0o755)
    for who, (uid, gid, groups) in {"u:60001": (ALICE, ALICE, []), "g:60100": (BOB, BOB, [TEAM])}.items():
        paths = [f"{who}:{bits} mask {mask}" for bits in ("r", "w", "x", "rw", "rx", "-") for mask in ("rwx", "r", "-")]
        for path in paths:
            touch(path, b"content")
            os.chmod(path, 0o600)
            setfacl("-m", path.replace(" mask ", ",m::"), path)
        as_user(uid, gid, lambda: [(call(f"{path} read", read, path), call(f"{path} write", opened, path, os.O_WRONLY),
                                    call(f"{path} execute", os.access, path, os.X_OK)) for path in paths], groups)
    os.mkdir("dir")
    os.chmod("dir", 0o700)
    setfacl("-m", "u:60001:rwx", "dir")
    as_user(ALICE, ALICE, lambda: (call("create", touch, "dir/file"), call("list", os.listdir, "dir")))
    setfacl("-x", "u:60001", "dir")
    as_user(ALICE, ALICE, lambda: (call("create", touch, "dir/file2"), call("list", os.listdir, "dir")))
    as_user(ALICE, ALICE, lambda: call("chmod its own", os.chmod, "dir/file", 0o777))


if __name__ == "__main__":
    main(globals())
