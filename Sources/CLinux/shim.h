// Linux calls that Swift cannot see because glibc hides them behind _GNU_SOURCE or makes them variadic.
#ifndef CLINUX_SHIM_H
#define CLINUX_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

extern long syscall(long number, ...);

/// Moves the calling thread into the namespace behind `descriptor`; `type` is a CLONE_NEW… flag.
static inline int clinux_setns(int descriptor, int type) { return (int)syscall(SYS_setns, descriptor, type); }

/// A descriptor that becomes readable when process `pid` ends.
static inline int clinux_pidfd_open(int pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

/// Closes every descriptor from `from` on in the program that is started.
static inline int clinux_spawn_close_from(posix_spawn_file_actions_t *actions, int from) {
    return posix_spawn_file_actions_addclosefrom_np(actions, from);
}

// MARK: processes

/// fork(), for programs with one thread.
static inline int clinux_fork(void) { return fork(); }

/// As fork; `flags` are CLONE_NEW… flags for the child.
static inline int clinux_fork_into(int flags) { return (int)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0); }

static inline int clinux_unshare(int flags) { return (int)syscall(SYS_unshare, flags); }
static inline int clinux_pivot_root(const char *root, const char *old) { return (int)syscall(SYS_pivot_root, root, old); }
static inline int clinux_execve(const char *path, char *const *arguments, char *const *environment) {
    return execve(path, arguments, environment);
}
static inline int clinux_prctl(int option, unsigned long a) { return (int)syscall(SYS_prctl, option, a, 0, 0, 0); }
static inline int clinux_setgroups(size_t count, const uint32_t *groups) {
    return (int)syscall(SYS_setgroups, count, groups);
}
static inline int clinux_setresgid(uint32_t id) { return (int)syscall(SYS_setresgid, id, id, id); }
static inline int clinux_setresuid(uint32_t id) { return (int)syscall(SYS_setresuid, id, id, id); }
static inline int clinux_sethostname(const char *name, size_t count) {
    return (int)syscall(SYS_sethostname, name, count);
}

/// Sets the limits of the calling process; UINT64_MAX is "unlimited".
static inline int clinux_setrlimit(int resource, uint64_t soft, uint64_t hard) {
    uint64_t limit[2] = {soft, hard};
    return (int)syscall(SYS_prlimit64, 0, resource, limit, (void *)0);
}

/// Sets the effective, permitted and inheritable capabilities of the calling process.
static inline int clinux_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
    uint32_t header[2] = {0x20080522, 0};
    uint32_t data[6] = {(uint32_t)effective,         (uint32_t)permitted,         (uint32_t)inheritable,
                        (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)};
    return (int)syscall(SYS_capset, header, data);
}
/// The permitted capabilities of the calling process.
static inline uint64_t clinux_permitted(void) {
    uint32_t header[2] = {0x20080522, 0};
    uint32_t data[6] = {0};
    if (syscall(SYS_capget, header, data) != 0) return 0;
    return data[1] | ((uint64_t)data[4] << 32);
}

// MARK: descriptors

static inline int clinux_pipe(int *two) { return (int)syscall(SYS_pipe2, two, O_CLOEXEC); }
/// Marks every descriptor from `first` on as close-on-exec. Linux 5.11.
static inline int clinux_close_on_exec(unsigned first) { return (int)syscall(436, first, ~0U, 4); }
static inline int clinux_signalfd(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

extern int posix_openpt(int flags);
extern int grantpt(int descriptor);
extern int unlockpt(int descriptor);
extern int ptsname_r(int descriptor, char *name, size_t count);

/// Opens a new pseudo terminal: the master, and the path of the other side.
static inline int clinux_open_terminal(char *name, size_t count) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | 02000000 /* O_CLOEXEC */);
    if (master < 0) return -1;
    if (grantpt(master) != 0 || unlockpt(master) != 0 || ptsname_r(master, name, count) != 0) {
        close(master);
        return -1;
    }
    return master;
}

