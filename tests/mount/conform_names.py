"""Names: what the calls that look up, make, link, rename and remove them do, and the errors they give."""
import os
import socket
import stat

from differ import *

LONG = "n" * 255
TOO_LONG = "n" * 256


def make_kinds(folder="."):
    """One of each kind; returns their names."""
    at = lambda name: os.path.join(folder, name)
    touch(at("file"), b"content")
    os.mkdir(at("dir"))
    os.symlink("file", at("link"))
    os.symlink("nowhere", at("dangling"))
    os.mkfifo(at("fifo"), 0o644)
    os.mknod(at("socket"), stat.S_IFSOCK | 0o600)
    os.mknod(at("char"), stat.S_IFCHR | 0o640, os.makedev(1, 3))
    os.mknod(at("block"), stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    return ["file", "dir", "link", "dangling", "fifo", "socket", "char", "block"]


def every_call(label, path):
    """Each call that takes a path, at this one, as a source and as a target."""
    touch("spare")
    os.mkdir("spare-dir")
    say = lambda what, *rest, **more: call(f"{label} {what}", *rest, **more)
    say("stat", lambda: shown(os.stat(path)))
    say("lstat", lambda: shown(os.lstat(path)))
    say("open", opened, path, os.O_RDONLY | os.O_NONBLOCK)
    say("open for writing", opened, path, os.O_WRONLY | os.O_NONBLOCK)
    say("open nofollow", opened, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    say("open directory", opened, path, os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
    say("create exclusively", opened, path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    say("chmod", os.chmod, path, 0o700)
    say("chown", os.chown, path, 0, 0)
    say("lchown", os.lchown, path, 0, 0)
    say("utime", os.utime, path, (1, 2))
    say("truncate", os.truncate, path, 3)
    say("access", lambda: os.access(path, os.R_OK))
    say("readlink", os.readlink, path)
    say("listdir", lambda: sorted(os.listdir(path)))
    here = os.open(".", os.O_PATH)
    say("chdir", lambda: os.chdir(path))
    os.fchdir(here)
    os.close(here)
    say("mkdir", os.mkdir, path)
    say("mknod", os.mknod, path, stat.S_IFREG | 0o600)
    say("mkfifo", os.mkfifo, path)
    say("symlink", os.symlink, "target", path)
    say("link from", os.link, path, "linked", follow_symlinks=False)
    say("link to", os.link, "spare", path)
    say("rename to, of a file", lambda: os.rename("spare", path))
    touch("spare")
    say("rename to, of a directory", lambda: os.rename("spare-dir", path))
    say("rename from", os.rename, path, "renamed")
    say("rename from, noreplace", renameat2, path, "spare", RENAME_NOREPLACE)
    say("exchange", renameat2, path, "spare", RENAME_EXCHANGE)
    say("rmdir", os.rmdir, path)
    say("unlink", os.unlink, path)
    say("statvfs", lambda: os.statvfs(path).f_namemax)
    say("getxattr", os.getxattr, path, "user.x")


def fresh(index, function):
    os.mkdir(f"case-{index}")
    os.chdir(f"case-{index}")
    function()
    os.chdir("..")


def wrong_paths():
    """ENAMETOOLONG, ENOENT, ENOTDIR, ELOOP: each call, each kind of wrong path."""
    def at(label, path):
        touch("file")
        os.symlink("loop-b", "loop-a")
        os.symlink("loop-a", "loop-b")
        os.symlink("nowhere", "dangling")
        os.mkdir("dir")
        every_call(label, path)
    paths = [("255 bytes", LONG), ("256 bytes", TOO_LONG), ("256 bytes below", "dir/" + TOO_LONG),
             ("1100 bytes", "n" * 1100), ("path too long", "dir/../" * 600 + "x"), ("missing", "missing"),
             ("parent missing", "missing/x"), ("parent is a file", "file/x"), ("file with a slash", "file/"),
             ("parent is too long", TOO_LONG + "/x"), ("loop", "loop-a"), ("below a loop", "loop-a/x"),
             ("dangling", "dangling"), ("below a dangling link", "dangling/x"), ("empty", ""), ("dot", "."),
             ("dot dot", "dir/.."), ("dot at the end", "dir/."), ("directory with a slash", "dir/"),
             ("missing with a slash", "missing/")]
    for index, (label, path) in enumerate(paths):
        fresh(index, lambda: at(label, path))


def wrong_kinds():
    """EISDIR, ENOTDIR, EEXIST, EPERM: each call on each kind of node."""
    kinds = ["file", "dir", "link", "dangling", "fifo", "socket", "char", "block"]
    for index, kind in enumerate(kinds):
        fresh(index, lambda: (make_kinds(), every_call(kind, kind)))
    call("open a socket", opened, "case-1/socket", os.O_RDWR)
    call("create at a directory", opened, "case-0/dir", os.O_CREAT | os.O_WRONLY)
    call("create and directory", opened, "case-0/new", os.O_CREAT | os.O_DIRECTORY | os.O_RDWR)
    call("truncate a directory at open", opened, "case-0/dir", os.O_RDONLY | os.O_TRUNC)
    call("create through a dangling link", opened, "case-0/dangling", os.O_CREAT | os.O_WRONLY)
    call("... exclusively", opened, "case-1/dangling", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    show("case-0/nowhere")


def chains():
    """As many symlinks in a row as Linux follows, and one more; a target of every length."""
    touch("end")
    os.symlink("end", "link-0")
    for i in range(1, 42):
        os.symlink(f"link-{i - 1}", f"link-{i}")
    for i in (0, 38, 39, 40, 41):
        call(f"chain of {i + 1}", lambda: shown(os.stat(f"link-{i}")))
    for length in (0, 1, 254, 255, 256, 257, 1023, 4094, 4095, 4096):
        call(f"target of {length}", os.symlink, "t" * length, f"target-{length}")
        call("  reads back", lambda: os.readlink(f"target-{length}") == "t" * length)
        show(f"target-{length}")
    os.symlink("./" * 2047 + "d", "long-way")
    os.mkdir("d")
    call("4095 bytes are followed", lambda: shown(os.stat("long-way")))
    call("odd targets", os.symlink, "a//b/../ \n\xe4\udcff", "odd")
    call("read back", lambda: os.readlink("odd").encode("utf-8", "surrogateescape"))


def links():
    """link(2) to everything; nlink of files and directories."""
    for kind in make_kinds():
        call(f"link to {kind}", os.link, kind, f"{kind}-2", follow_symlinks=False)
        show(kind)
        show(f"{kind}-2")
    call("link through a symlink", os.link, "link", "through", follow_symlinks=True)
    show("through")
    call("the same inode", lambda: os.stat("file").st_ino == os.stat("through").st_ino)
    for kind in ("file", "link", "fifo", "char"):
        call(f"unlink {kind}", os.unlink, kind)
        show(f"{kind}-2")
    for i in range(300):
        os.link("through", f"many-{i}")
    show("through")
    for i in range(0, 300, 2):
        os.unlink(f"many-{i}")
    show("through")
    call("link over itself", os.link, "through", "through")
    descriptor = os.open("block-2", os.O_PATH)
    os.unlink("block")
    os.unlink("block-2")
    call("no name left", lambda: shown(os.fstat(descriptor)))
    call("link what has none", os.link, f"/proc/self/fd/{descriptor}", "again", follow_symlinks=True)
    for i in range(5):
        os.mkdir(f"dir/{i}")
        show("dir")
    os.rename("dir/0", "moved")
    show("dir")
    os.mkdir("other")
    os.rename("dir/1", "other/1")
    show("dir")
    show("other")
    os.rename("dir/2", "other/1")
    show("dir")
    show("other")
    renameat2("other/1", "through", RENAME_EXCHANGE)
    show("other")
    show(".")
    os.rmdir("dir/3")
    show("dir")
    held = os.open("dir/4", os.O_RDONLY)
    os.rmdir("dir/4")
    call("removed directory", lambda: shown(os.fstat(held)))
    call("create in it", lambda: quiet(os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=held))
    call("mkdir in it", lambda: os.mkdir("x", dir_fd=held))
    call("list it", lambda: os.listdir(held))


def renames():
    """rename(2): what may replace what, and with which flags."""
    kinds = ["file", "dir", "link", "fifo", "full", "missing"]

    def lay(folder):
        os.mkdir(folder)
        make_kinds(folder)
        os.mkdir(f"{folder}/full")
        touch(f"{folder}/full/inside")
    flags = [("", 0), (" noreplace", RENAME_NOREPLACE), (" exchange", RENAME_EXCHANGE), (" both", 3), (" unknown", 8)]
    for source in kinds:
        for target in kinds:
            for label, flag in flags:
                lay("a")
                lay("b")
                call(f"{source} over {target}{label}", renameat2, f"a/{source}", f"b/{target}", flag)
                show(f"a/{source}", "  source")
                show(f"b/{target}", "  target")
                call("  in it", lambda: sorted(os.listdir(f"b/{target}")))
                show("a")
                show("b")
                for folder in ("a", "b"):
                    remove_tree(folder)


def remove_tree(folder):
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(folder)


def renames_odd():
    """Into one's own subtree, onto one's own other name, dots, mount points, hard links."""
    os.makedirs("top/middle/low")
    touch("top/file", b"x")
    call("into itself", os.rename, "top", "top/below")
    call("deep into itself", os.rename, "top", "top/middle/low/below")
    call("onto its own child", os.rename, "top", "top/middle")
    call("onto its own parent", os.rename, "top/middle", "top")
    call("exchange with its child", renameat2, "top", "top/middle", RENAME_EXCHANGE)
    call("exchange with its parent", renameat2, "top/middle/low", "top", RENAME_EXCHANGE)
    call("onto itself", os.rename, "top", "top")
    call("noreplace onto itself", renameat2, "top", "top", RENAME_NOREPLACE)
    call("exchange with itself", renameat2, "top", "top", RENAME_EXCHANGE)
    call("dot", os.rename, "top/.", "x")
    call("dot dot", os.rename, "top/..", "x")
    call("to dot", os.rename, "top/middle", "top/middle/.")
    call("with a slash", os.rename, "top/middle/", "top/renamed/")
    call("a file with a slash", os.rename, "top/file", "top/file2/")
    os.link("top/file", "top/same")
    call("onto another name of it", os.rename, "top/file", "top/same")
    show("top/file")
    call("exchange with another name of it", renameat2, "top/file", "top/same", RENAME_EXCHANGE)
    show("top/same")
    call("out of the file system", os.rename, "top/file", "/proc/x")
    call("link out of the file system", os.link, "top/file", "/proc/x")
    held = os.open("top/file", os.O_RDONLY)
    touch("over", b"new")
    os.unlink("top/same")
    call("over an open file", os.rename, "over", "top/file")
    call("which can be read", os.read, held, 10)
    call("and has no name", lambda: shown(os.fstat(held)))
    os.chdir("top/renamed")
    call("the working directory", os.rename, "../../top", "../../top2")
    call("is", lambda: os.path.basename(os.path.dirname(os.getcwd())))
    os.chdir("../..")
    call("rmdir the parent of the working directory", os.rmdir, "top2")
    call("rmdir not empty", os.rmdir, "top2")
    call("rmdir dot", os.rmdir, "top2/renamed/.")
    call("rmdir dot dot", os.rmdir, "top2/renamed/..")
    call("unlink a directory", os.unlink, "top2/renamed")
    call("rmdir a file", os.rmdir, "top2/file")


def nodes():
    """mknod(2) of every kind, with every mode and number."""
    for kind in ("REG", "IFO", "CHR", "BLK", "SOCK", "DIR", "LNK"):
        bits = getattr(stat, "S_IF" + kind, None) or stat.S_IFIFO
        for mode in (0, 0o777, 0o7777):
            call(f"mknod {kind} {mode:o}", os.mknod, f"{kind}-{mode:o}", bits | mode, os.makedev(12, 34))
            show(f"{kind}-{mode:o}")
    call("mknod without a kind", os.mknod, "plain", 0o640)
    show("plain")
    call("mknod of a bad kind", os.mknod, "bad", 0o030000 | 0o640)
    for major, minor in ((0, 0), (255, 255), (4095, 1048575), (1, 256), (300, 65536)):
        os.mknod(f"dev-{major}-{minor}", stat.S_IFCHR | 0o600, os.makedev(major, minor))
        show(f"dev-{major}-{minor}")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open("pipe", os.O_WRONLY | os.O_NONBLOCK)
    os.write(writer, b"through")
    call("a fifo carries", os.read, reader, 100)
    server = socket.socket(socket.AF_UNIX)
    call("bind", server.bind, "bound")
    server.listen()
    show("bound")
    client = socket.socket(socket.AF_UNIX)
    call("connect", client.connect, "bound")
    call("connect to a dead one", socket.socket(socket.AF_UNIX).connect, "SOCK-0")
    call("bind again", socket.socket(socket.AF_UNIX).bind, "bound")
    call("the null device", opened, "dev-1-256", os.O_RDONLY)


def unnamed():
    """O_TMPFILE, and the names that such a file may get."""
    os.mkdir("dir")
    made = call_moves_nothing("dir", lambda: os.open("dir", os.O_TMPFILE | os.O_RDWR, 0o640))
    call("made", lambda: shown(os.fstat(made)))
    call("listed", os.listdir, "dir")
    call("written", os.write, made, b"content")
    os.fchmod(made, 0o604)
    os.setxattr(made, "user.some", b"value")
    call("named", link_open, made, "dir/named")
    show("dir/named")
    call("open", lambda: shown(os.fstat(made)))
    call("read", read, "dir/named")
    call("its attribute", os.getxattr, "dir/named", "user.some")
    call("over a name", link_open, made, "dir/named")
    call("a second name", link_open, made, "second")
    call("open", lambda: shown(os.fstat(made)))
    os.unlink("dir/named")
    os.unlink("second")
    call("nameless again", lambda: shown(os.fstat(made)))
    call("named again", link_open, made, "third")
    call("still read", os.pread, made, 20, 0)
    os.close(made)
    alone = os.open(".", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    call("exclusive", link_open, alone, "exclusive")
    os.close(alone)
    for flags in ("O_RDONLY", "O_WRONLY", "O_RDWR"):
        call(f"{flags}", opened, "dir", os.O_TMPFILE | getattr(os, flags))
    touch("file")
    call("at a file", opened, "file", os.O_TMPFILE | os.O_RDWR)
    call("at nothing", opened, "nothing", os.O_TMPFILE | os.O_RDWR)
    os.mkdir("team")
    os.chown("team", ALICE, TEAM)
    os.chmod("team", 0o2755)
    of_team = os.open("team", os.O_TMPFILE | os.O_RDWR, 0o2777)
    call("of a group", lambda: shown(os.fstat(of_team)))
    call("named", link_open, of_team, "team/file")
    show("team/file")
    as_user(BOB, BOB, lambda: call("elsewhere", opened, "team", os.O_TMPFILE | os.O_RDWR))
    as_user(ALICE, ALICE, of_alice)
    many = [os.open("dir", os.O_TMPFILE | os.O_RDWR) for _ in range(50)]
    for number, one in enumerate(many):
        os.write(one, b"%d" % number)
    call("each its own", lambda: [os.pread(one, 9, 0) for one in many] == [b"%d" % i for i in range(50)])
    call("removed directory", os.rmdir, "dir")


def of_alice():
    mine = os.open("team", os.O_TMPFILE | os.O_RDWR, 0o600)
    call("of a user", lambda: shown(os.fstat(mine)))
    call("named by her", link_open, mine, "team/hers")
    show("team/hers")


def link_open(descriptor, path):
    os.link(f"/proc/self/fd/{descriptor}", path, follow_symlinks=True)


def call_moves_nothing(folder, function):
    before = times(folder)
    result = function()
    print(f"{folder} {'stays as it was' if times(folder) == before else 'has moved'}")
    return result


if __name__ == "__main__":
    main(globals())
