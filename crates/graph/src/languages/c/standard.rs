//! The headers of the C, C++ and POSIX libraries, and those of systems and processors that come
//! with the compiler.
//!
//! Source: ISO C23 and C++26, "Headers"; POSIX.1-2024, "Headers"; what glibc adds.

/// Whether `<name>` belongs to the platform.
pub(super) fn contains(name: &str) -> bool {
    let kernel = ["linux/", "asm/", "bits/", "asm-generic/", "mach/", "sys/"];
    NAMES.binary_search(&name).is_ok() || kernel.iter().any(|directory| name.starts_with(directory))
}

/// Sorted by bytes.
#[rustfmt::skip]
const NAMES: [&str; 346] = [
    "Availability.h", "CoreFoundation/CoreFoundation.h", "TargetConditionals.h", "aio.h", "algorithm", "alloca.h",
    "any", "argp.h", "arm_acle.h", "arm_neon.h", "arm_sve.h", "arpa/ftp.h", "arpa/inet.h", "arpa/telnet.h", "array",
    "assert.h", "atomic", "barrier", "bit", "bitset", "byteswap.h", "cassert", "ccomplex", "cctype", "cerrno",
    "cfenv", "cfloat", "charconv", "chrono", "cinttypes", "ciso646", "climits", "clocale", "cmath", "codecvt",
    "compare", "complex", "complex.h", "concepts", "condition_variable", "conio.h", "coroutine", "cpio.h", "cpuid.h",
    "crypt.h", "csetjmp", "csignal", "cstdalign", "cstdarg", "cstdbool", "cstddef", "cstdint", "cstdio", "cstdlib",
    "cstring", "ctgmath", "ctime", "ctype.h", "cuchar", "cwchar", "cwctype", "cxxabi.h", "debugging", "deque",
    "direct.h", "dirent.h", "dlfcn.h", "elf.h", "emmintrin.h", "endian.h", "err.h", "errno.h", "error.h", "exception",
    "execinfo.h", "execution", "expected", "experimental/filesystem", "experimental/optional",
    "experimental/string_view", "ext/hash_map", "ext/stdio_filebuf.h", "fcntl.h", "features.h", "fenv.h",
    "filesystem", "flat_map", "flat_set", "float.h", "fmtmsg.h", "fnmatch.h", "format", "forward_list", "fstream",
    "ftw.h", "functional", "future", "generator", "getopt.h", "glob.h", "grp.h", "hash_map", "hash_set", "iconv.h",
    "ifaddrs.h", "immintrin.h", "initializer_list", "inplace_vector", "intrin.h", "inttypes.h", "io.h", "iomanip",
    "ios", "iosfwd", "iostream", "iso646.h", "istream", "iterator", "langinfo.h", "latch", "libgen.h", "libintl.h",
    "limits", "limits.h", "linalg", "link.h", "list", "locale", "locale.h", "mach-o/dyld.h", "mach/mach.h",
    "mach/mach_time.h", "malloc.h", "map", "math.h", "mdspan", "memory", "memory.h", "memory_resource", "mmintrin.h",
    "mntent.h", "monetary.h", "mqueue.h", "mutex", "ndbm.h", "net/ethernet.h", "net/if.h", "net/if_arp.h",
    "net/route.h", "netdb.h", "netinet/icmp6.h", "netinet/if_ether.h", "netinet/in.h", "netinet/in_systm.h",
    "netinet/ip.h", "netinet/ip6.h", "netinet/ip_icmp.h", "netinet/tcp.h", "netinet/udp.h", "new", "nl_types.h",
    "nmmintrin.h", "numbers", "numeric", "obstack.h", "optional", "ostream", "paths.h", "pmmintrin.h", "poll.h",
    "print", "process.h", "pthread.h", "pty.h", "pwd.h", "queue", "random", "ranges", "ratio", "regex", "regex.h",
    "resolv.h", "sched.h", "scoped_allocator", "search.h", "semaphore", "semaphore.h", "set", "setjmp.h", "sgtty.h",
    "shadow.h", "share.h", "shared_mutex", "shellapi.h", "shlobj.h", "signal.h", "smmintrin.h", "source_location",
    "span", "spanstream", "spawn.h", "sstream", "stack", "stacktrace", "stdalign.h", "stdarg.h", "stdatomic.h",
    "stdbit.h", "stdbool.h", "stdckdint.h", "stddef.h", "stdexcept", "stdfloat", "stdint.h", "stdio.h", "stdlib.h",
    "stdnoreturn.h", "stop_token", "streambuf", "string", "string.h", "string_view", "strings.h", "stropts.h",
    "strstream", "syncstream", "sys/acl.h", "sys/auxv.h", "sys/cdefs.h", "sys/epoll.h", "sys/event.h",
    "sys/eventfd.h", "sys/fanotify.h", "sys/file.h", "sys/filio.h", "sys/fsuid.h", "sys/inotify.h", "sys/io.h",
    "sys/ioctl.h", "sys/ipc.h", "sys/kd.h", "sys/klog.h", "sys/mman.h", "sys/mount.h", "sys/msg.h", "sys/mtio.h",
    "sys/param.h", "sys/personality.h", "sys/poll.h", "sys/prctl.h", "sys/procfs.h", "sys/ptrace.h", "sys/queue.h",
    "sys/quota.h", "sys/random.h", "sys/reboot.h", "sys/resource.h", "sys/select.h", "sys/sem.h", "sys/sendfile.h",
    "sys/shm.h", "sys/signal.h", "sys/signalfd.h", "sys/socket.h", "sys/sockio.h", "sys/stat.h", "sys/statfs.h",
    "sys/statvfs.h", "sys/stropts.h", "sys/swap.h", "sys/syscall.h", "sys/sysctl.h", "sys/sysinfo.h", "sys/syslog.h",
    "sys/sysmacros.h", "sys/sysproto.h", "sys/termios.h", "sys/time.h", "sys/timeb.h", "sys/timerfd.h", "sys/times.h",
    "sys/timex.h", "sys/ttydefaults.h", "sys/types.h", "sys/ucontext.h", "sys/uio.h", "sys/un.h", "sys/unistd.h",
    "sys/user.h", "sys/utsname.h", "sys/vfs.h", "sys/vlimit.h", "sys/vt.h", "sys/wait.h", "sys/xattr.h", "syscall.h",
    "sysexits.h", "syslog.h", "system_error", "tar.h", "tchar.h", "termio.h", "termios.h", "text_encoding",
    "tgmath.h", "thread", "threads.h", "time.h", "tmmintrin.h", "tr1/memory", "trace.h", "tuple", "type_traits",
    "typeindex", "typeinfo", "uchar.h", "ucontext.h", "ulimit.h", "unistd.h", "unordered_map", "unordered_set",
    "utility", "utime.h", "utmp.h", "utmpx.h", "valarray", "values.h", "variant", "vector", "version", "wait.h",
    "wchar.h", "wctype.h", "winbase.h", "wincrypt.h", "windef.h", "windows.h", "winnt.h", "winsock.h", "winsock2.h",
    "wmmintrin.h", "wordexp.h", "ws2def.h", "ws2tcpip.h", "x86intrin.h", "xmmintrin.h",
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_can_be_searched() {
        assert!(super::NAMES.is_sorted(), "binary search needs order");
        assert!(super::contains("stdio.h") && super::contains("vector") && super::contains("linux/if.h"));
        assert!(!super::contains("zlib.h"));
    }
}