/// Sends one message with descriptors. Returns the bytes sent or -1.
static inline long clinux_send(int socket, const void *bytes, size_t count, const int *descriptors, size_t number) {
    char control[CMSG_SPACE(sizeof(int) * 8)];
    struct iovec part = {(void *)bytes, count};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    memset(control, 0, sizeof control);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (number > 8) {
        errno = EINVAL;
        return -1;
    }
    if (number > 0) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * number);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * number);
        memcpy(CMSG_DATA(header), descriptors, sizeof(int) * number);
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}

/// Receives one message with at most 8 descriptors (close-on-exec), their number in `number`.
static inline long clinux_receive(int socket, void *bytes, size_t count, int *descriptors, int *number) {
    char control[CMSG_SPACE(sizeof(int) * 8)];
    struct iovec part = {bytes, count};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    *number = 0;
    long result = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (result < 0) return result;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        int found = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        if (found > 8) found = 8;
        memcpy(descriptors, CMSG_DATA(header), sizeof(int) * (size_t)found);
        *number = found;
    }
    return result;
}

// MARK: mounts

/// Sets and clears MOUNT_ATTR_… flags of a mount, and of all below it when `isRecursive`. Linux 5.12.
static inline int clinux_mount_attributes(const char *path, uint64_t set, uint64_t clear, int isRecursive) {
    uint64_t attributes[4] = {set, clear, 0, 0};
    return (int)syscall(442, AT_FDCWD, path, isRecursive ? 0x8000 : 0, attributes, sizeof attributes);
}

// MARK: seccomp

/// A system call that containers are refused, unless they hold the capability (-1: whatever they hold).
struct clinux_refusal {
    int call;
    int capability;
};
static inline size_t clinux_refusals(const struct clinux_refusal **list) {
    static const struct clinux_refusal table[] = {
        {SYS_add_key, -1},          {SYS_keyctl, -1},           {SYS_request_key, -1},
        {SYS_userfaultfd, -1},      {SYS_swapon, -1},           {SYS_swapoff, -1},
        {SYS_nfsservctl, -1},       {425, -1},                  {426, -1},
        {427, -1},                  {SYS_mount, 21},            {SYS_umount2, 21},
        {SYS_pivot_root, 21},       {SYS_setns, 21},            {SYS_unshare, 21},
        {SYS_bpf, 21},              {SYS_perf_event_open, 21},  {SYS_quotactl, 21},
        {SYS_fanotify_init, 21},    {SYS_lookup_dcookie, 21},   {SYS_sethostname, 21},
        {SYS_setdomainname, 21},    {428, 21},                  {429, 21},
        {430, 21},                  {431, 21},                  {432, 21},
        {433, 21},                  {442, 21},                  {SYS_reboot, 22},
        {SYS_kexec_load, 22},       {SYS_kexec_file_load, 22},  {SYS_init_module, 16},
        {SYS_finit_module, 16},     {SYS_delete_module, 16},    {SYS_acct, 20},
        {SYS_settimeofday, 25},     {SYS_clock_settime, 25},    {SYS_open_by_handle_at, 2},
        {SYS_vhangup, 26},          {SYS_syslog, 34},
#ifdef __x86_64__
        {SYS_iopl, 17},             {SYS_ioperm, 17},           {SYS_uselib, -1},
        {SYS_ustat, -1},            {SYS_sysfs, -1},            {SYS__sysctl, -1},
#endif
    };
    *list = table;
    return sizeof table / sizeof table[0];
}
#ifdef __x86_64__
static const uint32_t clinux_audit_architecture = 0xC000003E;
#else
static const uint32_t clinux_audit_architecture = 0xC00000B7;
#endif
static const int clinux_call_clone = SYS_clone;
static const int clinux_call_clone3 = 435;

/// Installs a filter of `count` instructions for the calling process and what it starts.
static inline int clinux_seccomp(struct sock_filter *instructions, unsigned short count) {
    struct sock_fprog program = {count, instructions};
    return (int)syscall(SYS_seccomp, 1 /* SECCOMP_SET_MODE_FILTER */, 0, &program);
}

#endif
