// Linux calls that Swift cannot see because glibc hides them behind _GNU_SOURCE or makes them variadic.
#ifndef CLINUX_SHIM_H
#define CLINUX_SHIM_H

#include <spawn.h>
#include <sys/syscall.h>
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

#endif
